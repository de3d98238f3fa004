"""What went wrong with a database, in one message that names it and the way out."""

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from autosched.errors import StoreError
from autosched.store.passwords import hide_passwords

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
