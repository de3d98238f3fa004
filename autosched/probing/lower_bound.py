"""What no schedule of the probed choices can beat.

A bound has to hold for whatever the device makes of a schedule. Only one thing in a layer's probe
depends on where its tensors happen to lie: ``ttnn.move``, which runs nothing where a tensor lies
well already. So the bound counts no moves, though the search does.

It also has to hold for what the joint search leaves out as too slow by itself, whose reshards
nobody has probed. The bound takes these to cost nothing, and where it then rests on a choice left
out, that choice is brought into the tables and its reshards are probed, until the bound rests on
what can be run, or time is up.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autosched.budget import UNLIMITED, Budget
from autosched.errors import SearchError
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import JointProblem
from autosched.probing.layer_tables import Timing, joined
from autosched.probing.probe_book import LayerProgress, ProbeBook
from autosched.probing.reshard_tables import LayoutChange, ReshardTable, probe_pairs, probe_reshards
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.tensors import TensorLayout
from autosched.solver.evaluate import Assignment
from autosched.solver.solver import Solution, solve

_MOVES_SHARE = 5e-4
# A trial adds the same times in another order: its sum may end a few units in the last place lower.
_ROUNDED_DOWN = 1 - 1e-12
_ROUND_LIMIT_S = 20.0
_WIDENING_LIMIT_S = 60.0
MIXED = "mixed"
"""Said of times that are in part measured, in part estimated."""


def relative_gap(best_us: float | None, bound_us: float | None) -> float | None:
    """Return how far a latency is above a lower bound, as a fraction of the bound.

    It is below zero for a schedule that is not made of the choices that the bound is of. None where
    one of the two is unknown.
    """
    if best_us is None or not bound_us:
        return None
    gap = best_us / bound_us - 1
    return 0.0 if -_MOVES_SHARE < gap < 0 else gap


@dataclass(frozen=True)
class Proof:
    """Lower bounds in microseconds.

    No schedule of the candidates that the device accepted, those left out of the tables among them,
    takes less than ``bound_us`` if it runs the layers in the joint problem's order, none in any
    order less than ``any_order_us``. ``optimal`` says that the first is tight: choices of the
    tables take that long by their probes.

    ``kinds`` are those of all times it was proven from. ``estimated_share`` is the part of the
    bound that is estimated: of the time of the choices that it rests on.
    """

    bound_us: float
    any_order_us: float
    optimal: bool
    seconds: float
    kinds: frozenset[TimeKind] = frozenset({TimeKind.ESTIMATED})
    estimated_share: float = 1.0

    @property
    def kind(self) -> str:
        """One of :class:`TimeKind`, or "mixed" where it was proven from times of both kinds."""
        return MIXED if len(self.kinds) > 1 else next((kind.value for kind in self.kinds), "")

    def is_reached(self, latency_us: float | None) -> bool:
        """Whether a latency is as good as the bound: what moves are left is worth no trial."""
        return latency_us is not None and latency_us <= self.bound_us * (1 + _MOVES_SHARE)

    def to_plain(self) -> dict[str, Any]:
        """Return as JSON types what ``--json`` says of the bound."""
        return {
            "bound_us": self.bound_us,
            "bound_any_order_us": self.any_order_us,
            "bound_kind": self.kind,
            "bound_estimated_share": self.estimated_share,
        }


def prove(joint: JointProblem, time_limit_s: float, budget: Budget = UNLIMITED) -> Proof:
    """Solve everything probed for its lower bounds; a time limit makes them lower, never wrong.

    The limit is that of each solution, the ``budget`` that of all together.

    Raises:
        SearchError: if no schedule of it fits in L1, naming the layer and the way out.
    """
    solution, roomy = _solved(joint, time_limit_s, budget)
    return Proof(
        bound_us=solution.lower_bound_us * _ROUNDED_DOWN,
        any_order_us=min(solution.lower_bound_us, roomy.lower_bound_us) * _ROUNDED_DOWN,
        optimal=solution.optimal
        and not any(_left_out(joint, solution))
        and not any(_unasked(joint, solution)),
        seconds=solution.seconds + roomy.seconds,
        kinds=joint.kinds,
        estimated_share=_estimated_share(joint, solution.best),
    )


def widened(
    joint: JointProblem,
    book: ProbeBook,
    progress: LayerProgress,
    timed: Timing = lambda _, choice: choice,
    budget: Budget = UNLIMITED,
) -> JointProblem:
    """Bring what the bounds rest on into the tables, and probe its reshards.

    Returns the joint problem whose bounds rest on what was probed alone, or as far as that came
    when the budget, or a minute, was up. A problem in which nothing fits is returned as it is.
    """
    budget = budget.part(_WIDENING_LIMIT_S)
    asked: set[tuple[str, LayoutChange]] = set()
    while not budget.is_up:
        try:
            solutions = _solved(joint, _ROUND_LIMIT_S, budget)
        except SearchError:
            return joint
        wanted: dict[str, set[tuple[TensorLayout, ...]]] = {}
        for solution in solutions:
            for name, choice in _left_out(joint, solution):
                wanted.setdefault(name, set()).add(choice.layouts)
        # A device that died over one has no answer the second time either.
        unasked = {pair for solution in solutions for pair in _unasked(joint, solution)} - asked
        asked |= unasked
        if not wanted and not unasked:
            break
        joint = _with_reshards(joint, unasked, book)
        joint = _brought_in(joint, wanted, book, progress, timed)
    return joint


def _solved(joint: JointProblem, time_limit_s: float, budget: Budget) -> tuple[Solution, Solution]:
    """Return the optimum that bounds this order, and the one that bounds any."""
    limit_s = min(time_limit_s, budget.left_s)
    in_order = solve(joint.bounding_problem, time_limit_s=limit_s)
    limit_s = min(time_limit_s, budget.left_s)
    return in_order, solve(joint.any_order_problem, time_limit_s=limit_s)


def _left_out(joint: JointProblem, solution: Solution) -> Iterator[tuple[str, Choice]]:
    """Yield what a bound rests on that the tables leave out: layer and candidate."""
    for layer, index in zip(joint.network, solution.best.candidates, strict=True):
        if index >= len(joint.tables[layer.name]):
            yield layer.name, joint.everything(layer.name)[index]


def _unasked(joint: JointProblem, solution: Solution) -> Iterator[tuple[str, LayoutChange]]:
    """Yield the reshards of kept candidates that a bound rests on though nobody asked for them."""
    best = solution.best
    steps = [(step.producer, step.source, step.target) for step in best.reshards]
    steps += [(move.tensor, move.source, move.target) for move in best.moves]
    for number, source, target in steps:
        layer = joint.network.layers[number]
        pair = joint.pair(source, target)
        if pair[0] != pair[1] and not joint.is_asked(layer, pair):
            yield layer.name, pair


def _with_reshards(
    joint: JointProblem, wanted: Iterable[tuple[str, LayoutChange]], book: ProbeBook
) -> JointProblem:
    """Return the problem with reshards probed beside its tables', by the tensor's layer."""
    pairs: dict[str, list[LayoutChange]] = {}
    for name, pair in wanted:
        pairs.setdefault(name, []).append(pair)
    asked = {name: (joint.network.by_name[name], new) for name, new in pairs.items()}
    beside = dict(joint.beside)
    for name, found in probe_pairs(asked, book).items():
        beside[name] = beside.get(name, ReshardTable({})).joined(found)
    return JointProblem(
        joint.network,
        joint.tables,
        joint.reshards,
        joint.spills,
        joint.board,
        left_out=joint.left_out,
        beside=beside,
    )


def _brought_in(
    joint: JointProblem,
    wanted: Mapping[str, set[tuple[TensorLayout, ...]]],
    book: ProbeBook,
    progress: LayerProgress,
    timed: Timing,
) -> JointProblem:
    """Return the problem with candidates of some layouts in its tables; ``wanted`` is by layer."""
    tables, left_out = dict(joint.tables), dict(joint.left_out)
    for name, layouts in wanted.items():
        layer = joint.network.by_name[name]
        for choice in left_out[name]:
            if choice.layouts in layouts and (found := timed(layer, choice)) is not None:
                tables[name] = joined(tables[name], found)
        left_out[name] = tuple(item for item in left_out[name] if item.layouts not in layouts)
    reshards, spills = probe_reshards(
        joint.network, tables, book, progress, (joint.reshards, joint.spills), set(wanted)
    )
    return JointProblem(
        joint.network,
        tables,
        reshards,
        spills,
        joint.board,
        left_out=left_out,
        beside=joint.beside,
    )


def _estimated_share(joint: JointProblem, best: Assignment) -> float:
    """Return how much of the time of a choice of the bounding problem is estimated."""
    chosen = [
        joint.everything(layer.name)[index]
        for layer, index in zip(joint.network, best.candidates, strict=True)
    ]
    parts = [(choice.kind, choice.least_us) for choice in chosen]
    steps = [(step.producer, step.source, step.target, step.time_us) for step in best.reshards]
    steps += [(move.tensor, move.source, move.target, move.time_us) for move in best.moves]
    for number, source, target, time_us in steps:
        kind = joint.reshard_kind(joint.network.layers[number], joint.pair(source, target))
        parts.append((kind, time_us))
    estimated_us = sum(time_us for kind, time_us in parts if kind is TimeKind.ESTIMATED)
    return estimated_us / best.cost_us if best.cost_us else 0.0
