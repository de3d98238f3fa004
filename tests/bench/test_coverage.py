"""Networks and boards: every one is a row, whatever happens to it."""

import json

from autosched.bench.coverage import Captured, CoverageRow, capture_timed, cover
from autosched.errors import UnsupportedOperatorError
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind
from autosched.search.settings import Settings
from autosched.store.database import Store
from tests.examples.devices import Scripted
from tests.examples.studied import Studied


class Heard:
    def on_method(self, *_arguments: object) -> None: ...
    def on_result(self, *_arguments: object) -> None: ...


def covered(studied: Studied, store: Store, collection: list[Captured]) -> list[CoverageRow]:
    found = cover(
        collection,
        studied.device(),
        store,
        Settings(effort="quick"),
        trials=2,
        progress=lambda *_progress: None,
        watcher=Heard(),
    )
    return list(found)


def test_what_raises_is_a_reason():
    def refused():
        raise UnsupportedOperatorError("net: 1 operator\n  cannot be scheduled")

    def broken():
        raise KeyError("x")

    assert capture_timed("net", refused).reason == "1 operator cannot be scheduled"
    assert capture_timed("net", broken).reason == "KeyError: 'x'"


def test_a_failing_network_does_not_stop_the_rest(studied: Studied, probed: Store):
    good = capture_timed("good", lambda: studied.network)
    collection = [Captured("bad", None, 0.5, "no"), good, good]
    bad, first, again = covered(studied, probed, collection)
    assert (bad.captured, bad.feasible, bad.reason) == (False, False, "no")
    assert (first.captured, first.feasible, first.reason) == (True, True, "")
    assert first.inputs == (studied.network.layers[0].shape,)
    assert (first.shared_kinds, again.shared_kinds) == (0, again.kinds)
    assert first.bound_us is not None
    assert first.best_us is not None
    assert first.default_us is not None
    assert first.bound_us <= first.best_us < first.default_us
    assert first.gain == first.default_us / first.best_us
    assert first.gap == first.best_us / first.bound_us - 1
    assert first.latency_kind is TimeKind.ESTIMATED
    assert first.computing_share is not None
    assert 0 < first.computing_share < 1
    # Everything was stored by an earlier study: coverage goes on where it stopped.
    assert first.probes_run == 0
    assert first.probes_reused > 0


def test_a_device_that_breaks_is_a_row(studied: Studied, probed: Store):
    device = Scripted(studied.device())

    def load(_network: object) -> None:
        raise OSError("gone")

    device.load = load  # type: ignore[method-assign]
    item = capture_timed("net", lambda: studied.network)
    (row,) = cover([item], device, probed, Settings(), trials=1, progress=print, watcher=Heard())
    assert row.captured
    assert not row.feasible
    assert row.reason == "OSError: gone"


def test_a_network_no_schedule_of_which_runs_says_why(studied: Studied, probed: Store):
    refused = Rejection(RejectionKind.L1_OVERFLOW, "too\nlarge", "stem")
    device = Scripted(studied.device(), run=lambda _schedule: refused)
    item = capture_timed("net", lambda: studied.network)
    (row,) = cover(
        [item],
        device,
        probed,
        Settings(effort="quick"),
        trials=1,
        progress=lambda *_progress: None,
        watcher=Heard(),
    )
    assert not row.feasible
    assert row.reason == "stem: L1 overflow: too large"
    assert (row.gain, row.gap) == (None, None)


def test_rows_are_json():
    row = CoverageRow("net", "n150", ((1, 3, 8, 8),), default_us=3.0, best_us=2.0, bound_us=1.0)
    plain = json.loads(json.dumps(row.to_plain()))
    assert plain["inputs"] == [[1, 3, 8, 8]]
    assert (plain["gain"], plain["gap"], plain["feasible"]) == (1.5, 1.0, True)
