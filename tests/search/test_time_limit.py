import time

import pytest

from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import ProbeCounts
from autosched.search.loop import SilentObserver
from autosched.search.time_limit import TimeLimited, TimeUpError


class Recorder(SilentObserver):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_probing(self, layer: str, done: int, total: int, counts: ProbeCounts) -> None:
        self.seen.append((layer, done, total, counts.run))

    def on_bound(self, proof: Proof) -> None:
        self.seen.append(proof)


def test_before_the_deadline_everything_is_passed_on() -> None:
    recorder = Recorder()
    limited = TimeLimited(recorder, time.monotonic() + 60)
    limited.on_probing("conv1", 1, 2, ProbeCounts(run=3))
    proof = Proof(1.5, 1.5, optimal=True, seconds=0.1)
    limited.on_bound(proof)
    assert recorder.seen == [("conv1", 1, 2, 3), proof]


def test_after_it_the_probing_ends() -> None:
    recorder = Recorder()
    with pytest.raises(TimeUpError):
        TimeLimited(recorder, time.monotonic() - 1).on_probing("conv1", 1, 2, ProbeCounts())
    assert recorder.seen == []
