"""Partial schedules as arrays: taking one decision further, and keeping those that matter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autosched.solver.bounds import Bound
from autosched.solver.stages import (
    Codes,
    Column,
    Flags,
    Floats,
    Ints,
    MoveStage,
    RunStage,
    Stage,
    Watch,
)

CHUNK_CELLS = 1 << 21
WORD_BITS = 62
FRUGAL_SHARE = 4


@dataclass(frozen=True, eq=False)
class Frontier:
    """Partial schedules, one per row: column codes (rows, columns), live bytes per core, cost."""

    codes: Codes
    load_bytes: Ints
    cost_us: Floats


@dataclass(frozen=True, eq=False)
class Steps:
    """The frontier after a decision: for each row the row it came from and the option taken.

    ``total_us`` is cost so far plus the bound on the rest.
    """

    frontier: Frontier
    parent: Ints
    choice: Ints
    total_us: Floats

    def __len__(self) -> int:
        return len(self.parent)

    def take(self, rows: Ints) -> "Steps":
        """Return some of the rows, in that order."""
        old = self.frontier
        frontier = Frontier(old.codes[rows], old.load_bytes[rows], old.cost_us[rows])
        return Steps(frontier, self.parent[rows], self.choice[rows], self.total_us[rows])


def start() -> Frontier:
    """Return the frontier before the first stage: one empty schedule."""
    return Frontier(np.zeros((1, 0), np.int16), np.zeros(1, np.int64), np.zeros(1))


def expand(
    stage: Stage, frontier: Frontier, after: Bound, capacity_bytes: int, limit_us: float
) -> Steps:
    """Take every option of a stage from every row, if L1 allows and the bound stays below limit."""
    if isinstance(stage, MoveStage):
        return _expand_move(stage, frontier, after, capacity_bytes, limit_us)
    rows = max(1, CHUNK_CELLS // len(stage.candidates))
    parts = []
    for first in range(0, max(1, len(frontier.cost_us)), rows):
        part = slice(first, first + rows)
        chunk = Frontier(frontier.codes[part], frontier.load_bytes[part], frontier.cost_us[part])
        parts.append(_expand_run(stage, chunk, after, capacity_bytes, limit_us))
    return parts[0] if len(parts) == 1 else _joined(parts, rows)


def _joined(parts: Sequence[Steps], rows: int) -> Steps:
    """Put chunks of ``rows`` parents each back together."""
    frontiers = [part.frontier for part in parts]
    return Steps(
        Frontier(
            np.concatenate([frontier.codes for frontier in frontiers]),
            np.concatenate([frontier.load_bytes for frontier in frontiers]),
            np.concatenate([frontier.cost_us for frontier in frontiers]),
        ),
        np.concatenate([part.parent + rows * number for number, part in enumerate(parts)]),
        np.concatenate([part.choice for part in parts]),
        np.concatenate([part.total_us for part in parts]),
    )


def run_costs(stage: RunStage, frontier: Frontier) -> tuple[Floats, Ints]:
    """Return cost so far in us and peak L1 bytes per core of the step, both (rows, candidates)."""
    cost = frontier.cost_us[:, None] + stage.time_us[None, :]
    held = np.zeros(cost.shape, dtype=np.int64)
    peak = held.copy()
    run_bytes = stage.run_bytes
    for tables in stage.inputs:
        code = frontier.codes[:, tables.slot]
        cost += tables.time_us[code]
        held += tables.added_bytes[code]
        np.maximum(peak, held, out=peak)
        held -= tables.freed_bytes[code]
        if tables.saved_bytes is not None:
            run_bytes = run_bytes - tables.saved_bytes[code]
    np.maximum(peak, held + run_bytes, out=peak)
    left = stage.output_bytes[None, :] - _dead_bytes(stage, frontier)[:, None]
    np.maximum(peak, left, out=peak)
    return cost, peak + frontier.load_bytes[:, None]


def permitted(stage: RunStage, frontier: Frontier) -> Flags:
    """Whether learned constraints allow a candidate: (rows, candidates)."""
    allowed = np.ones((len(frontier.cost_us), len(stage.candidates)), dtype=np.bool_)
    for watch in stage.watches:
        if watch.last:
            so_far = _holds(watch, frontier.codes)
            if watch.slot is not None:
                so_far &= frontier.codes[:, watch.slot] == 1
            allowed &= ~(watch.member & so_far[:, None])
    return allowed


def _holds(watch: Watch, codes: Codes) -> Flags:
    """Whether the tensors that a learned constraint names wait as it says, by row."""
    holds = np.ones(len(codes), dtype=np.bool_)
    for slot, code in watch.waiting:
        holds &= codes[:, slot] == code
    return holds


def _dead_bytes(stage: RunStage, frontier: Frontier) -> Ints:
    dead = np.zeros(len(frontier.cost_us), dtype=np.int64)
    for slot in stage.dead:
        dead += stage.columns[slot].sizes[frontier.codes[:, slot]]
    return dead


def _expand_run(
    stage: RunStage, frontier: Frontier, after: Bound, capacity_bytes: int, limit_us: float
) -> Steps:
    cost, peak = run_costs(stage, frontier)
    base = np.full(len(frontier.cost_us), after.constant)
    for place, slot in enumerate(stage.kept):
        base += after.terms[place][frontier.codes[:, slot]]
    total = cost + base[:, None]
    if stage.output_code is not None:
        total += after.terms[len(stage.kept)][stage.output_code][None, :]
    good = (total < limit_us) & (peak <= capacity_bytes)
    if stage.watches:
        good &= permitted(stage, frontier)
    rows, options = np.nonzero(good)
    load = (frontier.load_bytes - _dead_bytes(stage, frontier))[rows]
    if stage.output_code is not None:
        load = load + stage.output_bytes[options]
    codes = _codes_after(stage, frontier, rows, options)
    picked = (rows, options)
    return Steps(Frontier(codes, load, cost[picked]), rows, options, total[picked])


def _codes_after(stage: RunStage, frontier: Frontier, rows: Ints, options: Ints) -> Codes:
    codes = frontier.codes
    under_way = {watch.slot: watch for watch in stage.watches if watch.slot is not None}
    columns = [
        codes[rows, slot] * _met(under_way[slot], codes, rows, options)
        if slot in under_way
        else codes[rows, slot]
        for slot in stage.kept
    ]
    if stage.output_code is not None:
        columns.append(stage.output_code[options])
    begun = [watch for watch in stage.watches if watch.slot is None and not watch.last]
    columns += [_met(watch, codes, rows, options).astype(np.int16) for watch in begun]
    if not columns:
        return np.zeros((len(rows), 0), dtype=np.int16)
    stacked: Codes = np.stack(columns, axis=1).astype(np.int16, copy=False)
    return stacked


def _met(watch: Watch, codes: Codes, rows: Ints, options: Ints) -> Flags:
    """Whether all that a learned constraint says of this step is so, by row of the result."""
    return _holds(watch, codes)[rows] & watch.member[options]


def _expand_move(
    stage: MoveStage, frontier: Frontier, after: Bound, capacity_bytes: int, limit_us: float
) -> Steps:
    source = frontier.codes[:, stage.slot]
    sizes = stage.columns[stage.slot].sizes
    cost = frontier.cost_us[:, None] + stage.time_us[source]
    moves = source[:, None] != np.arange(len(sizes))[None, :]
    peak = frontier.load_bytes[:, None] + np.where(moves, sizes[None, :], 0)
    total = cost + after.terms[stage.slot][None, :] + _base(frontier, after, stage.slot)[:, None]
    rows, targets = np.nonzero((total < limit_us) & (peak <= capacity_bytes))
    codes = frontier.codes[rows]
    codes[:, stage.slot] = targets
    load = frontier.load_bytes[rows] + sizes[targets] - sizes[source[rows]]
    picked = (rows, targets)
    return Steps(Frontier(codes, load, cost[picked]), rows, targets, total[picked])


def _base(frontier: Frontier, after: Bound, but: int) -> Floats:
    base = np.full(len(frontier.cost_us), after.constant)
    for slot, term in enumerate(after.terms):
        if slot != but:
            base += term[frontier.codes[:, slot]]
    return base


def merge_states(steps: Steps, columns: Sequence[Column], keep: int) -> Steps:
    """Keep the ``keep`` cheapest rows of each frontier state; all else cannot be needed."""
    if not len(steps):
        return steps
    words = _packed(steps.frontier.codes, columns)
    order = np.lexsort((steps.frontier.cost_us, *words))
    fresh = np.zeros(len(order), dtype=np.bool_)
    fresh[0] = True
    for word in words:
        ordered = word[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    if keep > 1:
        starts = np.flatnonzero(fresh)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
        fresh = rank < keep
    return steps.take(order[fresh])


def narrow(steps: Steps, width: int) -> tuple[Steps, float]:
    """Keep at most ``width`` rows and return the lowest bound among those let go.

    Most places go to the lowest bounds, a quarter to the rows that hold the least L1, so that
    a tight step later on still finds one that fits.
    """
    if len(steps) <= width:
        return steps, np.inf
    frugal = max(1, width // FRUGAL_SHARE)
    order = np.argsort(steps.total_us, kind="stable")
    rest = order[width - frugal :]
    by_load = np.argsort(steps.frontier.load_bytes[rest], kind="stable")
    let_go = rest[by_load[frugal:]]
    kept = np.sort(np.concatenate([order[: width - frugal], rest[by_load[:frugal]]]))
    return steps.take(kept), float(steps.total_us[let_go].min())


def _packed(codes: Codes, columns: Sequence[Column]) -> list[Ints]:
    """Pack the columns into as few 64-bit words as hold them, without collisions."""
    words = [np.zeros(len(codes), dtype=np.int64)]
    used = 0
    for slot, column in enumerate(columns):
        bits = max(1, (len(column.sizes) - 1).bit_length())
        if used + bits > WORD_BITS:
            words.append(np.zeros(len(codes), dtype=np.int64))
            used = 0
        words[-1] = (words[-1] << bits) | codes[:, slot]
        used += bits
    return words
