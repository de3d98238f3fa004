"""Files that are kept and made again when they are needed: where, how many, and their room."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autosched.device.machine import cache_dir, kernel_directories
from autosched.device.mock.kernel_cache import count_kernels, empty

KERNELS, SIMULATOR, REPORTS = "kernels", "simulator", "reports"
_BLOCK_BYTES = 512
"""The unit of ``st_blocks``, whatever the file system's is."""


@dataclass(frozen=True)
class Cache:
    """What is kept in one place.

    ``what`` is "kernels" (those of the mock device, of one ttnn version and board), "simulator"
    (kernels that were compiled for it, of one ttnn version and architecture) or "reports" (of
    failures of autosched); ``number`` is that of kernels or reports, ``size_bytes`` their room on
    disk.
    """

    what: str
    place: Path
    number: int
    size_bytes: int


def find_caches() -> Iterator[Cache]:
    """Yield every cache that has something in it; of large ones this takes seconds."""
    for directory in kernel_directories():
        size = _size_of(directory)
        if size:
            yield Cache(KERNELS, directory, count_kernels(directory), size)
    for directory in sorted(cache_dir().glob("ttnn-*/simulator/*")):
        places = sorted(directory.glob("kernels-*"))
        if places:
            number = sum(map(count_kernels, places))
            yield Cache(SIMULATOR, directory, number, sum(map(_size_of, places)))
    reports = reports_dir()
    number = sum(1 for _ in reports.glob("*.txt"))
    if number:
        yield Cache(REPORTS, reports, number, _size_of(reports))


def delete_cache(what: str, place: Path) -> bool:
    """Delete a kind of cache; return False where a process uses its kernels, which stay then.

    Whether a simulator runs is not seen.

    Raises:
        OSError: if it cannot be deleted.
    """
    if what == KERNELS:
        return empty(place).kernels is not None
    for item in place.glob("kernels-*" if what == SIMULATOR else "*.txt"):
        shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)
    return True


def reports_dir() -> Path:
    """Return where failures of autosched itself are written down."""
    return cache_dir() / "failures"


def _size_of(directory: Path) -> int:
    """Return the bytes that all files below a directory take on disk."""
    return sum(
        _room_of(os.path.join(place, name))
        for place, _, names in os.walk(directory)
        for name in names
    )


def _room_of(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * _BLOCK_BYTES
    except OSError:  # deleted meanwhile
        return 0
