"""What may be thrown away: caches on disk, and rows of the database that nothing of today reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autosched.device.caches import delete_cache, find_caches
from autosched.device.machine import ttnn_version
from autosched.device.revisions import current_execution_revisions, current_revisions
from autosched.errors import MachineError, StudyError
from autosched.service.search_files import (
    default_directory,
    delete_files,
    find_ended,
    searches_of,
)
from autosched.store.database import Store
from autosched.store.upkeep import Today, backups_of, delete_stale_rows, find_stale_rows

MADE_AGAIN = ("kernels", "reports", "probes", "executions")
"""Kinds of leftovers that are made again where they are needed."""
NAMED = ("simulator", "backups", "searches", "measurements", "other-ttnn", "studies")
"""Kinds that are not, or only by much work."""
KEPT, DELETED, IN_USE = "kept", "deleted", "in use"
_BACKUPS, _SEARCHES = "backups", "searches"


@dataclass(frozen=True)
class Leftover:
    """What may go: a kind, a path or which rows, how many; ``size_bytes`` is None of rows."""

    what: str
    of: str
    number: int
    size_bytes: int | None


def chosen_kinds(what: Sequence[str] | None) -> tuple[str, ...]:
    """Return the kinds that are named, or those that are made again.

    Raises:
        StudyError: if there is no such kind.
    """
    unknown = sorted(set(what or ()) - {*MADE_AGAIN, *NAMED})
    if unknown:
        known = ", ".join((*MADE_AGAIN, *NAMED))
        raise StudyError(f"--what {unknown[0]!r} is nothing to delete; there are {known}")
    return tuple(what) if what else MADE_AGAIN


def find_leftovers(store: Store | None) -> list[Leftover]:
    """Return all that may go of this machine's caches, and of a database if there is one.

    Raises:
        StoreError: if the database refuses.
    """
    caches = list(find_caches())
    found = [Leftover(item.what, str(item.place), item.number, item.size_bytes) for item in caches]
    if store is not None:
        copies = backups_of(store)
        found += [Leftover(_BACKUPS, str(path), 1, path.stat().st_size) for path in copies]
        found += _ended_searches(store)
        rows = find_stale_rows(store, today())
        found += [Leftover(item.what, item.of, item.number, None) for item in rows]
    return sorted(found, key=lambda item: (*MADE_AGAIN, *NAMED).index(item.what))


def today() -> Today:
    """Return what is installed, by which records are judged."""
    return Today(ttnn_version(), current_revisions(), current_execution_revisions())


def delete_leftovers(meant: Sequence[Leftover], store: Store | None) -> dict[Leftover, str]:
    """Delete what is meant; return what became of each: DELETED, or IN_USE.

    Raises:
        MachineError: if a file cannot be deleted.
        StoreError: if the database refuses.
    """
    states = {item: DELETED if item.size_bytes is None else _deleted(item, store) for item in meant}
    if store is not None:
        delete_stale_rows(store, today(), {item.what for item in meant})
    return states


def _ended_searches(store: Store) -> list[Leftover]:
    """Return what searches of a service have left that have ended, with their number."""
    searches = _searches(store)
    files = find_ended(store, searches)
    number, size = len({file.number for file in files}), sum(file.size_bytes for file in files)
    return [Leftover(_SEARCHES, str(searches), number, size)] if files else []


def _searches(store: Store) -> Path:
    return searches_of(store, default_directory(store))


def _deleted(item: Leftover, store: Store | None) -> str:
    place = Path(item.of)
    try:
        if item.what == _BACKUPS:
            place.unlink()
        elif item.what == _SEARCHES:
            delete_files(find_ended(store, place) if store else [])
        elif not delete_cache(item.what, place):
            return IN_USE
    except OSError as error:
        raise MachineError(
            f"{error.filename or item.of}: it cannot be deleted: {error.strerror}. Its owner can"
        ) from None
    return DELETED
