import json
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from optuna.samplers import NSGAIISampler, TPESampler

from autosched.bench.bench import Bench
from autosched.bench.comparison import (
    DEFAULT,
    HAND_TUNED,
    METHODS,
    START_UP,
    MethodResult,
    MethodRun,
    NetworkComparison,
    Point,
    compare,
)
from autosched.device.interface import Device
from autosched.errors import SearchError
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind
from autosched.search.settings import Settings
from autosched.store.database import Store, open_store
from tests.examples.devices import Scripted
from tests.examples.studied import Studied, copied

REFUSED = Rejection(RejectionKind.INVALID, "not today", "stem")
METHOD_FIELDS = {
    "name",
    "latency_us",
    "latency_kind",
    "ratio",
    "trials_to_1pct",
    "seconds_to_1pct",
    "reshards",
    "peak_l1_bytes",
    "rejected",
}


class Heard:
    """Notes which methods ran with which seeds."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int | None]] = []
        self.ended: list[str] = []

    def on_method(self, network: str, method: str, seed: int | None) -> None:
        assert network == "residual"
        self.started.append((method, seed))

    def on_result(self, network: str, result: MethodResult) -> None:
        assert network == "residual"
        self.ended.append(result.name)


def bench_of(studied: Studied, store: Store, device: Device | None = None) -> Bench:
    bench = Bench(studied.network, device or studied.device(), store, Settings(effort="quick"))
    bench.prepare(lambda *_progress: None)
    return bench


@pytest.fixture
def bench(studied: Studied, probed: Store) -> Bench:
    return bench_of(studied, probed)


@pytest.fixture(scope="module")
def compared(
    studied: Studied, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NetworkComparison]:
    """All methods side by side; a value, so one for all tests that look at it."""
    path = tmp_path_factory.mktemp("compared") / "store.sqlite3"
    with open_store(copied(studied.url, path)) as store:
        bench = bench_of(studied, store)
        yield compare(
            bench, Heard(), trials=4, seeds=range(2), methods=tuple(METHODS), sampler_trials=100
        )


def by_name(comparison: NetworkComparison) -> dict[str, dict]:
    return {method["name"]: method for method in comparison.to_plain()["methods"]}


def test_a_bench_asks_the_device_for_no_probe_that_is_stored(studied: Studied, probed: Store):
    device = Scripted(studied.device())
    bench = bench_of(studied, probed, device)
    assert not device.probes
    assert bench.book.counts.reused
    assert bench.prepared.problem == studied.joint.problem


def test_every_method_takes_part_and_only_samplers_have_seeds(bench: Bench):
    heard = Heard()
    compare(bench, heard, trials=2, seeds=range(2), methods=tuple(METHODS), sampler_trials=100)
    seeds: dict[str, list[int | None]] = {}
    for method, seed in heard.started:
        seeds.setdefault(method, []).append(seed)
    rules = {key: [None] for key in (DEFAULT, "height", "greedy")}
    samplers = {key: [0, 1] for key in ("random", "tpe", "nsga2", "mutation", "joint")}
    assert seeds == {**rules, **samplers}
    assert heard.ended == [name for name in METHODS if name != HAND_TUNED]


def test_optunas_samplers_take_part_on_demand_with_trials_of_their_own(bench: Bench):
    heard = Heard()
    compare(bench, heard, trials=2, seeds=[0])
    assert not {"random", "tpe", "nsga2"} & set(heard.ended)
    methods = ("random", "tpe", "mutation")
    found = compare(bench, Heard(), trials=2, seeds=[0], methods=methods, sampler_trials=20)
    runs = {method.name: method.runs[0].points for method in found.methods}
    assert len(runs["mutation"]) <= 2 < len(runs["random"]) <= 20
    # Of one seed, both draw the same at first, and then no longer.
    drawn = [[point.latency_us for point in runs[name]] for name in ("random", "tpe")]
    assert drawn[0][:10] == drawn[1][:10]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(("name", "drawn"), [("tpe", 10), ("nsga2", 50)])
def test_a_sampler_that_would_mostly_draw_at_random_is_refused(bench: Bench, name: str, drawn: int):
    words = f"{name} draws its first {drawn} trials at random, .* {2 * drawn} or more with"
    with pytest.raises(SearchError, match=words):
        compare(
            bench, Heard(), trials=500, seeds=[0], methods=(name,), sampler_trials=2 * drawn - 1
        )


def test_the_trials_drawn_at_random_are_optunas():
    assert START_UP["tpe"] == TPESampler()._n_startup_trials
    assert START_UP["nsga2"] == NSGAIISampler()._population_size


def test_a_hand_tuned_schedule_takes_part_where_there_is_one(bench: Bench, studied: Studied):
    schedule = studied.best.schedule
    made = replace(schedule.provenance, published_us=(90.0, 110.0))
    by_hand = replace(schedule, provenance=made)
    found = compare(bench, Heard(), trials=1, seeds=[0], hand_tuned=by_hand, methods=(HAND_TUNED,))
    assert by_name(found)[HAND_TUNED]["latency_us"] == pytest.approx(studied.best.latency_us)
    assert found.to_plain()["published_us"] == [90.0, 110.0]


def test_the_json_has_every_field_and_no_number_json_lacks(compared: NetworkComparison):
    plain = compared.to_plain()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert {"network", "board", "batch", "bound_us", "optimal", "methods"} <= plain.keys()
    assert all(method.keys() >= METHOD_FIELDS for method in plain["methods"])
    assert (plain["network"], plain["board"], plain["batch"]) == ("residual", "n150", 1)


def test_nothing_made_of_the_tables_is_faster_than_their_bound(
    compared: NetworkComparison, studied: Studied
):
    assert compared.bound_us == pytest.approx(studied.bound_us)
    assert compared.optimal
    ratios = [method["ratio"] for method in by_name(compared).values() if method["ratio"]]
    assert min(ratios) >= 1 - 1e-9


def test_joint_is_no_worse_than_any_other_and_is_there_at_once(compared: NetworkComparison):
    methods = by_name(compared)
    found = [method["latency_us"] for method in methods.values() if method["latency_us"]]
    assert methods["joint"]["latency_us"] == pytest.approx(min(found))
    assert methods["joint"]["trials_to_1pct"] == 1
    assert methods[DEFAULT]["trials_to_1pct"] is None


def test_estimates_are_called_so(compared: NetworkComparison):
    kinds = {method["latency_kind"] for method in by_name(compared).values()}
    assert kinds <= {"estimated", None}


def test_rules_run_without_a_time_and_are_slower_than_the_optimum(compared: NetworkComparison):
    methods = by_name(compared)
    assert methods["greedy"]["latency_us"] is not None
    assert methods["height"]["latency_us"] is not None


def test_equal_schedules_run_once_on_the_mock_device(studied: Studied, probed: Store):
    device = Scripted(studied.device())
    bench = bench_of(studied, probed, device)
    first = bench.run(studied.best.schedule, "one")
    second = bench.run(studied.best.schedule, "two")
    assert len(device.schedules) == 1
    assert (first.record.sampler, second.record.sampler) == ("one", "two")
    assert second.seconds == first.seconds


def test_a_method_whose_every_trial_is_rejected_has_no_latency(studied: Studied, probed: Store):
    device = Scripted(studied.device(), run=lambda _schedule: REFUSED)
    bench = bench_of(studied, probed, device)
    found = by_name(
        compare(bench, Heard(), trials=3, seeds=[0], methods=(DEFAULT, "random"), sampler_trials=3)
    )
    for name, trials in ((DEFAULT, 1), ("random", 3)):
        method = found[name]
        assert (method["latency_us"], method["ratio"], method["trials_to_1pct"]) == (None,) * 3
        assert method["rejected"] == method["trials"] == trials


def test_a_rule_gives_way_until_the_device_takes_a_schedule(studied: Studied, probed: Store):
    real = studied.device()
    refusals = iter([REFUSED])
    device = Scripted(real, run=lambda schedule: next(refusals, None) or real.run(schedule))
    found = by_name(
        compare(bench_of(studied, probed, device), Heard(), trials=3, seeds=[], methods=("greedy",))
    )["greedy"]
    assert found["rejected"] == 1
    assert found["trials"] > 1


def point(latency_us: float | None, elapsed_s: float = 0.0) -> Point:
    if latency_us is None:
        return Point(None, None, elapsed_s, rejection=REFUSED)
    return Point(latency_us, TimeKind.ESTIMATED, elapsed_s)


def test_a_run_knows_when_it_came_near():
    run = MethodRun(0, (point(None, 1.0), point(120.0, 2.0), point(100.5, 3.0), point(110.0, 4.0)))
    assert run.reaches(101.0) == (3, 3.0)
    assert run.reaches(100.0) == (math.inf, math.inf)
    assert run.best_so_far() == [None, 120.0, 100.5, 100.5]
    assert run.best_us == 100.5


def test_the_median_seed_speaks_for_a_method():
    runs = tuple(MethodRun(seed, (point(us, us),)) for seed, us in enumerate((100.0, 300.0, 200.0)))
    result = MethodResult("random", runs)
    plain = result.to_plain(bound_us=100.0, best_us=100.0)
    assert (plain["latency_us"], plain["ratio"]) == (200.0, 2.0)
    assert plain["trials_to_1pct"] is None
    assert plain["seeds"] == {"0": 100.0, "1": 300.0, "2": 200.0}
    assert plain["range_us"] == [100.0, 300.0]
    assert MethodResult("random", runs[:1]).to_plain(100.0, 100.0)["range_us"] is None
    assert result.to_plain(100.0, best_us=199.0)["trials_to_1pct"] == 1
