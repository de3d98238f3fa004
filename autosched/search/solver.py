"""The exact joint optimum, or the best found with a proven bound on how far it can be off.

A dynamic program runs over the stages; its states are the layouts of live tensors. Rows whose
cost plus admissible bound reach the best schedule known are left out. When more rows remain than
a pass may keep, the most promising stay and the lowest bound among the rest is remembered; passes
grow wider until nothing that could matter was left out, or a budget ends.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autosched.errors import SearchError
from autosched.search import frontier as rows
from autosched.search.bounds import admissible_bounds
from autosched.search.evaluate import Assignment, evaluate
from autosched.search.infeasible import explain
from autosched.search.problem import Problem
from autosched.search.stages import Column, RunStage, compile_stages

FIRST_WIDTH = 256
WIDENING = 8
HURRIED_WIDTH = 32
DEFAULT_STATES = 200_000
TOLERANCE = 1e-9
"""Relative; costs closer than this count as equal, since sums of floats depend on their order."""

History = tuple[NDArray[np.int32], NDArray[np.int16]]
"""Of one stage, for each row kept: the row it came from, and the option taken."""


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
        SearchError: if no schedule fits, naming the layer, the bytes that lack and a way out; or
            if the limits ended the search before any was found.
    """
    if k < 1 or (memory_limit_states is not None and memory_limit_states < 1):
        raise SearchError(f"{k} schedules within {memory_limit_states} states: both must be >= 1")
    return _Search(problem, k, time_limit_s, memory_limit_states or DEFAULT_STATES, gap).run()


class _Search:
    def __init__(
        self, problem: Problem, k: int, time_limit_s: float | None, states: int, gap: float
    ) -> None:
        self.begin = time.perf_counter()
        self.deadline = math.inf if time_limit_s is None else self.begin + time_limit_s
        self.problem = problem
        self.k = k
        self.max_width = states
        self.accepted_gap = gap
        self.stages = compile_stages(problem, k)
        self.bounds = admissible_bounds(self.stages, problem.capacity_bytes, sweeps=0)
        self.found: dict[tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]], Assignment] = {}
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
            raise SearchError(self._reason())
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
        self.bounds = admissible_bounds(self.stages, self.problem.capacity_bytes)
        self.lower_bound_us = max(self.lower_bound_us, self.bounds[0].constant)

    def _reason(self) -> str:
        if self.proven:
            return explain(self.problem)
        return (
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
            steps = rows.merge(steps, self._columns_after(number), self.k)
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
        assignment = evaluate(self.problem, candidates, moves)
        made = tuple((move.after, move.tensor, move.target) for move in assignment.moves)
        self.found[assignment.candidates, made] = assignment
