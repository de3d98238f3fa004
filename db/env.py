"""Alembic's entry: runs migrations on the connection that ``autosched.store.models`` hands over.

From a shell, ``alembic -c db/alembic.ini revision --autogenerate -m "..."`` compares the models
with the default database, or with ``-x url=...``.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from autosched.store import models as schema
from autosched.store.database import open_store
from autosched.store.models import Base


def is_ours(name: str | None, kind: str, _: Any) -> bool:
    """Leave the tables of Optuna, and of anybody else, alone."""
    return kind != "table" or schema.is_own_table(name or "")


def migrate(connection: Connection) -> None:
    """Run the migrations; SQLite's in the caller's transaction, too, as its DDL allows."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=schema.VERSION_TABLE,
        include_name=is_ours,
        transactional_ddl=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    url = context.get_x_argument(as_dictionary=True).get("url")
    with open_store(url) as store, store.connection("BEGIN IMMEDIATE") as opened:
        migrate(opened)
