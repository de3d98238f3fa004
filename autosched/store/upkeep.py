"""Looking after a database: is all of it readable, a copy of it, what nobody reads any more."""

import glob
import secrets
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, select

from autosched.errors import StoreError
from autosched.store import models as schema
from autosched.store.address import file_url, parse_url
from autosched.store.database import Store, copy_database, open_store
from autosched.store.merging import merge_databases
from autosched.store.models import Base
from autosched.store.optuna_mirror import forget_study
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


def back_up(store: Store, target: Path) -> None:
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
    draft = target.with_name(f".{target.name[:32]}.{secrets.token_hex(8)}")
    try:
        with open_store(parse_url(file_url(draft.absolute())).url.render_as_string()) as copy:
            merge_databases(store, copy, with_queue=True)
        copy_database(draft, target, replaces=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{target} cannot be written: {error}") from None
    finally:
        for ending in ("", "-wal", "-shm"):
            draft.with_name(draft.name + ending).unlink(missing_ok=True)


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


def backups_of(store: Store) -> list[Path]:
    """Return the copies that upgrades have left beside a SQLite database, the oldest first."""
    if store.path is None:
        return []
    return sorted(store.path.parent.glob(f"{glob.escape(store.path.name)}.*.schema-*"))


@dataclass(frozen=True)
class Today:
    """What is installed: ttnn, and the revisions that the code of today gives to its answers."""

    ttnn_version: str
    revisions: Collection[str]
    execution_revisions: Collection[str]


@dataclass(frozen=True)
class StaleRows:
    """Rows that nothing of today reads.

    ``what`` is "probes", "executions", "measurements" (of another revision of the code),
    "other-ttnn" (these of another ttnn version) or "studies" (of another ttnn version, one each);
    ``of`` says it in words.
    """

    what: str
    of: str
    number: int


_OTHER = "other-ttnn"


def find_stale_rows(store: Store, today: Today) -> list[StaleRows]:
    """Return what of a database nothing reads while the versions of today are installed.

    A study of another ttnn version can be shown and compared, but not gone on with.

    Raises:
        StoreError: if the database refuses.
    """
    study, trial = schema.StudyRow, schema.TrialRow
    old_studies = (
        select(study.name, study.ttnn_version, func.count(trial.id))
        .outerjoin(trial, trial.study_id == study.id)
        .where(study.ttnn_version != today.ttnn_version)
        .group_by(study.id, study.name, study.ttnn_version)
        .order_by(study.id)
    )
    found = []
    with store.connection("BEGIN") as connection:
        for what, of, table, condition in _conditions(today):
            number = connection.scalar(select(func.count()).select_from(table).where(condition))
            if number:
                found.append(StaleRows(what, of, number))
        for name, version, trials in connection.execute(old_studies):
            found.append(StaleRows("studies", f"{name} (ttnn {version})", trials))
    return found


def delete_stale_rows(store: Store, today: Today, what: Collection[str]) -> dict[str, int]:
    """Delete the leftovers of some kinds; return how many rows of each, of studies their trials.

    Raises:
        StoreError: if the database refuses; what was deleted before stays deleted.
    """
    deleted: dict[str, int] = {}
    with store.connection("BEGIN IMMEDIATE") as connection:
        for kind, _, table, condition in _conditions(today):
            if kind in what:
                rows = connection.execute(delete(table).where(condition)).rowcount
                deleted[kind] = deleted.get(kind, 0) + rows
    if "studies" in what:
        old = [item for item in find_stale_rows(store, today) if item.what == "studies"]
        for item in old:
            forget_study(store, item.of.rpartition(" (")[0])
        deleted["studies"] = sum(item.number for item in old)
    return deleted


def _conditions(
    today: Today,
) -> Iterator[tuple[str, str, type[Base], ColumnElement[bool]]]:
    """Yield kinds of leftovers but studies, in words, with what holds for their rows."""
    probe, execution, time = schema.ProbeRow, schema.ExecutionRow, schema.MeasurementRow
    rows = (
        ("probes", probe, today.revisions),
        ("executions", execution, today.execution_revisions),
        ("measurements", time, today.revisions),
    )
    for name, table, revisions in rows:
        of_today = table.ttnn_version == today.ttnn_version
        yield name, "of another revision", table, of_today & table.revision.not_in(revisions)
    for name, table, _ in rows:
        yield _OTHER, f"{name} of another version", table, table.ttnn_version != today.ttnn_version
