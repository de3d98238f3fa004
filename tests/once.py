"""What a run of the tests makes once, though several xdist workers ask for it."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

Made = TypeVar("Made")


class OncePerRun:
    """Makes each thing in the worker that asks first; the others wait, and read what it kept.

    For data only: what is made is pickled, and its files must be the same for whoever reads them,
    so no test may change them. A device is a process of each worker's own.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, name: str, make: Callable[[Path], Made]) -> Made:
        """Return what ``make`` makes of an empty directory of its own, which stays."""
        place, kept = self._directory / name, self._directory / f"{name}.pickle"
        with FileLock(self._directory / f"{name}.lock"):
            if not kept.exists():
                place.mkdir()
                made = pickle.dumps(make(place))
                kept.write_bytes(made)
        found: Made = pickle.loads(kept.read_bytes())  # noqa: S301 - written above
        return found


def directory_of_run(directory_of_worker: Path) -> Path:
    """Pytest's directory of this run: that of xdist's workers is one below it."""
    is_xdist = "PYTEST_XDIST_WORKER" in os.environ
    return directory_of_worker.parent if is_xdist else directory_of_worker
