import re
from dataclasses import dataclass, replace
from enum import Enum
from math import ceil, prod

from autosched.cost.ops.attributes import numbers
from autosched.cost.ops.families import Record
from autosched.cost.ops.movement import MovementOp, read_movement
from autosched.cost.ops.traffic import (
    ELEMENT_BYTES,
    PACK_UNTILIZE_COLUMNS,
    TILE,
    Place,
    ceil_div,
    first,
    padded_2d,
    tile_count,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import PageLayout

_TRANSPOSE_AXES = re.compile(r"TransposeOpDim::(\w+)")
_PERMUTATION = re.compile(r"SmallVector\(\[([\d;, ]+)\]\)")
_ALIGNMENT = 16


def read_tilize_padded(op: DeviceOp) -> Record:
    """Read a padding tilize: what is not in the input is filled in, word by word.

    Where there are more cores than rows of tiles, cores share them and read parts of each stick.
    """
    one = read_movement(op, TilizePaddedOp)
    source, target = first(op.inputs), first(op.outputs)
    rows, columns = padded_2d(target)
    width = ceil_div(columns, TILE)
    whole = rows * width * TILE * ELEMENT_BYTES[source.layout.dtype]
    padding = max(0, whole - one.source.total_bytes)
    tiles = ceil_div(tile_count(target), one.cores)
    sticks = min(padded_2d(source)[0], TILE * ceil_div(tiles, width))
    part = replace(
        one.source,
        pages=max(one.source.pages, sticks),
        page_bytes=ceil_div(one.source.page_bytes * min(tiles, width), width),
    )
    return replace(one, source=part, pad_bytes=padding / one.cores)


def read_reshape(op: DeviceOp) -> Record:
    """Read a reshape: of tiled tensors every row within a tile is copied on its own.

    A row that keeps its width follows its neighbour in the same tile; others come from a tile each.
    """
    one = read_movement(op, ReshapeOp)
    source, target = first(op.inputs), first(op.outputs or op.inputs)
    if target.layout.page is not PageLayout.TILE:
        sizes = (one.source.page_bytes, one.target.page_bytes)
        return replace(one, unaligned=any(size % _ALIGNMENT for size in sizes))
    rows = prod(target.shape[:-1]) * ceil_div(target.shape[-1], TILE) / one.cores
    kept = source.shape[-1] == target.shape[-1]
    return replace(one, rows=rows, fetches=min(2.0 * one.target.pages, rows) if kept else rows)


def read_transpose(op: DeviceOp) -> Record:
    one = read_movement(op, TransposeOp)
    return replace(one, swap=_swap(op))


class Swap(str, Enum):
    """What a transpose takes apart: nothing smaller than tiles, tiles in place, or their rows."""

    TILES = "tiles"
    WITHIN = "within"
    ROWS = "rows"


def _swap(op: DeviceOp) -> Swap:
    """Return which axes change places, as the attributes name them or as the shapes show."""
    named = _TRANSPOSE_AXES.search(op.attributes)
    if named:
        return {"WH": Swap.WITHIN, "CN": Swap.TILES}.get(named[1], Swap.ROWS)
    order = _PERMUTATION.search(op.attributes)
    if order:
        last = numbers(order[1])[-2:]
        rank = len(numbers(order[1]))
    else:
        before, after = first(op.inputs).shape[-2:], first(op.outputs or op.inputs).shape[-2:]
        rank, last = 2, (0, 1) if after == before else (1, 0) if after == before[::-1] else (0, 0)
    if last == (rank - 2, rank - 1):
        return Swap.TILES
    return Swap.WITHIN if last == (rank - 1, rank - 2) else Swap.ROWS


class UntilizeOp(MovementOp):
    """Tiles to row-major."""


def untilize_quantities(op: UntilizeOp, tiles: float) -> dict[str, float]:
    width = max(1, op.target.page_bytes // (2 * TILE))
    rows = ceil(tiles / width) * ceil_div(width, PACK_UNTILIZE_COLUMNS)
    slow = width > PACK_UNTILIZE_COLUMNS and op.source.place is not Place.SHARD
    return {
        "untilize_row": float(rows),
        "compute_tile": tiles,
        "slow_tile": tiles if slow else 0.0,
    }


@dataclass(frozen=True)
class TransposeOp(MovementOp):
    """Transpose and permute."""

    swap: Swap = Swap.ROWS


def transpose_quantities(op: TransposeOp, tiles: float) -> dict[str, float]:
    """Return a transpose's work: whole tiles only travel, others are taken apart row by row."""
    if op.source.page is not PageLayout.TILE or op.target.page is not PageLayout.TILE:
        return {"compute_tile": 2 * tiles}
    if op.swap is Swap.ROWS:
        return {"row_tile": tiles}
    return {"compute_tile": tiles} if op.swap is Swap.WITHIN else {}


class TilizeOp(MovementOp):
    """Row-major to tiles."""


@dataclass(frozen=True)
class TilizePaddedOp(TilizeOp):
    """Row-major to tiles with padding, which a core writes word by word (``pad_bytes``)."""

    pad_bytes: float = 0.0


class UntilizeCutOp(UntilizeOp):
    """Tiles to row-major without the padding, stick by stick."""


class ChannelsLastOp(MovementOp):
    """Between channel-first and channel-last shards, stick by stick."""


@dataclass(frozen=True)
class ReshapeOp(MovementOp):
    """A reshape that moves data.

    Of tiled tensors a core copies ``rows`` of 32 elements one by one, out of ``fetches`` tiles;
    row-major sticks that end between aligned addresses (``unaligned``) are copied by the byte.
    """

    rows: float = 0.0
    fetches: float = 0.0
    unaligned: bool = False
