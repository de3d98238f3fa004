"""Baselines and samplers side by side: the same probes, the same device, one process.

A method that proposes one schedule runs until the device takes it; a sampler runs its trials once
per seed, stopping early only at the proven bound, which nothing can improve on. Optuna's samplers
know nothing of the problem, and get more trials: after fewer than they draw at random they would
all show the same draws.
"""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from autosched.bench.bench import Bench
from autosched.bench.rule_baselines import RANKING_RULES, RuleBaseline
from autosched.errors import SearchError, TimeUpError
from autosched.network.multiplications import LAYOUT_OPS, computing_share
from autosched.schedule.outcomes import Rejection, TimeKind
from autosched.schedule.schedule import Schedule
from autosched.search.samplers.proposals import SAMPLERS, Proposals
from autosched.store.trials import TrialRecord

DEFAULT, HAND_TUNED = "default", "hand-tuned"
OPTUNA_SAMPLERS = ("random", "tpe", "nsga2")
"""Samplers that know nothing of the problem; compared on demand, with trials of their own."""
START_UP = {"tpe": 10, "nsga2": 50}
"""Trials that a sampler draws at random before it learns from any."""
SAMPLER_TRIALS, SEEDS = 200, 5
"""Trials of each of Optuna's samplers, and runs of every sampler, if nobody says otherwise."""
SAMPLER_ORDER = (*OPTUNA_SAMPLERS, "mutation", "joint")
METHODS = {
    DEFAULT: "ttnn's own choices, every tensor in DRAM",
    **{rule.name: rule.title for rule in RANKING_RULES.values()},
    HAND_TUNED: "a schedule written by hand, where there is one",
    **{name: SAMPLERS[name].title for name in SAMPLER_ORDER},
}
"""Every method by name, with what it does in a line."""
DEFAULT_METHODS = tuple(name for name in METHODS if name not in OPTUNA_SAMPLERS)
"""What is compared where nobody asks for Optuna's samplers."""
NEAR = 0.01


@dataclass(frozen=True)
class Point:
    """One trial of a method: its latency or rejection, and the method's seconds until then.

    ``proposal_s`` is the method's own time for this trial, without the device's; ``reshards``
    counts the device ops that change a layout, those that ttnn inserts included, and
    ``computing_share`` is what convolutions, matrix products, pools, norms and attention take.
    """

    latency_us: float | None
    kind: TimeKind | None
    elapsed_s: float
    proposal_s: float = 0.0
    reshards: int = 0
    computing_share: float | None = None
    peak_l1_bytes: int | None = None
    rejection: Rejection | None = None


@dataclass(frozen=True)
class MethodRun:
    """The trials of one method with one seed; None for methods without chance."""

    seed: int | None
    points: tuple[Point, ...]

    @property
    def best(self) -> Point | None:
        """The fastest trial that ran."""
        ran = [point for point in self.points if point.latency_us is not None]
        return min(ran, key=lambda point: point.latency_us or math.inf, default=None)

    @property
    def best_us(self) -> float:
        """Its latency, infinite where none ran."""
        best = self.best
        return math.inf if best is None or best.latency_us is None else best.latency_us

    def reaches(self, limit_us: float) -> tuple[float, float]:
        """Return the trials and seconds until a latency is at most ``limit_us``; else infinity."""
        for number, point in enumerate(self.points, start=1):
            if point.latency_us is not None and point.latency_us <= limit_us:
                return number, point.elapsed_s
        return math.inf, math.inf

    def best_so_far(self) -> list[float | None]:
        """Return the lowest latency after each trial, None until one has run."""
        best: float | None = None
        series: list[float | None] = []
        for point in self.points:
            if point.latency_us is not None:
                best = point.latency_us if best is None else min(best, point.latency_us)
            series.append(best)
        return series


@dataclass(frozen=True)
class MethodResult:
    """A method's runs, one per seed; its figures are those of the median seed, and the range."""

    name: str
    runs: tuple[MethodRun, ...]

    @property
    def typical(self) -> MethodRun:
        """The run with the median best latency (the lower one of two)."""
        ranked = sorted(self.runs, key=lambda run: run.best_us)
        return ranked[(len(ranked) - 1) // 2]

    @property
    def range_us(self) -> tuple[float, float] | None:
        """The best latencies of the best and the worst seed; None without several that ran."""
        found = [run.best_us for run in self.runs if not math.isinf(run.best_us)]
        return (min(found), max(found)) if len(found) > 1 else None

    def to_plain(self, bound_us: float, best_us: float) -> dict[str, Any]:
        """Return what ``--json`` shows of the method; ``ratio`` is to the proven bound."""
        best = self.typical.best
        reached = [run.reaches(best_us * (1 + NEAR)) for run in self.runs]
        return {
            "name": self.name,
            "latency_us": None if best is None else best.latency_us,
            "latency_kind": None if best is None or best.kind is None else best.kind.value,
            "ratio": None if best is None or not bound_us else self.typical.best_us / bound_us,
            "range_us": None if self.range_us is None else list(self.range_us),
            "trials_to_1pct": _finite(statistics.median_low(number for number, _ in reached)),
            "seconds_to_1pct": _finite(statistics.median_low(seconds for _, seconds in reached)),
            "reshards": None if best is None else best.reshards,
            "peak_l1_bytes": None if best is None else best.peak_l1_bytes,
            "rejected": sum(point.rejection is not None for point in self.typical.points),
            "trials": len(self.typical.points),
            "proposal_ms": 1e3 * statistics.median(p.proposal_s for p in self.typical.points),
            "seeds": {
                str(run.seed): _finite(run.best_us) for run in self.runs if run.seed is not None
            },
        }


@dataclass(frozen=True)
class NetworkComparison:
    """All methods on one network and board.

    ``bound_us`` is the proven lower bound of the probed choices in the order of layers that all
    methods run, ``any_order_us`` that in any order, ``optimal`` whether choices of the tables
    attain the first by their probes. ``bound_kind`` and ``bound_estimated_share`` are those of the
    proof. ``probing_s`` is the time of the probes, which all methods
    share. ``published_us`` is what the author of the hand-tuned choices gives for silicon, the
    least and the most: no time of any method here.
    """

    network: str
    board: str
    batch: int
    bound_us: float
    any_order_us: float
    optimal: bool
    bound_kind: str
    bound_estimated_share: float
    methods: tuple[MethodResult, ...]
    probing_s: float = 0.0
    solving_s: float = 0.0
    probes: dict[str, int] = field(default_factory=dict)
    cost_model: str = ""
    published_us: tuple[float, float] | None = None

    @property
    def best_us(self) -> float:
        """The lowest latency of any method and seed."""
        return min(run.best_us for method in self.methods for run in method.runs)

    def to_plain(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        return {
            "network": self.network,
            "board": self.board,
            "batch": self.batch,
            "bound_us": self.bound_us,
            "bound_any_order_us": self.any_order_us,
            "bound_kind": self.bound_kind,
            "bound_estimated_share": self.bound_estimated_share,
            "optimal": self.optimal,
            "probing_s": round(self.probing_s, 3),
            "solving_s": round(self.solving_s, 3),
            "probes": self.probes,
            "cost_model": self.cost_model,
            "published_us": None if self.published_us is None else list(self.published_us),
            "methods": [method.to_plain(self.bound_us, self.best_us) for method in self.methods],
        }


class Watcher(Protocol):
    """Receives the progress of a comparison."""

    def on_method(self, network: str, method: str, seed: int | None) -> None:
        """A method starts."""

    def on_result(self, network: str, result: MethodResult) -> None:
        """A method has ended."""


def compare(
    bench: Bench,
    watcher: Watcher,
    *,
    trials: int,
    seeds: Sequence[int],
    hand_tuned: Schedule | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    sampler_trials: int = SAMPLER_TRIALS,
) -> NetworkComparison:
    """Run methods on a prepared bench.

    ``hand_tuned`` is left out where it is None. Each sampler gets ``trials`` trials per seed, each
    of Optuna's ``sampler_trials``.

    Raises:
        SearchError: if no schedule of the probed tables fits in L1, or a sampler would do little
            but draw at random.
    """
    check_start_up(methods, sampler_trials)
    proof = bench.proof
    results = []
    for name in methods:
        if name == HAND_TUNED and hand_tuned is None:
            continue
        runs = []
        for seed in seeds if name in SAMPLERS else (None,):
            watcher.on_method(bench.network.name, name, seed)
            budget = sampler_trials if name in OPTUNA_SAMPLERS else trials
            points = _points(bench, name, budget, seed, hand_tuned)
            runs.append(MethodRun(seed, tuple(points)))
        results.append(MethodResult(name, tuple(runs)))
        watcher.on_result(bench.network.name, results[-1])
    return NetworkComparison(
        network=bench.network.name,
        board=bench.board.name,
        batch=bench.network.batch,
        bound_us=proof.bound_us,
        any_order_us=proof.any_order_us,
        optimal=proof.optimal,
        bound_kind=proof.kind,
        bound_estimated_share=proof.estimated_share,
        methods=tuple(results),
        probing_s=bench.probing_s,
        solving_s=proof.seconds,
        probes={"run": bench.book.counts.run, "reused": bench.book.counts.reused},
        cost_model=bench.cost.version,
        published_us=None if hand_tuned is None else hand_tuned.provenance.published_us,
    )


def check_start_up(methods: Sequence[str], sampler_trials: int) -> None:
    """Refuse samplers that would draw more trials at random than they choose.

    Raises:
        SearchError: naming the sampler and the trials it takes.
    """
    for name in methods:
        drawn = START_UP.get(name, 0)
        if sampler_trials < 2 * drawn:
            raise SearchError(
                f"{name} draws its first {drawn} trials at random, as random does, so that "
                f"{sampler_trials} would show little else; give it {2 * drawn} or more with "
                "--sampler-trials, or leave it out"
            )


def _points(
    bench: Bench, name: str, trials: int, seed: int | None, hand_tuned: Schedule | None
) -> Iterator[Point]:
    if name in SAMPLERS:
        return _sampled(bench, name, trials, seed)
    if name in RANKING_RULES:
        return _by_rule(bench, name, trials)
    schedule = hand_tuned
    if name == DEFAULT or schedule is None:
        schedule = bench.default_schedule
    timed = bench.run(schedule, name)
    return iter([_point(bench, timed.record, timed.seconds)])


def _by_rule(bench: Bench, name: str, trials: int) -> Iterator[Point]:
    """Run a rule's schedule, and what it falls back to, until the device takes one."""
    clock = time.perf_counter()
    baseline = RuleBaseline(bench.prepared, bench.formats, RANKING_RULES[name].rank)
    schedule = baseline.schedule(bench.provenance)
    proposal_s = elapsed_s = time.perf_counter() - clock
    for _ in range(max(trials, len(bench.network.layers))):
        timed = bench.run(schedule, name, baseline.joint)
        elapsed_s += timed.seconds
        yield _point(bench, timed.record, elapsed_s, proposal_s)
        rejection = timed.record.rejection
        clock = time.perf_counter()
        if rejection is None or not baseline.reject(rejection):
            return
        schedule = baseline.schedule(bench.provenance)
        proposal_s = time.perf_counter() - clock
        elapsed_s += proposal_s


def _sampled(bench: Bench, name: str, trials: int, seed: int | None) -> Iterator[Point]:
    """Run what a sampler proposes, fewer trials where it has nothing new left."""
    joint = bench.prepared
    elapsed_s = 0.0
    proposals = Proposals(joint, name, seed)
    for _ in range(trials):
        clock = time.perf_counter()
        try:
            found = proposals.next(bench.provenance)
        except TimeUpError:
            return
        if found is None:
            return
        selection, schedule = found
        proposal_s = time.perf_counter() - clock
        timed = bench.run(schedule, name, joint)
        clock = time.perf_counter()
        proposals.tell(selection, schedule, timed.record)
        proposal_s += time.perf_counter() - clock
        elapsed_s += timed.seconds + proposal_s
        yield _point(bench, timed.record, elapsed_s, proposal_s)
        if bench.proof.is_reached(timed.record.latency_us):
            return


def _point(bench: Bench, record: TrialRecord, elapsed_s: float, proposal_s: float = 0.0) -> Point:
    ran = record.rejection is None
    return Point(
        latency_us=record.latency_us if ran else None,
        kind=record.latency_kind if ran else None,
        elapsed_s=elapsed_s,
        proposal_s=proposal_s,
        reshards=sum(op.code.startswith(LAYOUT_OPS) for op in record.ops),
        computing_share=computing_share(bench.network, record.ops) if ran else None,
        peak_l1_bytes=record.peak_l1_bytes,
        rejection=record.rejection,
    )


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
