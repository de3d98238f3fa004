"""What a search takes of the machine's memory, workers included."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 0.2
_END_S = 5.0
_PROC = Path("/proc")
# Of /proc/PID/stat, counted after the process's name, which may hold spaces.
_PARENT, _RSS_PAGES = 1, 21


@dataclass
class PeakMemory:
    """The most that a process and its descendants held together, in bytes, as far as seen.

    Pages that several of them share are counted in each. 0 where there is no ``/proc``.
    """

    rss_bytes: int = 0


@contextmanager
def watched_memory() -> Iterator[PeakMemory]:
    """Look at the memory of this process and its descendants while the body runs."""
    peak = PeakMemory()
    over = threading.Event()

    def watch() -> None:
        while True:
            peak.rss_bytes = max(peak.rss_bytes, sum(family(os.getpid()).values()))
            if over.wait(_EVERY_S):
                return

    watcher = threading.Thread(target=watch, daemon=True, name="memory")
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join(_END_S)


def family(pid: int) -> dict[int, int]:
    """Return the resident bytes of a process and of all its descendants, by process id."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(entry.name)] = int(fields[_PARENT])
        sizes[int(entry.name)] = int(fields[_RSS_PAGES]) * os.sysconf("SC_PAGE_SIZE")
    return {one: size for one, size in sizes.items() if _descends(one, pid, parents)}


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid != ancestor:
        if pid not in parents:
            return False
        pid = parents[pid]
    return True
