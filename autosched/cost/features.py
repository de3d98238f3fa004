"""From a device op to its typed features: one reader for captures and profiles.

Releases name some ops differently (``Tilize`` and ``TilizeDeviceOperation``, ``UpSample`` and
``UpsampleOperation``, with or without namespaces); ``plain_code`` makes them one, and
:data:`READERS` lists what is known.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import TypeVar

from autosched.cost import records as r
from autosched.cost.attributes import numbers
from autosched.cost.eltwise_features import read_binary, read_unary
from autosched.cost.matmul_shape import read_matmul
from autosched.cost.op_code import plain_code
from autosched.cost.records import ELEMENT_BYTES, Place, Record, Traffic
from autosched.cost.tensors import (
    TILE,
    ceil_div,
    first,
    padded_2d,
    tile_count,
    traffic,
)
from autosched.cost.transfer import read_transfer
from autosched.cost.window_features import read_conv2d, read_halo, read_pool
from autosched.schedule import (
    DataType,
    DeviceOp,
    PageLayout,
)

_TRANSPOSE_AXES = re.compile(r"TransposeOpDim::(\w+)")
_PERMUTATION = re.compile(r"SmallVector\(\[([\d;, ]+)\]\)")
_ALIGNMENT = 16


@lru_cache(maxsize=65536)
def read_features(op: DeviceOp) -> Record:
    """Return the features of a device op; :class:`records.GenericOp` for an unknown one."""
    reader = READERS.get(plain_code(op.code))
    return read_generic(op) if reader is None else reader(op)


def read_generic(op: DeviceOp) -> Record:
    """Return what an op of any kind shows: its cores, and the bytes of all its tensors."""
    return _read_joined(op, r.GenericOp)


def is_known(op: DeviceOp) -> bool:
    """Whether the op has formulas of its own."""
    return plain_code(op.code) in READERS


MovementType = TypeVar("MovementType", bound=r.MovementOp)


def _read_movement(op: DeviceOp, kind: type[MovementType]) -> MovementType:
    source, target = first(op.inputs), first(op.outputs or op.inputs)
    cores = max(op.cores, 1)
    return kind(
        cores=cores,
        source=traffic(source, cores),
        target=traffic(target, cores),
        converts=source.layout.dtype is not target.layout.dtype,
    )


def _movement(kind: type[MovementType]) -> Callable[[DeviceOp], Record]:
    return lambda op: _read_movement(op, kind)


def _read_joined(op: DeviceOp, kind: type[MovementType]) -> MovementType:
    """Read an op that reads all of its inputs, counted as pages of the first."""
    one = _read_movement(op, kind)
    parts = [traffic(info, one.cores) for info in op.inputs] or [one.source]
    whole = replace(
        one.source,
        pages=sum(part.core_bytes for part in parts) / max(one.source.page_bytes, 1),
        total_bytes=sum(part.total_bytes for part in parts),
    )
    return replace(one, source=whole)


def _read_concat(op: DeviceOp) -> Record:
    return _read_joined(op, r.ConcatOp)


def _read_interleaved_to_sharded(op: DeviceOp) -> Record:
    """Read a sharding: a core fetches its shard page by page, or a part of each stick."""
    one = _read_movement(op, r.InterleavedToShardedOp)
    return replace(one, source=_shard_of_pages(one.source, one.target))


def _read_sharded_to_interleaved(op: DeviceOp) -> Record:
    one = _read_movement(op, r.ShardedToInterleavedOp)
    return replace(one, target=_shard_of_pages(one.target, one.source))


def _shard_of_pages(side: Traffic, shard: Traffic) -> Traffic:
    if side.page is not shard.page:
        return side
    sticks = side.page is PageLayout.ROW_MAJOR
    size = min(side.page_bytes, shard.page_bytes) if sticks else side.page_bytes
    return replace(side, pages=shard.pages, page_bytes=size, total_bytes=_no_more(side, shard))


def _read_slice_write(op: DeviceOp) -> Record:
    """Read a write into a part of a larger tensor: only the part counts."""
    one = _read_movement(op, r.SliceWriteOp)
    return replace(one, target=_cut_out(one.target, one.source))


def _read_padded_slice(op: DeviceOp) -> Record:
    one = _read_movement(op, r.PaddedSliceOp)
    return replace(one, source=_cut_out(one.source, one.target))


def _cut_out(side: Traffic, shard: Traffic) -> Traffic:
    """Return the part of ``side`` that a core's shard holds, in the pages of ``side``."""
    tiles = side.page is PageLayout.TILE
    if side.page is shard.page:
        size = side.page_bytes if tiles else min(side.page_bytes, shard.page_bytes)
        return replace(side, pages=shard.pages, page_bytes=size, total_bytes=_no_more(side, shard))
    if not tiles:
        return _like(side, shard)
    columns = ceil_div(shard.page_bytes, TILE * ELEMENT_BYTES[DataType.BFLOAT16])
    pages = ceil_div(int(shard.pages), TILE) * columns
    cores = shard.total_bytes / max(shard.core_bytes, 1.0)
    return replace(side, pages=pages, total_bytes=int(pages * side.page_bytes * max(cores, 1.0)))


def _no_more(side: Traffic, part: Traffic) -> int:
    return min(side.total_bytes, part.total_bytes)


def _read_slice(op: DeviceOp) -> Record:
    """Read a cut: only what is kept is read."""
    one = _read_movement(op, r.SliceOp)
    larger = one.source.total_bytes > one.target.total_bytes
    return replace(one, source=_like(one.source, one.target)) if larger else one


def _like(side: Traffic, part: Traffic) -> Traffic:
    """Return ``side`` cut down to as much as ``part`` holds."""
    share = part.total_bytes / max(side.total_bytes, 1)
    pages = side.pages if share >= 1 else max(1.0, side.pages * share)
    return replace(side, pages=pages, total_bytes=min(side.total_bytes, part.total_bytes))


def _read_tilize_padded(op: DeviceOp) -> Record:
    """Read a padding tilize: what is not in the input is filled in, word by word.

    Where there are more cores than rows of tiles, cores share them and read parts of each stick.
    """
    one = _read_movement(op, r.TilizePaddedOp)
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


def _read_reshape(op: DeviceOp) -> Record:
    """Read a reshape: of tiled tensors every row within a tile is copied on its own.

    A row that keeps its width follows its neighbour in the same tile; others come from a tile each.
    """
    one = _read_movement(op, r.ReshapeOp)
    source, target = first(op.inputs), first(op.outputs or op.inputs)
    if target.layout.page is not PageLayout.TILE:
        sizes = (one.source.page_bytes, one.target.page_bytes)
        return replace(one, unaligned=any(size % _ALIGNMENT for size in sizes))
    rows = prod(target.shape[:-1]) * ceil_div(target.shape[-1], TILE) / one.cores
    kept = source.shape[-1] == target.shape[-1]
    return replace(one, rows=rows, fetches=min(2.0 * one.target.pages, rows) if kept else rows)


def _read_transpose(op: DeviceOp) -> Record:
    one = _read_movement(op, r.TransposeOp)
    return replace(one, swap=_swap(op))


def _swap(op: DeviceOp) -> r.Swap:
    """Return which axes change places, as the attributes name them or as the shapes show."""
    named = _TRANSPOSE_AXES.search(op.attributes)
    if named:
        return {"WH": r.Swap.WITHIN, "CN": r.Swap.TILES}.get(named[1], r.Swap.ROWS)
    order = _PERMUTATION.search(op.attributes)
    if order:
        last = numbers(order[1])[-2:]
        rank = len(numbers(order[1]))
    else:
        before, after = first(op.inputs).shape[-2:], first(op.outputs or op.inputs).shape[-2:]
        rank, last = 2, (0, 1) if after == before else (1, 0) if after == before[::-1] else (0, 0)
    if last == (rank - 2, rank - 1):
        return r.Swap.TILES
    return r.Swap.WITHIN if last == (rank - 1, rank - 2) else r.Swap.ROWS


def _read_gather(op: DeviceOp) -> Record:
    """Read an embedding: as many sticks of the table as the output has."""
    one = _read_movement(op, r.SliceOp)
    return replace(one, source=replace(one.target, place=Place.DRAM))


def _read_softmax(op: DeviceOp) -> Record:
    one = _read_movement(op, r.SoftmaxOp)
    return replace(one, masked=first(op.inputs).shape[-1] % TILE != 0)


READERS: Mapping[str, Callable[[DeviceOp], Record]] = {
    "conv2d": read_conv2d,
    "optimizedconv": read_conv2d,
    "optimizedconvnew": read_conv2d,
    "halo": read_halo,
    "untilizewithhalo": read_halo,
    "untilizewithhalov2": read_halo,
    "matmul": read_matmul,
    "reshard": _movement(r.ReshardOp),
    "interleavedtosharded": _read_interleaved_to_sharded,
    "interleavedtoshardedpartial": _read_interleaved_to_sharded,
    "paddedslice": _read_padded_slice,
    "shardedtointerleaved": _read_sharded_to_interleaved,
    "shardedtointerleavedpartial": _read_sharded_to_interleaved,
    "slicewrite": _read_slice_write,
    "move": _movement(r.MoveOp),
    "copy": _movement(r.CopyOp),
    "clone": _movement(r.CopyOp),
    "typecast": _movement(r.CopyOp),
    "tilize": _movement(r.TilizeOp),
    "tilizewithvalpadding": _read_tilize_padded,
    "untilize": _movement(r.UntilizeOp),
    "untilizecodegen": _movement(r.UntilizeOp),
    "untilizewithunpadding": _movement(r.UntilizeCutOp),
    "transpose": _read_transpose,
    "permute": _read_transpose,
    "fold": _movement(r.TransposeOp),
    "converttohwc": _movement(r.ChannelsLastOp),
    "converttochw": _movement(r.ChannelsLastOp),
    "reshape": _read_reshape,
    "reshapeview": _read_reshape,
    "slice": _read_slice,
    "unpad": _read_slice,
    "split": _movement(r.SliceOp),
    "pad": _movement(r.SliceOp),
    "fillpad": _movement(r.SliceOp),
    "embeddings": _read_gather,
    "embedding": _read_gather,
    "downsample": _movement(r.SliceOp),
    "concat": _read_concat,
    "repeat": _movement(r.UpsampleOp),
    "upsample": _movement(r.UpsampleOp),
    "upsamplebilinear": _movement(r.UpsampleOp),
    "softmax": _read_softmax,
    "reduce": _movement(r.ReduceOp),
    "layernorm": _movement(r.NormOp),
    "batchnorm": _movement(r.NormOp),
    "groupnorm": _movement(r.GroupNormOp),
    "pool2d": read_pool,
    "maxpool": read_pool,
    "maxpoolnew": read_pool,
    "maxpool2d": read_pool,
    "avgpool2d": read_pool,
    "unary": read_unary,
    "eltwiseunary": read_unary,
    "binary": read_binary,
    "bcast": read_binary,
    "eltwisebinary": read_binary,
    "binaryng": read_binary,
    "ternary": read_binary,
    "hostread": read_transfer,
    "hostwrite": read_transfer,
}
