"""What searches leave in the directory of a service: whose each file is, and which are old."""

import hashlib
import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autosched.service.submissions import newest_ended, unfinished
from autosched.store.database import Store

KEPT_DAYS = 30
KEPT_SEARCHES = 500
_NAME = re.compile(r"([0-9]{1,18})(?:\.txt|\.json|-start\.json)")
_DAY_S = 24 * 3600


def default_directory(store: Store) -> Path:
    """Return where a service keeps its files: beside a SQLite file, or in the user's directory."""
    if store.path is not None:
        return store.path.with_name(f"{store.path.name}.service")
    home = Path(os.environ.get("XDG_DATA_HOME", ""))
    base = home if home.is_absolute() else Path.home() / ".local" / "share"
    return base / "autosched" / "service"


def searches_of(store: Store, directory: Path) -> Path:
    """Return where searches of a database have their files, below the directory of a service.

    Submissions of several databases have the same numbers: what is not of one SQLite file alone
    has a directory for each.
    """
    place = directory / "searches"
    if store.path is not None and directory.resolve() == default_directory(store).resolve():
        return place
    return place / hashlib.sha256(store.shown_url.encode()).hexdigest()[:16]


def said_by(searches: Path, number: int) -> Path:
    """Return the file of what the search of a submission says."""
    return searches / f"{number}.txt"


def ended_with(searches: Path, number: int) -> Path:
    """Return the file of the JSON object that it ends with."""
    return searches / f"{number}.json"


def started_from(searches: Path, number: int) -> Path:
    """Return the file of the schedule that it starts from."""
    return searches / f"{number}-start.json"


@dataclass(frozen=True)
class SearchFile:
    """A file of the search of a submission, written for the last time ``written_s`` after 1970."""

    number: int
    path: Path
    size_bytes: int
    written_s: float


def find_ended(store: Store, searches: Path) -> list[SearchFile]:
    """Return the files of all searches but those whose submissions wait or run.

    Raises:
        StoreError: if the database refuses.
    """
    # What is submitted after this look has no file in it.
    found = _files(searches)
    if not found:
        return []
    kept = unfinished(store)
    return [file for file in found if file.number not in kept]


def delete_old(store: Store, searches: Path) -> int:
    """Delete the files of searches that ended long ago, or that many came after; return how many.

    Raises:
        StoreError: if the database refuses.
        OSError: if one cannot be deleted.
    """
    ended = find_ended(store, searches)
    if not ended:
        return 0
    newest = newest_ended(store, KEPT_SEARCHES)
    long_ago = time.time() - KEPT_DAYS * _DAY_S
    return delete_files(
        [file for file in ended if file.number not in newest or file.written_s < long_ago]
    )


def delete_files(files: Collection[SearchFile]) -> int:
    """Delete files; return how many.

    Raises:
        OSError: if one cannot be deleted.
    """
    for file in files:
        file.path.unlink(missing_ok=True)
    return len(files)


def _files(searches: Path) -> list[SearchFile]:
    found = []
    with suppress(OSError), os.scandir(searches) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name is None or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                found.append(
                    SearchFile(int(name[1]), Path(entry.path), status.st_size, status.st_mtime)
                )
    return sorted(found, key=lambda file: (file.number, file.path))
