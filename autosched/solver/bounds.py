"""Admissible bounds on what is still to come, as a sum over the frontier's columns.

The bound before a stage is a constant plus one number per column and code. A layer with several
inputs couples their columns; its cost is split between them, and any split gives a valid bound.
Good splits come from min-sum message passing on the dual of the linear relaxation, as in
sequential tree-reweighted message passing (V. Kolmogorov, "Convergent Tree-Reweighted Message
Passing for Energy Minimization", IEEE TPAMI 28(10), 2006): backward and forward sweeps over the
execution order exchange min-marginals. On a chain one backward sweep is exact up to L1 capacity.
Of L1, the bound knows what each pair of input layout and candidate needs beside the smallest
layouts of all else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autosched.solver.problem import Problem
from autosched.solver.stages import Floats, InputTables, Ints, RunStage, Stage, compile_stages

SWEEPS = 12
ENOUGH = 1e-6

PairTables = tuple[Mapping[int, Floats], ...]
"""Of each stage, by input tensor (slot): reshard times in us, (layouts, candidates)."""


@dataclass(frozen=True, eq=False)
class Bound:
    """Cost from a point of the execution order to the end: ``constant`` plus terms by column."""

    constant: float
    terms: tuple[Floats, ...]


def no_bounds(stages: Sequence[Stage]) -> tuple[Bound, ...]:
    """Return bounds of zero before every stage and after the last."""
    zeros = [Bound(0.0, tuple(np.zeros(len(c.sizes)) for c in stage.columns)) for stage in stages]
    return (*zeros, Bound(0.0, ()))


def pair_tables(stages: Sequence[Stage], capacity_bytes: int) -> PairTables:
    """Return what the bounds need of every stage and does not depend on the layers' times."""
    return tuple(
        _pair_tables(stage, capacity_bytes) if isinstance(stage, RunStage) else {}
        for stage in stages
    )


def admissible_bounds(
    stages: Sequence[Stage], pairs: PairTables, sweeps: int = SWEEPS
) -> tuple[Bound, ...]:
    """Return a lower bound in us on the cost to go, before every stage and after the last.

    ``pairs`` are those of :func:`pair_tables`. The first bound holds for the whole problem; it is
    infinite if the tables allow no schedule.
    """
    sweeper = _Sweeper(stages, pairs)
    best = sweeper.backward()
    for _ in range(sweeps if sweeper.couples else 0):
        sweeper.forward()
        bounds = sweeper.backward()
        gained = bounds[0].constant - best[0].constant
        if not gained > 0:
            break
        best = bounds
        if gained <= ENOUGH * best[0].constant:
            break
    return best


def costs_more(problem: Problem) -> tuple[Floats, ...]:
    """Return how much longer schedules with each candidate take, at least, than all may.

    Microseconds beside the bound, an array for each layer by candidate: its min-marginal, less the
    least of its layer. Infinite where L1 forbids it; zero where nothing is known, as where it
    forbids everything. On a chain whose layers fit, it is exact.
    """
    stages = compile_stages(problem, max(len(layer.candidates) for layer in problem.layers))
    sweeper = _Sweeper(stages, pair_tables(stages, problem.capacity_bytes))
    sweeper.backward()
    for _ in range(SWEEPS if sweeper.couples else 0):
        sweeper.forward()
        sweeper.backward()
    found = [np.zeros(len(layer.candidates)) for layer in problem.layers]
    for stage, marginal in sweeper.marginals():
        least = marginal.min()
        if np.isfinite(least):
            found[stage.layer][list(stage.candidates)] = marginal - least
    return tuple(found)


class _Sweeper:
    """Backward terms and forward messages by stage, tensor and candidate."""

    def __init__(self, stages: Sequence[Stage], pairs: PairTables) -> None:
        self.stages = stages
        self.pair_us = pairs
        self.messages = [
            {slot: np.zeros(table.shape[1]) for slot, table in tables.items()}
            for tables in self.pair_us
        ]
        self.terms = [dict[int, Floats]() for _ in stages]
        self.before: list[Bound] = []
        self.couples = any(len(tables) > 1 for tables in self.pair_us)

    def backward(self) -> tuple[Bound, ...]:
        """Sweep from the end to the start; the messages only steer how costs are split."""
        after = Bound(0.0, ())
        bounds = [after]
        for number in reversed(range(len(self.stages))):
            after = self._before(number, after)
            bounds.append(after)
        self.before = bounds[::-1]
        return tuple(self.before)

    def _before(self, number: int, after: Bound) -> Bound:
        stage = self.stages[number]
        if not isinstance(stage, RunStage):
            terms = list(after.terms)
            terms[stage.slot] = (stage.time_us + terms[stage.slot][None, :]).min(axis=1)
            return Bound(after.constant, tuple(terms))
        terms = [np.zeros(len(column.sizes)) for column in stage.columns]
        for place, slot in enumerate(stage.kept):
            terms[slot] = after.terms[place]
        total = stage.time_us
        if stage.output_code is not None:
            total = total + after.terms[len(stage.kept)][stage.output_code]
        if not stage.inputs:
            return Bound(after.constant + float(total.min()), tuple(terms))
        for slot, share in self._split(number, total).items():
            term = (share[None, :] + self.pair_us[number][slot]).min(axis=1)
            self.terms[number][slot] = term
            terms[slot] = terms[slot] + term
        return Bound(after.constant, tuple(terms))

    def _split(self, number: int, total: Floats) -> dict[int, Floats]:
        """Split the cost by candidate between its inputs so that their sum stays the cost."""
        messages = self.messages[number]
        with np.errstate(invalid="ignore"):
            mean = (total + np.sum(list(messages.values()), axis=0)) / len(messages)
            return {
                slot: np.where(np.isfinite(mean), mean - message, np.inf)
                for slot, message in messages.items()
            }

    def forward(self) -> None:
        """Sweep from the start to the end and renew the messages from inputs to candidates."""
        frontier: list[Floats] = []
        left = self._consumers_left()
        for number, stage in enumerate(self.stages):
            if isinstance(stage, RunStage):
                frontier = self._run_forward(number, stage, frontier, left[number])
            else:
                times = frontier[stage.slot][:, None] + stage.time_us
                frontier[stage.slot] = times.min(axis=0)

    def marginals(self) -> Iterator[tuple[RunStage, Floats]]:
        """Yield each layer's stage with what it costs, by candidate, to come there and go on."""
        self.forward()
        for number, stage in enumerate(self.stages):
            if isinstance(stage, RunStage):
                total = sum(self.messages[number].values(), stage.time_us)
                if stage.output_code is not None:
                    after = self.before[number + 1].terms[len(stage.kept)]
                    total = total + after[stage.output_code]
                yield stage, total

    def _consumers_left(self) -> list[dict[int, int]]:
        """For each stage and input slot, the consumers of that tensor from there on."""
        counts: dict[int, int] = {}
        left: list[dict[int, int]] = [{} for _ in self.stages]
        for number in reversed(range(len(self.stages))):
            stage = self.stages[number]
            if isinstance(stage, RunStage):
                for slot in stage.input_slots:
                    tensor = stage.columns[slot].tensor
                    counts[tensor] = counts.get(tensor, 0) + 1
                    left[number][slot] = counts[tensor]
        return left

    def _run_forward(
        self, number: int, stage: RunStage, frontier: list[Floats], left: dict[int, int]
    ) -> list[Floats]:
        arrived = stage.time_us
        for slot in stage.input_slots:
            share, rest = self._share(number, slot, frontier[slot], left[slot])
            frontier[slot] = rest
            message = (share[:, None] + self.pair_us[number][slot]).min(axis=0)
            self.messages[number][slot] = message
            arrived = arrived + message
        after = [frontier[slot] for slot in stage.kept]
        if stage.output_code is not None and stage.output_column is not None:
            out = np.full(len(stage.output_column.sizes), np.inf)
            np.minimum.at(out, stage.output_code, arrived)
            after.append(out)
        begun = sum(watch.slot is None and not watch.last for watch in stage.watches)
        return after + [np.zeros(2)] * begun

    def _share(
        self, number: int, slot: int, arrived: Floats, consumers: int
    ) -> tuple[Floats, Floats]:
        """Split a tensor's cost so far between this consumer and the later ones."""
        with np.errstate(invalid="ignore"):
            marginal = arrived + self.before[number].terms[slot]
            share = marginal / consumers - self.terms[number][slot]
            rest = arrived - share
        possible = np.isfinite(marginal)
        return np.where(possible, share, np.inf), np.where(possible, rest, np.inf)


def _extra_bytes(use: InputTables) -> Ints:
    extra = use.added_bytes - use.freed_bytes
    return extra if use.saved_bytes is None else extra - use.saved_bytes


def _pair_tables(stage: RunStage, capacity_bytes: int) -> dict[int, Floats]:
    """Reshard time by input tensor (slot): (layouts, candidates), infinite where L1 forbids."""
    slots = stage.input_slots
    others = sum(int(c.sizes.min()) for s, c in enumerate(stage.columns) if s not in slots)
    times: dict[int, Floats] = {}
    held = {}
    for slot in slots:
        uses = [tables for tables in stage.inputs if tables.slot == slot]
        times[slot] = np.sum([use.time_us for use in uses], axis=0)
        extra = np.sum([_extra_bytes(use) for use in uses], axis=0)
        held[slot] = stage.columns[slot].sizes[:, None] + extra
    least = others + stage.run_bytes + np.sum([h.min(axis=0) for h in held.values()], axis=0)
    return {
        slot: np.where(least + held[slot] - held[slot].min(axis=0) > capacity_bytes, np.inf, time)
        for slot, time in times.items()
    }
