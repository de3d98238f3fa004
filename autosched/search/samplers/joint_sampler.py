"""Proposes the exact optimum of what is known, and learns from every trial.

Each proposal solves the joint problem over the probed tables, corrected by what trials showed:
times in place replace probed ones, and combinations the device rejected are forbidden. Once the
optimum and those next to it have been tried, times are drawn from their uncertainty (posterior
sampling) and the optimum of the draw is tried. Where no draw has a new one either, the next best
of the tables is.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autosched.budget import UNLIMITED, Budget
from autosched.errors import NoScheduleError, ScheduleError, SearchError, TimeUpError
from autosched.network.graph import failing_layer
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import MEMORY_KINDS, DeviceOp, Rejection
from autosched.schedule.tensors import Edge, Memory, labelled_edge, move_label
from autosched.solver.evaluate import evaluate
from autosched.solver.problem import Nogood, Problem, Waiting
from autosched.solver.solver import Resolver, Solution, solve
from autosched.solver.stages import Floats
from autosched.store.trials import TrialRecord

_K_BEST = 4
_K_MOST = 256
# The other half of a layer's error is common to all its candidates and changes no order.
_OWN_SHARE = 0.5
_SEEN_SHARE = 0.1
_DRAWS = 8
_SOLVE_LIMIT_S = 20.0
# What coefficients leave open of most reshards is a tenth to a third of their time.
_RESHARD_RISK = 0.3
_RISK_WEIGHTS = tuple(2.0**power for power in range(3, -7, -1))

_Key = tuple[bytes, frozenset[Edge]]


@dataclass
class Knowledge:
    """What trials taught: which (layer, candidate) ran in place, and forbidden combinations."""

    in_place: set[tuple[int, int]] = field(default_factory=set)
    nogoods: list[Nogood] = field(default_factory=list)


class JointSampler:
    """Proposes whole schedules by solving the joint problem exactly.

    A probed time is uncertain by its candidate's standard error; a time seen in place by a tenth of
    it.
    """

    def __init__(self, joint: JointProblem, seed: int | None = None) -> None:
        self._joint = joint
        self._stderr_log = [
            _OWN_SHARE * np.array([choice.stderr_log for choice in joint.tables[layer.name]])
            for layer in joint.network
        ]
        # Proposals solve the same tables over and over; only times and constraints change.
        self._resolver = Resolver(joint.problem)
        self._times_us = [
            np.array([candidate.time_us for candidate in layer.candidates])
            for layer in joint.problem.layers
        ]
        self._random = np.random.default_rng(seed)
        self._number = {layer.name: index for index, layer in enumerate(joint.network)}
        self._knowledge = Knowledge()
        self._best: list[Selection] | None = None
        self._is_refused = False
        self._tried: set[_Key] = set()

    def propose(self, budget: Budget = UNLIMITED) -> Selection | None:
        """Return the next schedule to try, never one that was tried before.

        None if what was learned leaves none.

        Raises:
            TimeUpError: if time ends before it is known whether there is one.
        """
        try:
            for selection in self._proposals(budget):
                if self._key(selection) not in self._tried:
                    self._tried.add(self._key(selection))
                    return selection
        except NoScheduleError:
            # The problem itself has a schedule, so the learned constraints leave none.
            return None
        except SearchError as error:
            raise TimeUpError(str(error)) from None
        return None

    def tell(self, selection: Selection, record: TrialRecord) -> None:
        """Learn from a trial: op times by layer, or which combination was rejected."""
        self._tried.add(self._key(selection))
        if record.rejection is None:
            self.learn_times(selection, times_by_layer(record.ops))
        else:
            self._learn_rejection(selection, record.rejection)

    def _key(self, selection: Selection) -> _Key:
        """Identify a joint choice in few bytes: there may be tens of thousands."""
        chosen = (selection.candidates.get(name, 0) for name in self._number)
        return array("H", chosen).tobytes(), selection.spills

    def solve(self, budget: Budget = UNLIMITED) -> Solution:
        """Solve the joint problem as it is known now: the best schedule and its lower bound.

        Raises:
            SearchError: if no schedule satisfies L1 and what was learned.
        """
        return self._solution(self._times_us, 1, budget)

    def least_risky(
        self, risks_us: Sequence[Floats], limit_us: float, budget: Budget = UNLIMITED
    ) -> Selection | None:
        """Return a choice that risks least among those that take no longer than ``limit_us``.

        It is the optimum of time plus weighted risk, for the largest of some weights whose optimum
        takes no longer: no choice of as little time risks less. ``risks_us`` are microseconds by
        layer and candidate.

        Raises:
            SearchError: if time ends before there is one, or what was learned leaves none.
        """
        own = self._weighed(risks_us, 0.0)
        for weight in _RISK_WEIGHTS:
            weighed = self._weighed(risks_us, weight)
            solution = solve(weighed, 1, budget.part(_SOLVE_LIMIT_S).left_s)
            best = solution.best
            made = {(move.after, move.tensor): move.target for move in best.moves}
            if evaluate(own, best.candidates, made).cost_us <= limit_us:
                return next(self._selections(solution))
        return None

    def penalised(
        self, penalties_us: Sequence[Floats], budget: Budget = UNLIMITED
    ) -> tuple[Selection, float]:
        """Return the optimum where each candidate costs so many microseconds more, and its bound.

        Nothing that was not learned to be rejected costs less than the bound, in microseconds.

        Raises:
            SearchError: if time ends before there is one, or what was learned leaves none.
        """
        costs = [times + more for times, more in zip(self._times_us, penalties_us, strict=True)]
        solution = self._solution(costs, 1, budget)
        return next(self._selections(solution)), solution.lower_bound_us

    def _costing(self, costs_us: Sequence[Floats], slower: float = 1.0) -> Problem:
        """Return the joint problem with other costs; reshards and moves are so much slower."""
        layers = []
        for layer, costs in zip(self._joint.problem.layers, costs_us, strict=True):
            candidates = [
                replace(candidate, time_us=float(cost))
                for candidate, cost in zip(layer.candidates, costs, strict=True)
            ]
            reshards = [
                {pair: slower * time_us for pair, time_us in times_us.items()}
                for times_us in layer.reshards
                if isinstance(times_us, Mapping)
            ]
            moves = {pair: slower * time_us for pair, time_us in layer.moves.items()}
            layers.append(
                replace(layer, candidates=tuple(candidates), reshards=tuple(reshards), moves=moves)
            )
        nogoods = tuple(self._knowledge.nogoods)
        return replace(self._joint.problem, layers=tuple(layers), nogoods=nogoods)

    def _weighed(self, risks_us: Sequence[Floats], weight: float) -> Problem:
        """Return the joint problem as it is known now, with weighted risk as additional time."""
        costs = [
            times + weight * risks for times, risks in zip(self._times_us, risks_us, strict=True)
        ]
        return self._costing(costs, 1.0 + weight * _RESHARD_RISK)

    def _solution(self, times_us: Sequence[Floats], k: int, budget: Budget) -> Solution:
        return self._resolver.solve(times_us, k, budget.part(_SOLVE_LIMIT_S).left_s)

    def _proposals(self, budget: Budget) -> Iterator[Selection]:
        if self._best is None and self._is_refused:
            # The optimum until then is forbidden now, so that the next one is new.
            yield from self._selections(self.solve(budget))
        if self._best is None:
            solution = self._solution(self._times_us, _K_BEST, budget)
            self._best = list(self._selections(solution))
        yield from self._best
        for draw in range(_DRAWS):
            if budget.is_up:
                return
            # Wider and wider, until a draw has an optimum that is new.
            noise = 2.0 ** max(0, draw - _DRAWS // 2)
            yield from self._selections(self._solution(self._drawn(noise), 1, budget))
        if not budget.is_up:
            k = min(len(self._tried) + 1, _K_MOST)
            yield from self._selections(self._solution(self._times_us, k, budget))

    def _selections(self, solution: Solution) -> Iterator[Selection]:
        for assignment in solution.assignments:
            moved = [(move.tensor, move.after) for move in assignment.moves]
            yield self._joint.selection(assignment.candidates, moved)

    def _drawn(self, noise: float) -> list[Floats]:
        """Draw the times of all candidates from their uncertainty, ``noise`` times as wide."""
        drawn = []
        for index, (times_us, stderr_log) in enumerate(
            zip(self._times_us, self._stderr_log, strict=True)
        ):
            seen = np.array([(index, n) in self._knowledge.in_place for n in range(len(times_us))])
            spread = noise * stderr_log * np.where(seen, _SEEN_SHARE, 1.0)
            drawn.append(times_us * np.exp(spread * self._random.standard_normal(len(spread))))
        return drawn

    def learn_times(self, selection: Selection, times_us: Mapping[str, float]) -> None:
        """Take over the times in place; packing a fragmented L1 counts as its layer's time.

        ``times_us`` are microseconds by layer name or the label of an edge.
        """
        seen: dict[str, float] = {}
        for label, time_us in times_us.items():
            name = label if label in self._number else self._packed_for(label, selection)
            if name is not None:
                seen[name] = seen.get(name, 0.0) + time_us
        for name, time_us in seen.items():
            number, candidate = self._number[name], selection.candidates[name]
            self._knowledge.in_place.add((number, candidate))
            if self._times_us[number][candidate] != time_us:
                self._times_us[number][candidate] = time_us
                self._best, self._is_refused = None, False

    def _packed_for(self, label: str, selection: Selection) -> str | None:
        """Return the layer after which a label's tensor was packed, None for other labels."""
        edge = labelled_edge(label)
        if label != move_label(edge) or edge in selection.spills:
            return None
        return edge.consumer

    def _learn_rejection(self, selection: Selection, rejection: Rejection) -> None:
        """Forbid the combination that failed."""
        nogood = self._nogood(selection, rejection)
        if nogood is not None and nogood not in self._knowledge.nogoods:
            self._knowledge.nogoods.append(nogood)
            self._best, self._is_refused = None, True
            self._resolver.forbid(nogood)

    def _nogood(self, selection: Selection, rejection: Rejection) -> Nogood | None:
        """Return the combination that failed, None where nobody knows at which step.

        It is the layer with its producers, and where memory ran out, also the producers of every
        tensor that was live then; and for each of their tensors, the layout in which it waited. If
        a move after the layer failed, the layouts after it belong to the combination, too.
        """
        name = failing_layer(self._joint.network, rejection)
        if name is None:
            return None
        step = self._number[name]
        read = {self._number[item] for item in self._joint.network.by_name[name].inputs}
        involved = read | self._live_at(step) if rejection.kind in MEMORY_KINDS else read
        places = [(tensor, step) for tensor in sorted(involved)]
        if _is_move(rejection.layer):
            after = self._live_at(step + 1)
            places += [(tensor, step + 1) for tensor in sorted((involved | {step}) & after)]
        waiting = [
            Waiting(tensor, at, layout)
            for tensor, at in places
            if (layout := self._layout_at(selection, tensor, at)) is not None
        ]
        if len(waiting) < len(places):
            return None  # it moves a tensor as the tables never would
        names = [layer.name for layer in self._joint.network]
        chosen = [(index, selection.candidates[names[index]]) for index in {*involved, step}]
        return Nogood(tuple(sorted(chosen)), tuple(waiting))

    def _live_at(self, step: int) -> set[int]:
        """Return the tensors that are there when a layer begins."""
        return {
            self._number[edge.producer]
            for edge in self._joint.network.edges
            if self._number[edge.producer] < step <= self._number[edge.consumer]
        }

    def _layout_at(self, selection: Selection, tensor: int, step: int) -> int | None:
        """Return the layout in which a tensor waits when a layer begins.

        None if it was moved in a way that the tables do not have.
        """
        layer = self._joint.problem.layers[tensor]
        layout = layer.candidates[selection.candidates[layer.name]].output_layout
        is_moved = any(
            edge.producer == layer.name and self._number[edge.consumer] < step
            for edge in selection.spills
        )
        if not is_moved or self._joint.layouts[layout].memory is not Memory.L1:
            return layout
        return next((target for source, target in layer.moves if source == layout), None)


def times_by_layer(ops: Sequence[DeviceOp]) -> Mapping[str, float]:
    """Return microseconds by layer or edge name, in the order they ran; of timed ops only."""
    times_us: dict[str, float] = {}
    for op in ops:
        if op.time_ns is not None:
            times_us[op.layer] = times_us.get(op.layer, 0.0) + op.time_ns / 1e3
    return times_us


def _is_move(place: str) -> bool:
    try:
        return place == move_label(labelled_edge(place))
    except ScheduleError:
        return False
