"""A device that hangs, crashes, refuses and dawdles: the search completes, and knows what to avoid.

The mock device answers; a wrapper around its process makes it fail, always for some candidates and
now and then for any.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import ProbeRequest, Request
from autosched.device.pool import DevicePool
from autosched.device.worker import WorkerDevice
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind
from autosched.schedule.serialization import digest, to_plain
from autosched.search.open_study import open_study
from autosched.store.database import open_store
from autosched.store.purging import find_quarantined
from tests.examples.networks import BOARD, residual
from tests.examples.studied import QUICK, Studied

_DEADLINE_S = 3.0
_EACH = 20
"""One request in so many hangs, and as many crash, are refused, or take long."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


class Faulty(WorkerDevice):
    """Stops or kills its own worker process at some requests, always the same ones.

    What is refused, and what takes long, is drawn anew each time.
    """

    def __init__(self, board: Board, seed: int) -> None:
        super().__init__(board, deadline_s=60.0)
        self._random = random.Random(seed)
        self.hung: set[str] = set()
        self.crashed: set[str] = set()
        self._answered_once: set[ProbeRequest] = set()
        self.refused = self.slow = 0

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        kind = int(digest(to_plain(request.config)), 16) % _EACH
        name = digest([to_plain(request.op), to_plain(request.config)])
        if kind == 0:
            self.hung.add(name)
            return self._with(signal.SIGSTOP, request, budget)
        if kind == 1:
            self.crashed.add(name)
            return self._with(signal.SIGSEGV, request, budget)
        # What it answered once is how a search tells a lost device from a bad configuration.
        spurious = None if request in self._answered_once else self._drawn(request)
        answer = spurious or super().probe(request, budget)
        if isinstance(answer, ProbeOutcome):
            self._answered_once.add(request)
        return answer

    def _with(self, number: int, request: Request, budget: Budget) -> ProbeOutcome | Rejection:
        self.start(budget)
        assert self.pid is not None
        os.kill(self.pid, number)
        before, self.deadline_s = self.deadline_s, _DEADLINE_S
        try:
            assert isinstance(request, ProbeRequest)
            return super().probe(request, budget)
        finally:
            self.deadline_s = before

    def _drawn(self, request: Request) -> Rejection | None:
        drawn = self._random.randrange(_EACH)
        if drawn == 0:
            self.refused += 1
            return Rejection(RejectionKind.UNCLASSIFIED, f"refused for once: {request.shape}")
        if drawn == 1:
            self.slow += 1
            time.sleep(0.2)
        return None


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.fixture
def devices() -> Iterator[list[Faulty]]:
    found = [Faulty(BOARD, seed) for seed in range(2)]
    yield found
    for device in found:
        device.close()


def test_a_search_completes_and_quarantine_holds_what_failed_always(
    studied: Studied, devices: list[Faulty], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/faults.sqlite3"
    with open_store(url) as store:
        # Lost ten times in a row a device is asked what it answered before, and goes on.
        with (
            DevicePool(devices) as pool,
            open_study(store, residual(), "n150", QUICK, "faults", pool) as study,
        ):
            began = resident_bytes()
            best = study.optimize(trials=4)
            grown = resident_bytes() - began
        held = find_quarantined(store)
    hung = set().union(*(device.hung for device in devices))
    crashed = set().union(*(device.crashed for device in devices))
    kinds = [item.rejection.kind for item in held]
    print(  # noqa: T201 - the figures of a soak
        f"{len(hung)} hung, {len(crashed)} crashed, {sum(d.refused for d in devices)} refused, "
        f"{sum(d.slow for d in devices)} slow; {len(held)} in quarantine, "
        f"{grown / 2**20:.0f} MiB more"
    )
    assert best is not None
    assert hung
    assert crashed
    assert kinds.count(RejectionKind.HANG) >= len(hung)
    assert kinds.count(RejectionKind.CRASH) >= len(crashed)
    digests = {digest(to_plain(item.config)) for item in held}
    assert all(int(name, 16) % _EACH in (0, 1) for name in digests)
    assert not [child for child in psutil.Process().children() if child.status() == "zombie"]
    assert grown < 400 * 2**20
    assert best.latency_us is not None
    assert best.latency_us >= studied.best.latency_us * 0.999
