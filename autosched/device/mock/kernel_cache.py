"""The placeholder kernels that tt-metal keeps for the mock device: how many, and until when.

tt-metal keeps fourteen small files for each kernel and deletes none. They are soon made again, so
that the oldest go where a process begins and nobody else uses the directory.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autosched.files import share_lock, try_lock

MOST_KERNELS = 8_000
_PATIENCE_S = 2.0
_LOCK = "in_use"
_held: dict[Path, int] = {}


@dataclass(frozen=True)
class Emptied:
    """How many kernels of a directory were deleted; None where a process uses them."""

    directory: Path
    kernels: int | None


def hold(directory: Path, most: int = MOST_KERNELS) -> None:
    """Use the kernels of a board in this process until it ends; nobody deletes them meanwhile.

    Of more than ``most`` the oldest are deleted first, as many as a moment allows. Where the file
    system has no locks nothing is deleted.

    Raises:
        OSError: if the directory cannot be written.
    """
    if directory in _held:
        return
    descriptor = _opened(directory)
    _held[directory] = descriptor
    with suppress(OSError):
        if try_lock(descriptor):
            _prune(directory, most)
        share_lock(descriptor)


def count_kernels(directory: Path) -> int:
    """Return how many kernels of a board there are."""
    return sum(1 for _ in _kernels(directory))


def empty(directory: Path) -> Emptied:
    """Delete all kernels of a board, unless a process uses them.

    Raises:
        OSError: if they cannot be deleted.
    """
    descriptor = _opened(directory)
    try:
        if not try_lock(descriptor):
            return Emptied(directory, None)
        kernels = count_kernels(directory)
        for place in directory.iterdir():
            if place.name != _LOCK:
                shutil.rmtree(place)
        return Emptied(directory, kernels)
    finally:
        os.close(descriptor)


def _opened(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    return os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)


def _kernels(directory: Path) -> Iterator[Path]:
    """Each kernel's directory: ``tt-metal-cache<build>/kernels/<source>/<arguments>``."""
    for place in directory.glob("*/kernels/*"):
        with suppress(OSError):
            yield from place.iterdir()


def _prune(directory: Path, most: int) -> None:
    found = list(_kernels(directory))
    if len(found) <= most:
        return
    until = time.monotonic() + _PATIENCE_S
    for kernel in sorted(found, key=_age)[: len(found) - most // 2]:
        shutil.rmtree(kernel, ignore_errors=True)
        if time.monotonic() > until:
            return


def _age(kernel: Path) -> float:
    try:
        return kernel.stat().st_mtime
    except OSError:
        return 0.0
