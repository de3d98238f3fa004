"""Halo gathers: what sliding windows need of other cores' shards is brought before they run.

Output positions are dealt to cores in row-major order, in whole tiles of 32 where the output is
tiled; each needs its window's input positions. What a core's own input shard does not hold comes
from other cores or is padding (rules of tt-metal's ``sliding_window.cpp``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from autosched.cost.ops.attributes import fields, flag, members, numbers, pair_of
from autosched.cost.ops.traffic import (
    ELEMENT_BYTES,
    KIB,
    PACK_UNTILIZE_COLUMNS,
    ceil_div,
    first,
    shard_of,
)
from autosched.cost.ops.work import (
    MULTICAST,
    NOC,
    Engine,
    OpFamily,
    Prior,
    Quantities,
    Record,
    Resource,
    Work,
    WorkStage,
    overlap_prior,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, DataType, PageLayout, ShardLayout

_SAMPLED_CORES = 8


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window; ``padding`` is (top, bottom, left, right)."""

    batch: int
    input_hw: tuple[int, int]
    window_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation_hw: tuple[int, int]
    cores_nhw: int
    tiled: bool

    @property
    def reach_hw(self) -> tuple[int, int]:
        """Input positions from a window's first to its last, both counted."""
        return (
            (self.window_hw[0] - 1) * self.dilation_hw[0] + 1,
            (self.window_hw[1] - 1) * self.dilation_hw[1] + 1,
        )

    @property
    def output_hw(self) -> tuple[int, int]:
        """Height and width of the output."""
        top, bottom, left, right = self.padding
        height, width = self.input_hw
        return (
            max(1, (height + top + bottom - self.reach_hw[0]) // self.stride_hw[0] + 1),
            max(1, (width + left + right - self.reach_hw[1]) // self.stride_hw[1] + 1),
        )

    def border_sticks(self, in_sticks: int, out_sticks: int) -> int:
        """Return the most positions that a core has to fetch or pad.

        Args:
            in_sticks: input positions a core holds before the gather.
            out_sticks: positions the largest core holds after it, padding included.
        """
        if self.cores_nhw <= 1:
            return max(0, out_sticks - in_sticks)
        step = max(1, self.cores_nhw // _SAMPLED_CORES)
        cores = {*range(0, self.cores_nhw, step), self.cores_nhw - 1}
        parts = [self._needed_and_held(core, in_sticks) for core in sorted(cores)]
        most = max(needed for needed, _ in parts)
        return max(0, *(ceil(out_sticks * needed / max(most, 1)) - held for needed, held in parts))

    def rows_touched(self, out_sticks: int) -> int:
        """Return the input rows from which a core's positions come: one transfer each."""
        _, _, left, right = self.padding
        return ceil_div(out_sticks, self.input_hw[1] + left + right) + 1

    def _needed_and_held(self, core: int, in_sticks: int) -> tuple[int, int]:
        """Return how many positions a core needs, and how many of them lie in its own shard."""
        height, width = self.output_hw
        total = self.batch * height * width
        share = ceil_div(total, self.cores_nhw)
        if self.tiled:
            share = ceil_div(ceil_div(total, TILE), self.cores_nhw) * TILE
        first, last = core * share, min((core + 1) * share, total) - 1
        if last < first:
            return 0, 0
        begin, end = self._first_input(first), self._last_input(last)
        own_begin, own_end = core * in_sticks, (core + 1) * in_sticks
        needed = end - begin
        held = max(0, min(end, own_end) - max(begin, own_begin))
        return needed, held + max(0, in_sticks - needed) if held == needed else held

    def _first_input(self, position: int) -> int:
        row, column = divmod(position, self.output_hw[1])
        image, row = divmod(row, self.output_hw[0])
        y = max(0, row * self.stride_hw[0] - self.padding[0])
        x = max(0, column * self.stride_hw[1] - self.padding[2])
        return (image * self.input_hw[0] + y) * self.input_hw[1] + x

    def _last_input(self, position: int) -> int:
        row, column = divmod(position, self.output_hw[1])
        image, row = divmod(row, self.output_hw[0])
        height, width = self.input_hw
        y = min(height, row * self.stride_hw[0] - self.padding[0] + self.reach_hw[0])
        x = min(width, column * self.stride_hw[1] - self.padding[2] + self.reach_hw[1])
        return (image * height + max(0, y - 1)) * width + max(0, x)


def read_window(text: str, tiled: bool) -> Window:
    """Read a ``SlidingWindowConfig`` in either spelling; the oldest gives ``pad_hw``."""
    named = members(text)
    padding = numbers(named.get("padding") or "")
    if len(padding) != 4:
        rows, columns = numbers(named["pad_hw"])[:2]
        padding = (rows, rows, columns, columns)
    return Window(
        batch=int(named["batch_size"]),
        input_hw=pair_of(named["input_hw"]),
        window_hw=pair_of(named["window_hw"]),
        stride_hw=pair_of(named["stride_hw"]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        dilation_hw=pair_of(named["dilation_hw"]),
        cores_nhw=int(named["num_cores_nhw"]),
        tiled=tiled,
    )


@dataclass(frozen=True)
class HaloOp(Record):
    """Gathering the rows that a sliding window reaches over shard borders.

    ``in_sticks``, ``out_sticks`` and ``border_sticks`` (those not found in the core's own shard,
    padding included) are per core, as is ``window_rows``, the input rows they come from;
    ``tile_rows`` and ``tile_columns`` of the shard matter where the input is tiled and is
    untilized on the way. ``legacy`` kernels (up to 2025-02) send border sticks one by one.
    """

    layout: ShardLayout
    cores: int
    in_sticks: int
    out_sticks: int
    border_sticks: int
    window_rows: int
    stick_bytes: int
    from_tiles: bool
    tile_rows: int
    tile_columns: int
    input_dtype: DataType
    legacy: bool


def halo_work(op: HaloOp) -> Work:
    """Return the work of a halo gather: untilize, copy the own shard, fetch or pad the border.

    What lies in one row of the image moves at once; legacy kernels send borders stick by stick.
    Rows move as they are untilized, so that either can hide a part of the other.
    """
    kept = max(0, op.out_sticks - op.border_sticks)
    age = "legacy_" if op.legacy else ""
    moved = {
        f"{age}local_kib": kept * op.stick_bytes / KIB,
        f"{age}border_kib": op.border_sticks * op.stick_bytes / KIB,
        "window_row": float(op.window_rows),
    }
    if op.legacy:
        moved["legacy_border_stick"] = float(op.border_sticks)
    return Work(
        "halo",
        {"launch": 1.0},
        (
            WorkStage("untilize", _untilizes(op, age)),
            WorkStage("move", moved, ("overlap_move",)),
        ),
        needs={Engine.NOC: op.out_sticks * op.stick_bytes / KIB},
    )


def _untilizes(op: HaloOp, age: str) -> Quantities:
    if not op.from_tiles:
        return {}
    tiles = float(op.tile_rows * op.tile_columns)
    slow = op.tile_columns > PACK_UNTILIZE_COLUMNS
    return {
        f"{age}untilize_row": float(op.tile_rows * ceil(op.tile_columns / PACK_UNTILIZE_COLUMNS)),
        f"{age}untilize_tile": tiles,
        "untilize_slow_tile": tiles if slow else 0.0,
    }


_LAYOUT = re.compile(r"TensorMemoryLayout::(\w+)_SHARDED")


def read_halo(op: DeviceOp) -> HaloOp:
    """Return the features of a halo gather."""
    named = fields(op.attributes)
    source, target = first(op.inputs), first(op.outputs)
    rows, columns = shard_of(source, op.cores)
    in_sticks = int(named.get("in_nsticks_per_core") or rows)
    out_sticks = int(named["max_out_nsticks_per_core"])
    layout = _LAYOUT.search(named.get("parallel_config", "")) or _LAYOUT.search(op.attributes)
    sharding = ShardLayout(layout[1].lower()) if layout else source.layout.sharding
    window = read_window(named["config"], flag(named.get("is_out_tiled")))
    return HaloOp(
        layout=sharding,
        cores=op.cores,
        in_sticks=in_sticks,
        out_sticks=out_sticks,
        border_sticks=window.border_sticks(in_sticks, out_sticks),
        window_rows=window.rows_touched(out_sticks),
        stick_bytes=columns * ELEMENT_BYTES[target.layout.dtype],
        from_tiles=source.layout.page is PageLayout.TILE,
        tile_rows=ceil_div(rows, TILE),
        tile_columns=ceil_div(columns, TILE),
        input_dtype=source.layout.dtype,
        legacy="reshard_num_cores_nhw" in named,
    )


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "halo": {
        "launch": Prior(1200.0, Resource.LAUNCH, 0.3),
        "local_kib": Prior(16.0, Resource.READER, blackhole=NOC),
        # One of the two data-movement processors did what both share now.
        "legacy_local_kib": Prior(32.0, Resource.READER, blackhole=NOC),
        # Borders go to other cores, for which the published rates differ as multicast's do.
        "border_kib": Prior(70.0, Resource.READER, blackhole=MULTICAST),
        "legacy_border_stick": Prior(12.0, Resource.READER, blackhole=0.75),
        "legacy_border_kib": Prior(90.0, Resource.READER, blackhole=MULTICAST),
        "window_row": Prior(60.0, Resource.READER),
        "untilize_row": Prior(350.0, Resource.COMPUTE),
        "untilize_tile": Prior(80.0, Resource.COMPUTE),
        "legacy_untilize_row": Prior(350.0, Resource.COMPUTE),
        "legacy_untilize_tile": Prior(80.0, Resource.COMPUTE),
        "untilize_slow_tile": Prior(400.0, Resource.COMPUTE),
        "overlap_move": overlap_prior(0.5),
    },
}

FAMILY = OpFamily(
    readers={
        "halo": read_halo,
        "untilizewithhalo": read_halo,
        "untilizewithhalov2": read_halo,
    },
    formulas={
        HaloOp: halo_work,
    },
    priors=_PRIORS,
)
