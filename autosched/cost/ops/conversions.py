"""Ops that change how a tensor's elements are ordered: in tiles or sticks, its axes, its shape."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, prod

from autosched.cost.ops.attributes import numbers
from autosched.cost.ops.movement import (
    MovementOp,
    moved_tiles,
    movement_formula,
    movement_priors,
    movement_reader,
    read_movement,
    shard_sticks,
)
from autosched.cost.ops.traffic import (
    ELEMENT_BYTES,
    KIB,
    PACK_UNTILIZE_COLUMNS,
    Place,
    ceil_div,
    first,
    padded_2d,
    tile_count,
)
from autosched.cost.ops.work import (
    OpFamily,
    Prior,
    Quantities,
    Resource,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, PageLayout, TextEnum

_TRANSPOSE_AXES = re.compile(r"TransposeOpDim::(\w+)")
_PERMUTATION = re.compile(r"SmallVector\(\[([\d;, ]+)\]\)")
_ALIGNMENT = 16


class TilizeOp(MovementOp):
    """Row-major to tiles."""


@dataclass(frozen=True)
class TilizePaddedOp(TilizeOp):
    """Row-major to tiles with padding, which a core writes word by word (``pad_bytes``)."""

    pad_bytes: float = 0.0


class UntilizeOp(MovementOp):
    """Tiles to row-major."""


class UntilizeGeneratedOp(UntilizeOp):
    """Tiles to row-major by the generated kernels of ttnn 0.81."""


class UntilizeCutOp(UntilizeOp):
    """Tiles to row-major without the padding, stick by stick."""


class Swap(TextEnum):
    """What a transpose takes apart: nothing smaller than tiles, tiles in place, or their rows."""

    TILES = "tiles"
    WITHIN = "within"
    ROWS = "rows"


@dataclass(frozen=True)
class TransposeOp(MovementOp):
    """Transpose and permute."""

    swap: Swap = Swap.ROWS


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


def read_tilize_padded(op: DeviceOp) -> TilizePaddedOp:
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


def read_reshape(op: DeviceOp) -> ReshapeOp:
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


def read_transpose(op: DeviceOp) -> TransposeOp:
    """Read a transpose or permute, and which axes change places."""
    one = read_movement(op, TransposeOp)
    return replace(one, swap=_swap(op))


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


def _untilized(op: UntilizeOp) -> Quantities:
    """Return an untilize's work: calls of the packer, and tiles; wide rows go the slow way."""
    tiles = moved_tiles(op)
    width = max(1, op.target.page_bytes // (2 * TILE))
    rows = ceil(tiles / width) * ceil_div(width, PACK_UNTILIZE_COLUMNS)
    slow = width > PACK_UNTILIZE_COLUMNS and op.source.place is not Place.SHARD
    return {
        "untilize_row": float(rows),
        "compute_tile": tiles,
        "slow_tile": tiles if slow else 0.0,
    }


def _transposed(op: TransposeOp) -> Quantities:
    """Return a transpose's work: whole tiles only travel, others are taken apart row by row."""
    tiles = moved_tiles(op)
    if op.source.page is not PageLayout.TILE or op.target.page is not PageLayout.TILE:
        return {"compute_tile": 2 * tiles}
    if op.swap is Swap.ROWS:
        return {"row_tile": tiles}
    return {"compute_tile": tiles} if op.swap is Swap.WITHIN else {}


def _filled(op: TilizePaddedOp) -> Quantities:
    return {"pad_kib": op.pad_bytes / KIB}


def _sticks_either_side(op: ChannelsLastOp) -> Quantities:
    return {"shard_stick": max(op.source.pages, op.target.pages)}


def _rows_within_tiles(op: ReshapeOp) -> Quantities:
    """Return what a reshape copies row by row or byte by byte, and the sticks that it writes."""
    return {
        **shard_sticks(op),
        "tile_row": op.rows,
        "tile_fetch": op.fetches,
        "unaligned_kib": op.target.core_bytes / KIB if op.unaligned else 0.0,
    }


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "tilize": movement_priors(75.0),
    "untilize": {
        **movement_priors(75.0),
        "untilize_row": Prior(350.0, Resource.COMPUTE),
        "slow_tile": Prior(400.0, Resource.COMPUTE),
    },
    # The single figures of the thread are a quarter of the older kernel's.
    "untilize_generated": {
        **movement_priors(40.0, (50.0, 50.0)),
        "untilize_row": Prior(100.0, Resource.COMPUTE),
        "slow_tile": Prior(100.0, Resource.COMPUTE),
    },
    "tilize_padded": {
        **movement_priors(75.0, (200.0, 400.0)),
        "pad_kib": Prior(2500.0, Resource.READER),
    },
    "untilize_cut": {
        **movement_priors(75.0, (200.0, 400.0)),
        "untilize_row": Prior(350.0, Resource.COMPUTE),
        "slow_tile": Prior(400.0, Resource.COMPUTE),
    },
    "transpose": {**movement_priors(200.0), "row_tile": Prior(3000.0, Resource.READER)},
    # Both data-movement processors copy sticks, of 16 bytes mostly, without waiting for each.
    "channels_last": {**movement_priors(200.0), "shard_stick": Prior(6.0, Resource.READER)},
    "reshape": {
        **movement_priors(500.0, (150.0, 200.0)),
        "tile_row": Prior(180.0, Resource.READER),
        "tile_fetch": Prior(600.0, Resource.READER),
        "unaligned_kib": Prior(15000.0, Resource.READER),
    },
}

FAMILY = OpFamily(
    readers={
        "tilize": movement_reader(TilizeOp),
        "tilizewithvalpadding": read_tilize_padded,
        "untilize": movement_reader(UntilizeOp),
        "untilizecodegen": movement_reader(UntilizeGeneratedOp),
        "untilizewithunpadding": movement_reader(UntilizeCutOp),
        "transpose": read_transpose,
        "permute": read_transpose,
        "fold": movement_reader(TransposeOp),
        "converttohwc": movement_reader(ChannelsLastOp),
        "converttochw": movement_reader(ChannelsLastOp),
        "reshape": read_reshape,
        "reshapeview": read_reshape,
    },
    formulas={
        TilizeOp: movement_formula("tilize"),
        TilizePaddedOp: movement_formula("tilize_padded", pieces=_filled),
        UntilizeOp: movement_formula("untilize", _untilized),
        UntilizeGeneratedOp: movement_formula("untilize_generated", _untilized),
        UntilizeCutOp: movement_formula("untilize_cut", _untilized),
        TransposeOp: movement_formula("transpose", _transposed, shard_sticks),
        ChannelsLastOp: movement_formula("channels_last", pieces=_sticks_either_side),
        ReshapeOp: movement_formula("reshape", pieces=_rows_within_tiles),
    },
    priors=_PRIORS,
)
