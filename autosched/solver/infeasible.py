"""Says why a problem has no schedule, by how much it fails, and what would free it."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autosched.solver import frontier as rows
from autosched.solver.bounds import Bound, no_bounds
from autosched.solver.frontier import Frontier
from autosched.solver.problem import Problem
from autosched.solver.stages import RunStage, Stage, compile_stages

KEPT_ROWS = 4_000
"""Rows kept while looking for the step that fails: those that hold the least L1. With more, the
bytes said to be lacking may be a little more than the true least."""


def explain_infeasible(problem: Problem, deadline: float = math.inf) -> str:
    """Return the message for a problem that has been proven infeasible.

    It names the first step that no choice of the earlier ones can satisfy, the fewest bytes per
    core that it lacks, and every relaxation (unpinning, lifting learned constraints, a spill to
    DRAM) that was tried and helps. After ``deadline`` (of the performance counter) no more are
    tried.
    """
    reached = _first_failure(problem)
    if reached is None:
        return "no feasible schedule"
    stage, frontier = reached
    live = [column.tensor for column in stage.columns if column.tensor >= 0]
    return (
        f"no feasible schedule: {_shortage(problem, stage, frontier)}. "
        f"{_ways_out(problem, live, deadline)}"
    )


def _first_failure(problem: Problem) -> tuple[RunStage, Frontier] | None:
    """Return the first stage that no partial schedule survives, with those that reach it."""
    stages = compile_stages(problem)
    bounds = no_bounds(stages)
    state = rows.start()
    for number, stage in enumerate(stages):
        after = _step(stage, state, bounds[number + 1], problem.capacity_bytes)
        if not len(after.cost_us) and isinstance(stage, RunStage):
            return stage, state
        state = _thin(stages, number, after)
    return None


def _step(stage: Stage, state: Frontier, after: Bound, capacity_bytes: int) -> Frontier:
    return rows.expand(stage, state, after, capacity_bytes, np.inf).frontier


def _thin(stages: tuple[Stage, ...], number: int, state: Frontier) -> Frontier:
    """Merge equal states and keep those with the least L1."""
    columns = stages[number + 1].columns if number + 1 < len(stages) else ()
    count = len(state.cost_us)
    none = np.zeros(count, dtype=np.int64)
    merged = rows.merge_states(rows.Steps(state, none, none, state.cost_us), columns, 1)
    order = np.argsort(merged.frontier.load_bytes, kind="stable")[:KEPT_ROWS]
    return merged.take(order).frontier


def _shortage(problem: Problem, stage: RunStage, frontier: Frontier) -> str:
    """Say what the stage lacks in the choice that comes closest."""
    layer = problem.layers[stage.layer]
    cost, peak = rows.run_costs(stage, frontier)
    possible = np.isfinite(cost)
    if not possible.any():
        return f"layer {layer.name!r} takes no layout that its inputs can be resharded to"
    possible &= rows.permitted(stage, frontier)
    if not possible.any():
        return f"layer {layer.name!r} has no choice that the learned constraints leave"
    need = np.where(possible, peak, np.iinfo(np.int64).max)
    row, option = np.unravel_index(int(need.argmin()), need.shape)
    lacking = int(need[row, option]) - problem.capacity_bytes
    candidate = _described(problem, stage.layer, stage.candidates[int(option)])
    return (
        f"layer {layer.name!r} lacks {lacking:,} bytes of L1 per core at best: {candidate} needs "
        f"{int(need[row, option]):,} of {problem.capacity_bytes:,}"
        f"{_beside(problem, stage, frontier, int(row))}"
    )


def _described(problem: Problem, layer: int, candidate: int) -> str:
    if problem.describe is None:
        return f"its candidate {candidate}"
    return problem.describe(layer, candidate)


def _beside(problem: Problem, stage: RunStage, frontier: Frontier, row: int) -> str:
    """Name the tensors that the layer does not read but that are live in that choice."""
    held = [
        (int(column.sizes[frontier.codes[row, slot]]), problem.layers[column.tensor].name)
        for slot, column in enumerate(stage.columns)
        if column.tensor >= 0 and slot not in stage.input_slots
    ]
    listed = [f"{name!r} ({size:,} bytes)" for size, name in sorted(held, reverse=True) if size]
    return f", while {', '.join(listed)} must stay live" if listed else ""


def _ways_out(problem: Problem, live: Sequence[int], deadline: float) -> str:
    helpful = [
        way
        for way, relaxed in _relaxations(problem, live)
        if time.perf_counter() < deadline and _feasible(relaxed)
    ]
    if helpful:
        return f"It becomes feasible by {' or by '.join(helpful)}"
    unpinned = tuple(replace(item, pinned=None, forbidden=frozenset()) for item in problem.layers)
    if time.perf_counter() < deadline and _feasible(replace(problem, layers=unpinned, nogoods=())):
        return "It becomes feasible without all pins, prohibitions and learned constraints together"
    return "A smaller --batch, --effort full (more candidates) or another --board may leave it room"


def _relaxations(problem: Problem, live: Sequence[int]) -> Iterable[tuple[str, Problem]]:
    layers = problem.layers
    for index, layer in enumerate(layers):
        if layer.pinned is not None:
            yield f"unpinning {layer.name!r}", _with(problem, index, pinned=None)
    if any(layer.forbidden for layer in layers):
        free = tuple(replace(layer, forbidden=frozenset()) for layer in layers)
        yield "allowing the forbidden candidates", replace(problem, layers=free)
    if problem.nogoods:
        yield "lifting the learned constraints", replace(problem, nogoods=())
    for tensor in live:
        yield f"a spill of {layers[tensor].name!r} to DRAM", _with_spill(problem, tensor)


def _with_spill(problem: Problem, tensor: int) -> Problem:
    """Offer a tensor a free home outside L1."""
    layer = problem.layers[tensor]
    outside = len(problem.layout_bytes)
    sources = {candidate.output_layout for candidate in layer.candidates}
    moves = {**layer.moves, **{(source, outside): 0.0 for source in sources}}
    relaxed = replace(problem, layout_bytes=(*problem.layout_bytes, 0))
    relaxed = _with(relaxed, tensor, moves=moves)
    for reader in problem.consumers[tensor]:
        relaxed = _reload(relaxed, reader, tensor, outside)
    return relaxed


def _reload(problem: Problem, reader: int, producer: int, outside: int) -> Problem:
    """Let a consumer load a tensor from the home outside L1 in any layout."""
    layer = problem.layers[reader]

    def loads(index: int) -> Callable[[int, int], float]:
        return lambda source, target: (
            0.0 if source == outside else layer.reshard_us(index, source, target)
        )

    reshards = tuple(
        loads(number) if source == producer else layer.reshards[number]
        for number, source in enumerate(layer.producers)
    )
    return _with(problem, reader, reshards=reshards)


def _with(problem: Problem, index: int, **changes: Any) -> Problem:
    layers = list(problem.layers)
    layers[index] = replace(layers[index], **changes)
    return replace(problem, layers=tuple(layers))


def _feasible(problem: Problem) -> bool:
    return _first_failure(problem) is None
