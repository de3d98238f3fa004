"""What is wrong with a database or a row of it, in one message that names it and the way out.

Another program, a failing disk or an attacker may have changed rows; SQLite keeps any value in any
column. What is read of one passes :func:`check_row` before it is used.
"""

import math
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from autosched.errors import StoreError
from autosched.passwords import hide_passwords
from autosched.schedule.outcomes import RejectionKind, TimeKind, Verdict
from autosched.store import models

_WORDS: Mapping[str, frozenset[str]] = {
    "state": frozenset({"complete", "rejected"}),
    "status": frozenset({"waiting", "running", "finished", "failed", "cancelled"}),
    "latency_kind": frozenset(kind.value for kind in TimeKind),
    "rejection": frozenset(kind.value for kind in RejectionKind),
    "rejection_kind": frozenset(kind.value for kind in RejectionKind),
    "verdict": frozenset(verdict.value for verdict in Verdict),
}
# What a constant output agrees with is not a number.
_AGREEMENTS = frozenset({"pcc", "concordance"})
_LONGEST = 200
_Check = Callable[[Any], str]


def damaged(where: str, why: str, way_out: str = "") -> StoreError:
    """Return the error for a row; ``where`` names database, table and row."""
    way_out = way_out or "delete all that is damaged with: autosched db purge --damaged"
    short = why if len(why) <= _LONGEST else why[:_LONGEST] + "..."
    return StoreError(
        f"{where}: the stored value cannot be read ({short}). The row is damaged or was written by "
        f"another version of autosched; restore the database from a backup, or {way_out}"
    )


def check_row(table: type[models.Base], row: Mapping[Any, Any], place: str) -> None:
    """Make sure that each value of a row is of its column's kind.

    ``row`` has the values of its id and of some other columns.

    Raises:
        StoreError: naming database, table and row.
    """
    checks = _checks(table)
    for name, value in row.items():
        if why := checks[name](value):
            where = f"{place}: {table.__tablename__} {row.get('id')}"
            raise damaged(where, f"{name}: {why}", _way_out(table, row))


def _way_out(table: type[models.Base], row: Mapping[Any, Any]) -> str:
    if table is not models.StudyRow or not isinstance(row.get("name"), str):
        return ""
    return f"forget the study with: {shlex.join(['autosched', 'delete', row['name']])}"


def check_entity(entity: models.Base, place: str) -> None:
    """Make sure of the same of a whole row.

    Raises:
        StoreError: naming database, table and row.
    """
    names = _checks(type(entity))
    check_row(type(entity), {name: getattr(entity, name) for name in names}, place)


@cache
def _checks(table: type[models.Base]) -> dict[str, _Check]:
    return {column.name: _check_of(column) for column in table.__table__.columns}


def _check_of(column: Any) -> _Check:
    kind: type[Any] = list if column.name == "input_layouts" else column.type.python_type
    words = _WORDS.get(column.name)

    def check(value: Any) -> str:
        if value is None:
            return "" if column.nullable else "there is none"
        if isinstance(value, models.Unreadable):
            return value.why
        if kind is float:
            return _number(value, may_be_nan=column.name in _AGREEMENTS)
        if not isinstance(value, kind):
            return f"expected {kind.__name__}, not {type(value).__name__}"
        return _word(value, words)

    return check


def _number(value: Any, *, may_be_nan: bool) -> str:
    if not isinstance(value, int | float) or not (may_be_nan or math.isfinite(value)):
        return f"expected a number, not {str(value)[:40]}"
    return ""


def _word(value: Any, words: Iterable[str] | None) -> str:
    if words is None or value in words:
        return ""
    return f"{value[:40]!r} is not one of {', '.join(sorted(words))}"


# Texts of SQLite's result codes and of PostgreSQL's SQLSTATE conditions, and what to do.
_CAUSES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("file is not a database", "file is encrypted"),
        "{place} is not a SQLite database. Name another file, or move this one away",
    ),
    (
        ("database disk image is malformed",),
        "{place} is a damaged SQLite database. Restore it from a backup, or save what is left "
        "with `sqlite3 FILE .recover`",
    ),
    (
        ("readonly database", "read-only transaction"),
        "{place} cannot be written: the database, or the directory it is in, is read-only. "
        "Change its permissions, or name another database",
    ),
    (
        ("unable to open database file",),
        "{place} cannot be opened: its directory is missing or read-only, or it is no regular "
        "file. Create the directory, change its permissions, or name another database",
    ),
    (
        ("database or disk is full", "No space left on device", "disk full"),
        "{place} cannot grow: the disk is full. Free some space and run again; every finished "
        "trial is kept",
    ),
    (
        ("disk I/O error",),
        "{place} cannot be read or written: the disk reports an I/O error. Check the disk and its "
        "free space, or name a database on another one",
    ),
    (
        ("database is locked", "database table is locked", "lock timeout"),
        "{place} is locked: another process has been writing to it for more than {timeout_s:g} s"
        "{holders}. Wait for that process or stop it, and run again",
    ),
)


def explain_database_error(
    error: SQLAlchemyError, place: str, path: Path | None, timeout_s: float
) -> StoreError:
    """Return the message for an error of SQLAlchemy or its driver.

    Args:
        error: What SQLAlchemy raised.
        place: The database as it may be printed.
        path: The file, for SQLite.
        timeout_s: How long a lock was waited for.
    """
    text = str(getattr(error, "orig", None) or error).strip()
    for signs, message in _CAUSES:
        if any(sign in text for sign in signs):
            holders = _holders(path) if "{holders}" in message else ""
            return StoreError(message.format(place=place, timeout_s=timeout_s, holders=holders))
    first_line = text.partition("\n")[0]
    if path is None and getattr(error, "connection_invalidated", False):
        return StoreError(f"{place}: the connection was lost ({first_line}). Run again")
    return StoreError(f"{place}: the database refuses: {hide_passwords(first_line)}")


def unreachable(error: SQLAlchemyError, place: str) -> StoreError:
    """Return the message for a server that cannot be connected to."""
    text = str(getattr(error, "orig", None) or error).strip()
    reason = next((line for line in text.splitlines() if line.strip()), "no answer")
    return StoreError(
        f"{place} cannot be reached: {reason.strip()}. Start the server, or correct host, port, "
        "user, password and database name in the URL"
    )


def _holders(path: Path | None) -> str:
    """Name the other processes of this machine that have the file open, where that is known."""
    if path is None:
        return ""
    names = [f"process {pid} ({_command(pid)})" for pid in _processes_with(path)]
    return f"; it is open in {', '.join(names)}" if names else ""


def _processes_with(path: Path) -> Iterator[int]:
    target = str(path.resolve())
    for directory in sorted(Path("/proc").glob("[0-9]*")):
        pid = int(directory.name)
        if pid != os.getpid() and target in _open_files(directory):
            yield pid


def _open_files(process: Path) -> set[str]:
    try:
        return {os.readlink(link) for link in (process / "fd").iterdir()}
    except OSError:  # another user's process, or one that has just ended
        return set()


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended"
    return hide_passwords(b" ".join(words).decode(errors="replace")).strip()[:80]
