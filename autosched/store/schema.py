"""Which schema a database has, and whose it is.

The version table is ``autosched_alembic_version``, beside Optuna's ``alembic_version``. Alembic
is not needed here, so that opening a current database does without it.
"""

from sqlalchemy import Connection, column, inspect, select, table

from autosched.errors import StoreError
from autosched.store.models import TABLE_PREFIX

HEAD = "0001"
"""The newest revision in ``db/versions``."""
VERSION_TABLE = "autosched_alembic_version"
OPTUNA_TABLES = frozenset(
    {
        "alembic_version",
        "studies",
        "study_directions",
        "study_system_attributes",
        "study_user_attributes",
        "trial_heartbeats",
        "trial_intermediate_values",
        "trial_params",
        "trial_system_attributes",
        "trial_user_attributes",
        "trial_values",
        "trials",
        "version_info",
    }
)
"""What ``optuna.storages.RDBStorage`` creates."""


def current_revision(connection: Connection) -> str | None:
    """Return the revision that a database is at, or None where autosched has no tables yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revisions = table(VERSION_TABLE, column("version_num"))
    revision: str | None = connection.scalar(select(revisions.c.version_num))
    return revision


def refuse_foreign(connection: Connection, place: str) -> None:
    """Refuse a SQLite file that belongs to another program.

    A PostgreSQL database is shared on purpose: who creates it grants the right to add tables.

    Raises:
        StoreError: if there are tables, and neither autosched nor Optuna made them.
    """
    if connection.dialect.name != "sqlite":
        return
    tables = set(inspect(connection).get_table_names())
    foreign = sorted(name for name in tables - OPTUNA_TABLES if not is_own_table(name))
    if foreign and not any(is_own_table(name) for name in tables):
        listed = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        raise StoreError(
            f"{place} is another program's database (it has the tables {listed}); nothing was "
            "written. Name another file"
        )


def is_own_table(name: str) -> bool:
    """Whether autosched made a table, going by its name."""
    return name.startswith(TABLE_PREFIX)
