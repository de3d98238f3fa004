import time
import tracemalloc

from autosched.bench.speed import proposals_ms
from tests.examples.studied import Studied


def test_every_proposal_is_timed(either: Studied):
    begin = time.perf_counter()
    times = proposals_ms(either.joint)
    assert len(times) == 20
    assert min(times) > 0
    assert sum(times) <= 1e3 * (time.perf_counter() - begin)
    assert not tracemalloc.is_tracing()
