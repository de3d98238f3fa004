"""Ops that reduce rows or columns and spread the result: softmax, sums and normalisations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autosched.cost.ops.movement import (
    MovementOp,
    movement_formula,
    movement_priors,
    movement_reader,
    read_movement,
)
from autosched.cost.ops.traffic import (
    Place,
    ceil_div,
    fabric,
    first,
    moving_needs,
    padded_2d,
    tile_count,
)
from autosched.cost.ops.work import (
    DRAM,
    LEAST_DRAM_KIB,
    LEAST_LAUNCH,
    OpFamily,
    Prior,
    Quantities,
    Resource,
    Work,
    WorkStage,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, PageLayout


@dataclass(frozen=True)
class SoftmaxOp(MovementOp):
    """Softmax over rows; ``masked`` where rows end within a tile."""

    masked: bool = False


class ReduceOp(MovementOp):
    """Sum or mean over rows, columns or both."""


class NormOp(MovementOp):
    """Layer or batch normalisation."""


@dataclass(frozen=True)
class GroupNormOp(MovementOp):
    """Group normalisation, which takes one group of a core's channels after the other.

    Attributes:
        groups: those of a core's channels, of all of its images.
        sharing: cores that have rows of the same image, and add up their sums for each group.
        group_tiles: tiles of a core that have channels of a group, summed up over its groups.
        row_tiles: tiles of a shard of rows, which becomes tiles and rows again.
    """

    groups: float = 1.0
    sharing: float = 1.0
    group_tiles: float = 1.0
    row_tiles: float = 0.0


def read_softmax(op: DeviceOp) -> SoftmaxOp:
    """Read a softmax, and whether a mask leaves out the end of its rows."""
    one = read_movement(op, SoftmaxOp)
    return replace(one, masked=first(op.inputs).shape[-1] % TILE != 0)


def read_reduce(op: DeviceOp) -> ReduceOp:
    """Read a sum or mean: its cores read shards of others, unless each has one of its own."""
    one, image = read_movement(op, ReduceOp), first(op.inputs)
    if one.source.place is not Place.SHARD or image.layout.cores == one.cores:
        return one
    tiles = image.layout.page is PageLayout.TILE
    amount = tile_count(image) if tiles else padded_2d(image)[0]
    return replace(
        one, source=replace(one.source, place=Place.L1, pages=ceil_div(amount, one.cores))
    )


def _mask(op: SoftmaxOp) -> Quantities:
    return {"mask": float(op.masked)}


def read_group_norm(op: DeviceOp) -> GroupNormOp:
    """Read a group norm: of its channels, those of a column of cores are one core's."""
    one = read_movement(op, GroupNormOp)
    image = first(op.inputs)
    batch, (rows, channels) = image.shape[0], padded_2d(image)
    groups = _groups(op)
    if image.layout.shard_shape is not None:
        height, width = image.layout.shard_shape
        columns = ceil_div(channels, width)
        tiles, in_rows = ceil_div(height, TILE), image.layout.page is PageLayout.ROW_MAJOR
    else:
        columns = _columns(op, channels, groups)
        tiles, in_rows = ceil_div(rows // TILE * columns, one.cores), False
    cores_of_column = one.cores / columns
    images = max(1.0, batch / cores_of_column)
    passes = groups / columns * images
    # Of channels that begin within a tile, the mask says how many tiles a group touches.
    spans = op.inputs[-1].shape[-1] // TILE if len(op.inputs) > 1 else 1
    return replace(
        one,
        groups=passes,
        sharing=max(1.0, cores_of_column / batch),
        group_tiles=groups / columns * tiles * max(spans, ceil_div(channels // groups, TILE)),
        row_tiles=float(in_rows * tiles * ceil_div(channels // columns, TILE)),
    )


_NUM_GROUPS = re.compile(r"num_groups_?': '(\d+)|GroupNormParams\([^,]*, (\d+)")
_GRID_COLUMNS = re.compile(r"grid_size=\(x=(\d+)")
_STATED_COLUMNS = re.compile(r"; columns=(\d+)")


def _groups(op: DeviceOp) -> int:
    found = _NUM_GROUPS.search(op.attributes)
    return int(found[1] or found[2]) if found else 1


def _columns(op: DeviceOp, channels: int, groups: int) -> int:
    """Return in how many parts the cores of an interleaved norm share channels.

    Reports name the grid, of whose columns ttnn takes the most that whole tiles and groups can be
    dealt to; of what the mock device ran, whoever called says it.
    """
    stated = _STATED_COLUMNS.search(op.attributes)
    if stated:
        return int(stated[1])
    grid = _GRID_COLUMNS.search(op.attributes)
    most = int(grid[1]) if grid else 1
    fits = (n for n in range(most, 1, -1) if channels % (n * TILE) == 0 and groups % n == 0)
    return next(fits, 1)


def group_norm_work(op: GroupNormOp) -> Work:
    """Return the work of a group norm: waits of each group, and passes over its tiles.

    From DRAM a group's tiles are read once for the mean, once for the variance, and once to be
    normalised; those of shards are there.
    """
    tiles = WorkStage("tiles", {f"{op.source.place.value}_group_tile": op.group_tiles})
    read = replace(op.source, total_bytes=int(op.group_tiles * op.cores * op.source.page_bytes * 3))
    return Work(
        "group_norm",
        {
            "launch": 1.0,
            "group": op.groups,
            "group_core": op.groups * op.sharing,
            "row_tile": op.row_tiles,
        },
        (tiles, WorkStage("fabric", fabric(read, op.target))),
        moving_needs(op.source, op.target),
    )


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "softmax": {**movement_priors(800.0), "mask": Prior(10000.0, Resource.READER)},
    "reduce": movement_priors(300.0),
    "norm": movement_priors(1500.0),
    # Per group and per tile of a group: read off the profiles' rows of 3 to 3,840 rows of tiles.
    "group_norm": {
        "launch": Prior(1500.0, Resource.LAUNCH, 0.3, least=LEAST_LAUNCH),
        "group": Prior(4000.0, Resource.ROUNDS),
        "group_core": Prior(600.0, Resource.NOC),
        "shard_group_tile": Prior(650.0, Resource.COMPUTE),
        "l1_group_tile": Prior(2000.0, Resource.READER),
        "dram_group_tile": Prior(2800.0, Resource.READER),
        "row_tile": Prior(550.0, Resource.COMPUTE),
        "l1_fabric_kib": Prior(4.0, Resource.NOC),
        "dram_fabric_kib": Prior(4.5, Resource.DRAM, 0.2, least=LEAST_DRAM_KIB, blackhole=DRAM),
    },
}

FAMILY = OpFamily(
    readers={
        "softmax": read_softmax,
        "reduce": read_reduce,
        "layernorm": movement_reader(NormOp),
        "batchnorm": movement_reader(NormOp),
        "groupnorm": read_group_norm,
    },
    formulas={
        SoftmaxOp: movement_formula("softmax", pieces=_mask),
        ReduceOp: movement_formula("reduce"),
        NormOp: movement_formula("norm"),
        GroupNormOp: group_norm_work,
    },
    priors=_PRIORS,
)
