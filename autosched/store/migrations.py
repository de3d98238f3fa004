"""Bringing a database to the current schema with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from autosched.errors import StoreError
from autosched.store.address import PACKAGE, checkout_directory
from autosched.store.models import HEAD, current_revision

# Any number that other users of a PostgreSQL server are unlikely to lock.
_UPGRADE_LOCK = 0x6175746F


def upgrade(connection: Connection, place: str) -> None:
    """Bring a database to :data:`~autosched.store.models.HEAD` in the caller's write transaction.

    Raises:
        StoreError: if a newer autosched made it.
    """
    if connection.dialect.name == "postgresql":
        # Two processes that meet an empty database would both create the tables.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    found = current_revision(connection)
    if found == HEAD:
        return
    _refuse_newer(found, place)
    command.upgrade(alembic_config(connection), HEAD)


def alembic_config(connection: Connection) -> Config:
    """Return the configuration that runs ``db/env.py`` on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _refuse_newer(found: str | None, place: str) -> None:
    # Revisions are numbered, and a released database is never at an unnumbered one.
    if found is not None and not (found.isdigit() and int(found) < int(HEAD)):
        raise StoreError(
            f"{place} was made by a newer autosched (its schema is {found}, this one knows up to "
            f"{HEAD}). Update autosched, or name another database"
        )


def migrations_directory() -> Path:
    """Return the Alembic environment: beside the package in a wheel, ``db/`` in a checkout."""
    return checkout_directory() or PACKAGE / "_db"
