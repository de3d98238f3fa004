"""The exact joint optimum, or the best found with a proven bound on how far it can be off.

A dynamic program runs over the stages; its states are the layouts of live tensors. Rows whose
cost plus admissible bound reach the best schedule known are left out. When more rows remain than
a pass may keep, the most promising stay and the lowest bound among the rest is remembered; passes
grow wider until nothing that could matter was left out, or a budget ends.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from autosched.errors import NoScheduleError, SearchError
from autosched.solver import frontier as rows
from autosched.solver.bounds import PairTables, admissible_bounds, pair_tables
from autosched.solver.evaluate import Assignment, evaluate, violates
from autosched.solver.infeasible import explain_infeasible
from autosched.solver.problem import Nogood, Problem
from autosched.solver.stages import (
    Column,
    Floats,
    InputCache,
    RunStage,
    Stage,
    compile_stages,
    retimed,
)

FIRST_WIDTH = 256
WIDENING = 8
HURRIED_WIDTH = 32
DEFAULT_STATES = 200_000
_KNOWN = 8
TOLERANCE = 1e-9
"""Relative; costs closer than this count as equal, since sums of floats depend on their order."""

History = tuple[NDArray[np.int32], NDArray[np.int16]]
"""Of one stage, for each row kept: the row it came from, and the option taken."""
_Key = tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]


@dataclass(frozen=True)
class Solution:
    """The best joint choices found, cheapest first, and the proof.

    ``optimal`` says that no other choices are better than all of these (by more than a relative
    1e-9), ``lower_bound_us`` that no schedule of these tables is faster, ``gap`` is the best
    cost over the bound, minus one. ``states`` counts the partial schedules kept.
    """

    assignments: tuple[Assignment, ...]
    lower_bound_us: float
    optimal: bool
    gap: float
    seconds: float
    states: int

    @property
    def best(self) -> Assignment:
        """The cheapest."""
        return self.assignments[0]


def solve(
    problem: Problem,
    k: int = 1,
    time_limit_s: float | None = None,
    memory_limit_states: int | None = None,
    gap: float = 0.0,
) -> Solution:
    """Find the ``k`` cheapest joint choices of a problem.

    It stops early when the best is proven within ``gap`` (relative) of the optimum (the others
    are then the best seen), at the time limit (the pass under way is then finished in haste), or
    when a pass of ``memory_limit_states`` rows was not wide enough for a proof.

    Raises:
        NoScheduleError: if no schedule fits, naming the layer, the bytes that lack and a way out.
        SearchError: if the limits ended the search before any was found.
    """
    if k < 1 or (memory_limit_states is not None and memory_limit_states < 1):
        raise SearchError(f"{k} schedules within {memory_limit_states} states: both must be >= 1")
    limits = _Limits(time_limit_s, memory_limit_states or DEFAULT_STATES, gap)
    stages = compile_stages(problem, k)
    return _Search(problem, stages, pair_tables(stages, problem.capacity_bytes), k, limits).run()


class Resolver:
    """Solves one problem again and again while the times of its candidates change.

    What does not depend on the times is worked out once, and the last answers bound the next one:
    on ResNet-50 a third of the time of :func:`solve`.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._cache: InputCache = {}
        self._known: dict[_Key, Assignment] = {}
        self._is_compiled = False
        self._times_us = [
            np.array([candidate.time_us for candidate in layer.candidates])
            for layer in problem.layers
        ]

    def forbid(self, nogood: Nogood) -> None:
        """Add a learned constraint."""
        self._problem = replace(self._problem, nogoods=(*self._problem.nogoods, nogood))
        self._known = {key: item for key, item in self._known.items() if self._is_legal(item)}
        self._is_compiled = False

    def _compile(self) -> None:
        problem = self._problem
        everything = max(len(layer.candidates) for layer in problem.layers)
        self._stages = compile_stages(problem, everything, self._cache)
        self._pairs = pair_tables(self._stages, problem.capacity_bytes)
        self._is_compiled = True

    def _is_legal(self, known: Assignment) -> bool:
        return not violates(self._problem, known)

    def solve(
        self, times_us: Sequence[Floats], k: int = 1, time_limit_s: float | None = None
    ) -> Solution:
        """Find the ``k`` cheapest joint choices at other times, an array for each layer.

        Raises:
            SearchError: as :func:`solve`.
        """
        if not self._is_compiled:
            self._compile()
        search = _Search(
            self._problem,
            retimed(self._stages, times_us),
            self._pairs,
            k,
            _Limits(time_limit_s),
            [new - old for new, old in zip(times_us, self._times_us, strict=True)],
        )
        search.begin_with(self._known.values())
        solution = search.run()
        answers = {_key(item): search.at_own_times(item) for item in solution.assignments}
        latest = {**answers, **self._known}
        self._known = dict(list(latest.items())[:_KNOWN])
        return solution


def _key(assignment: Assignment) -> _Key:
    made = tuple((move.after, move.tensor, move.target) for move in assignment.moves)
    return assignment.candidates, made


@dataclass(frozen=True)
class _Limits:
    time_limit_s: float | None
    states: int = DEFAULT_STATES
    gap: float = 0.0


class _Search:
    """``corrections_us``, by layer and candidate, go on top of the problem's times."""

    def __init__(
        self,
        problem: Problem,
        stages: Sequence[Stage],
        pairs: PairTables,
        k: int,
        limits: _Limits,
        corrections_us: Sequence[Floats] = (),
    ) -> None:
        self.begin = time.perf_counter()
        limit_s = math.inf if limits.time_limit_s is None else limits.time_limit_s
        self.deadline = self.begin + limit_s
        self.problem = problem
        self.k = k
        self.max_width = limits.states
        self.accepted_gap = limits.gap
        self.stages = stages
        self.pairs = pairs
        self.corrections_us = corrections_us
        self.bounds = admissible_bounds(stages, pairs, sweeps=0)
        self.found: dict[_Key, Assignment] = {}
        self.lower_bound_us = self.bounds[0].constant
        self.proven = False
        self.states = 0

    def run(self) -> Solution:
        width = min(FIRST_WIDTH, self.max_width)
        done = self._pass(width)
        if not done:
            self._refine()
            done = self._pass(width)
        while not done and width < self.max_width:
            width = min(width * WIDENING, self.max_width)
            done = self._pass(width)
        if not self.found:
            self._give_up()
        best = self._best()
        lower = best[0].cost_us if self.proven else min(self.lower_bound_us, best[0].cost_us)
        gap = best[0].cost_us / lower - 1 if lower > 0 else math.inf
        return Solution(
            assignments=tuple(best),
            lower_bound_us=lower,
            optimal=self.proven,
            gap=0.0 if best[0].cost_us == lower else gap,
            seconds=time.perf_counter() - self.begin,
            states=self.states,
        )

    def _refine(self) -> None:
        """Tighten the bounds once they turn out to matter; narrow frontiers never need that."""
        self.bounds = admissible_bounds(self.stages, self.pairs)
        self.lower_bound_us = max(self.lower_bound_us, self.bounds[0].constant)

    def _give_up(self) -> NoReturn:
        if self.proven:
            raise NoScheduleError(explain_infeasible(self.problem, self.deadline))
        raise SearchError(
            f"no schedule found within {self.max_width} states and the time given, and none proven "
            "impossible; raise the limits, or allow more layers to spill to DRAM"
        )

    def _best(self) -> list[Assignment]:
        return sorted(self.found.values(), key=lambda assignment: assignment.cost_us)[: self.k]

    def _limit_us(self) -> float:
        """Only what costs less than this is news."""
        best = self._best()
        return best[-1].cost_us * (1 - TOLERANCE) if len(best) == self.k else math.inf

    def _pass(self, width: int) -> bool:
        """Run once over all stages and say whether to stop."""
        dropped_us = self._sweep(width)
        if dropped_us >= self._limit_us() or dropped_us == math.inf:
            self.proven = True
        if self.found:
            self.lower_bound_us = max(self.lower_bound_us, dropped_us)
        return self.proven or self._is_close() or time.perf_counter() > self.deadline

    def _is_close(self) -> bool:
        """Whether the best is within the gap that the caller accepts."""
        if not self.found or (self.k > 1 and self.accepted_gap == 0):
            return False
        return self._best()[0].cost_us <= self.lower_bound_us * (1 + self.accepted_gap)

    def _sweep(self, width: int) -> float:
        """Record the schedules that a pass finds; return the lowest bound among rows let go."""
        limit_us = self._limit_us()
        state = rows.start()
        history: list[History] = []
        dropped_us = math.inf
        for number, stage in enumerate(self.stages):
            steps = rows.expand(
                stage, state, self.bounds[number + 1], self.problem.capacity_bytes, limit_us
            )
            steps = rows.merge_states(steps, self._columns_after(number), self.k)
            hurried = time.perf_counter() > self.deadline
            steps, lost_us = rows.narrow(steps, min(width, HURRIED_WIDTH) if hurried else width)
            dropped_us = min(dropped_us, lost_us)
            self.states += len(steps)
            history.append((steps.parent.astype(np.int32), steps.choice.astype(np.int16)))
            state = steps.frontier
        for row in range(len(state.cost_us)):
            self._record(history, row)
        return dropped_us

    def _columns_after(self, number: int) -> tuple[Column, ...]:
        following = self.stages[number + 1 : number + 2]
        return following[0].columns if following else ()

    def _record(self, history: Sequence[History], row: int) -> None:
        candidates = [0] * len(self.problem.layers)
        moves: dict[tuple[int, int], int] = {}
        for (parent, choice), stage in zip(reversed(history), reversed(self.stages), strict=True):
            option = int(choice[row])
            row = int(parent[row])
            if isinstance(stage, RunStage):
                candidates[stage.layer] = stage.candidates[option]
            else:
                column = stage.columns[stage.slot]
                moves[stage.after, column.tensor] = column.layouts[option]
        self._keep(self._corrected(evaluate(self.problem, candidates, moves), 1.0))

    def _keep(self, assignment: Assignment) -> None:
        self.found[_key(assignment)] = assignment

    def begin_with(self, known: Iterable[Assignment]) -> None:
        """Take over legal choices, with their costs at the problem's own times."""
        for assignment in known:
            self._keep(self._corrected(assignment, 1.0))

    def at_own_times(self, assignment: Assignment) -> Assignment:
        """Return a choice with its cost at the problem's own times."""
        return self._corrected(assignment, -1.0)

    def _corrected(self, assignment: Assignment, sign: float) -> Assignment:
        if not self.corrections_us:
            return assignment
        chosen = zip(self.corrections_us, assignment.candidates, strict=True)
        extra_us = sum(float(times[candidate]) for times, candidate in chosen)
        return replace(assignment, cost_us=assignment.cost_us + sign * extra_us)
