"""Looking after a database: is all of it readable, a copy of it, and the room it takes."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from autosched.errors import StoreError
from autosched.store import models as schema
from autosched.store.address import file_url, parse_url
from autosched.store.database import Store, copy_database, open_store
from autosched.store.merging import merge_databases
from autosched.store.models import Base
from autosched.store.purging import find_damaged

_FINE = "ok"
_NAMED = 5


@dataclass(frozen=True)
class Health:
    """What a database holds, and what is wrong with it.

    ``rows`` are counted by table, without what all names begin with; ``damaged`` the rows that
    cannot be read or have lost their study. ``faults`` are what SQLite itself finds wrong with its
    file. ``size_bytes`` is that of the file and its log, None on a server.
    """

    schema: str
    rows: dict[str, int]
    damaged: dict[str, int]
    faults: tuple[str, ...]
    size_bytes: int | None

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults and not any(self.damaged.values())


def check_database(store: Store) -> Health:
    """Read every row, and have SQLite check its file.

    Raises:
        StoreError: if the database refuses.
    """
    tables = [table for table in Base.metadata.sorted_tables if table.name != schema.VERSION_TABLE]
    with store.connection("BEGIN") as connection:
        revision = schema.current_revision(connection)
        rows = {
            table.name.removeprefix("autosched_"): connection.scalar(
                select(func.count()).select_from(table)
            )
            or 0
            for table in tables
        }
        faults: list[str] = []
        if store.path is not None:
            found = connection.exec_driver_sql(f"PRAGMA integrity_check({_NAMED})").scalars()
            faults = [line for line in found if line != _FINE]
            lost = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            faults += [f"{row[0]} {row[1]} is of a row of {row[2]} that is gone" for row in lost]
    damaged = {
        name.removeprefix("autosched_"): len(ids) for name, ids in find_damaged(store).items()
    }
    return Health(revision or "", rows, damaged, tuple(faults[:_NAMED]), size_of(store))


def back_up(store: Store, target: Path, revisions: Collection[str]) -> None:
    """Copy a database to a new SQLite file, while others use it; of a server, what is autosched's.

    Raises:
        StoreError: if the file is there, or cannot be written.
    """
    if target.exists():
        raise StoreError(f"{target} is there already; name a new file for the copy")
    if not target.parent.is_dir():
        raise StoreError(f"{target}: there is no directory {target.parent}; create it first")
    if store.path is not None:
        try:
            copy_database(store.path, target, replaces=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{target} cannot be written: {error}") from None
        return
    with open_store(parse_url(file_url(target.absolute())).url.render_as_string()) as copy:
        merge_databases(store, copy, revisions)


def vacuum(store: Store) -> tuple[int | None, int | None]:
    """Give back the room of what was deleted; return the bytes before and after, None on a server.

    Raises:
        StoreError: if the database refuses, as it does while others write or the disk is full.
    """
    before = size_of(store)
    with store.unbound() as connection:
        connection.exec_driver_sql("VACUUM")
        if store.path is not None:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, size_of(store)


def size_of(store: Store) -> int | None:
    """Return the bytes of a SQLite database and its log, None of a server's."""
    if store.path is None:
        return None
    files = (store.path, store.path.with_name(f"{store.path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
