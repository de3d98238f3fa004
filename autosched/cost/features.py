"""From a device op to its typed features: one reader for captures and profiles.

Older releases name some ops differently (``OptimizedConvNew``, ``Tilize``, ``Untilize``,
``BinaryDeviceOperation``); :data:`READERS` lists every spelling that is known.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import TypeVar

from autosched.cost import records as r
from autosched.cost.attributes import word
from autosched.cost.matmul_shape import read_matmul
from autosched.cost.records import Place, Record, Traffic
from autosched.cost.tensors import (
    TILE,
    ceil_div,
    first,
    padded_2d,
    place_of,
    shard_of,
    tensor_bytes,
    tile_count,
    traffic,
)
from autosched.cost.window_features import read_conv2d, read_halo, read_pool
from autosched.schedule import (
    DeviceOp,
    PageLayout,
    TensorInfo,
)

_UNARY_FUNCTION = re.compile(r"UnaryOpType::(\w+)")
_BINARY_FUNCTION = re.compile(r"BinaryOpType::(\w+)")
_BROADCAST = re.compile(r"SubtileBroadcastType::(\w+)")
_CHEAP_FUNCTIONS = frozenset(
    [
        *("RELU", "RELU6", "RELU_MAX", "RELU_MIN", "LEAKY_RELU", "ABS", "NEG", "IDENTITY"),
        *("GTZ", "LTZ", "EQZ", "NEZ", "LEZ", "GEZ", "SQUARE", "WHERE_TSS", "CLAMP"),
        *("ADD_UNARY_SFPU", "SUB_UNARY_SFPU", "MUL_UNARY_SFPU", "HARDSIGMOID"),
    ]
)


@lru_cache(maxsize=65536)
def read_features(op: DeviceOp) -> Record:
    """Return the features of a device op; :class:`records.GenericOp` for an unknown one."""
    reader = READERS.get(op.code)
    return _read_movement(op, r.GenericOp) if reader is None else reader(op)


def is_known(op: DeviceOp) -> bool:
    """Whether the op has formulas of its own."""
    return op.code in READERS


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


def _read_concat(op: DeviceOp) -> Record:
    one = _read_movement(op, r.ConcatOp)
    parts = [traffic(info, one.cores) for info in op.inputs]
    whole = replace(
        one.source,
        pages=sum(part.pages for part in parts),
        total_bytes=sum(part.total_bytes for part in parts),
    )
    return replace(one, source=whole)


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
    return replace(side, pages=shard.pages, page_bytes=size)


def _read_slice_write(op: DeviceOp) -> Record:
    """Read a write into a part of a larger tensor: only the part counts."""
    one = _read_movement(op, r.SliceWriteOp)
    return replace(one, target=_like(one.target, one.source))


def _read_slice(op: DeviceOp) -> Record:
    """Read a cut: only what is kept is read."""
    one = _read_movement(op, r.SliceOp)
    larger = one.source.total_bytes > one.target.total_bytes
    return replace(one, source=_like(one.source, one.target)) if larger else one


def _read_padded_slice(op: DeviceOp) -> Record:
    one = _read_movement(op, r.PaddedSliceOp)
    return replace(one, source=_like(one.source, one.target))


def _like(side: Traffic, part: Traffic) -> Traffic:
    """Return ``side`` cut down to as much as ``part`` holds."""
    share = part.total_bytes / max(side.total_bytes, 1)
    pages = side.pages if share >= 1 else max(1.0, side.pages * share)
    return replace(side, pages=pages, total_bytes=min(side.total_bytes, part.total_bytes))


def _read_tilize_padded(op: DeviceOp) -> Record:
    """Read a padding tilize: rows that are only padding are filled, which costs as much."""
    one = _read_movement(op, r.TilizePaddedOp)
    rows, _ = padded_2d(first(op.outputs))
    return replace(one, source=replace(one.source, pages=ceil_div(rows, one.cores)))


def _read_unary(op: DeviceOp) -> Record:
    source, target = first(op.inputs), first(op.outputs)
    cores = max(op.cores, 1)
    match = _UNARY_FUNCTION.search(op.attributes)
    function = match[1] if match else "UNKNOWN"
    return r.UnaryOp(
        function=function,
        costly=match is not None and function not in _CHEAP_FUNCTIONS,
        cores=cores,
        tiles=_core_tiles(source, cores),
        source=traffic(source, cores),
        target=traffic(target, cores),
        dtype=source.layout.dtype,
    )


def _core_tiles(info: TensorInfo, cores: int) -> int:
    """Return the tiles the most loaded core computes; row-major data count by the tile too."""
    if info.layout.shard_shape is not None:
        height, width = info.layout.shard_shape
        return max(1, prod((ceil_div(height, TILE), ceil_div(width, TILE))))
    return ceil_div(tile_count(info), cores)


def _read_binary(op: DeviceOp) -> Record:
    target = first(op.outputs)
    cores = max(op.cores, 1)
    function = _BINARY_FUNCTION.search(op.attributes)
    broadcast = _BROADCAST.search(op.attributes)
    sources = _operands(op)
    named_broadcast = word(broadcast[1]).partition("_")[0].lower() if broadcast else "none"
    return r.BinaryOp(
        function=function[1] if function else "ADD",
        broadcast=_broadcast(named_broadcast, sources),
        cores=cores,
        tiles=_core_tiles(target, cores),
        sources=tuple(_operand_traffic(info, target, cores) for info in sources),
        target=traffic(target, cores),
        uneven=place_of(target) is Place.SHARD and not _works_in_place(sources, target),
    )


def _operands(op: DeviceOp) -> tuple[TensorInfo, ...]:
    """Return the two operands, or one for a scalar; a preallocated output is left out."""
    return op.inputs[:2]


def _broadcast(named: str, sources: tuple[TensorInfo, ...]) -> str:
    if len(sources) < 2:
        return "constant"
    if named == "none" and tensor_bytes(sources[1]) * 2 < tensor_bytes(sources[0]):
        return "outer"
    return named


def _operand_traffic(info: TensorInfo, target: TensorInfo, cores: int) -> Traffic:
    """Return what a core reads of an operand: a broadcast one is read for every output tile."""
    own = traffic(info, cores)
    if own.place is Place.SHARD or info.layout.page is not PageLayout.TILE:
        return own
    return replace(own, pages=_core_tiles(target, cores))


def _works_in_place(sources: tuple[TensorInfo, ...], target: TensorInfo) -> bool:
    """Whether all tensors have the same shards and these cut the tensor into equal parts."""
    if any(place_of(info) is not Place.SHARD for info in sources):
        return False
    rows, columns = padded_2d(target)
    height, width = shard_of(target, max(target.layout.cores, 1))
    return rows % height == 0 and columns % width == 0


READERS: Mapping[str, Callable[[DeviceOp], Record]] = {
    "Conv2dDeviceOperation": read_conv2d,
    "OptimizedConvNew": read_conv2d,
    "HaloDeviceOperation": read_halo,
    "Matmul": read_matmul,
    "MatmulDeviceOperation": read_matmul,
    "ReshardDeviceOperation": _movement(r.ReshardOp),
    "InterleavedToShardedDeviceOperation": _read_interleaved_to_sharded,
    "InterleavedToShardedPartialDeviceOperation": _read_interleaved_to_sharded,
    "PaddedSliceDeviceOperation": _read_padded_slice,
    "ShardedToInterleavedDeviceOperation": _read_sharded_to_interleaved,
    "ShardedToInterleavedPartialDeviceOperation": _read_sharded_to_interleaved,
    "SliceWriteDeviceOperation": _read_slice_write,
    "MoveDeviceOperation": _movement(r.MoveOp),
    "CopyDeviceOperation": _movement(r.CopyOp),
    "TypecastDeviceOperation": _movement(r.CopyOp),
    "Tilize": _movement(r.TilizeOp),
    "TilizeDeviceOperation": _movement(r.TilizeOp),
    "TilizeWithValPadding": _read_tilize_padded,
    "TilizeWithValPaddingDeviceOperation": _read_tilize_padded,
    "Untilize": _movement(r.UntilizeOp),
    "UntilizeDeviceOperation": _movement(r.UntilizeOp),
    "UntilizeCodegenDeviceOperation": _movement(r.UntilizeOp),
    "UntilizeWithUnpadding": _movement(r.UntilizeCutOp),
    "UntilizeWithUnpaddingDeviceOperation": _movement(r.UntilizeCutOp),
    "Transpose": _movement(r.TransposeOp),
    "TransposeDeviceOperation": _movement(r.TransposeOp),
    "PermuteDeviceOperation": _movement(r.TransposeOp),
    "ConvertToHWCDeviceOperation": _movement(r.TransposeOp),
    "ConvertToCHWDeviceOperation": _movement(r.TransposeOp),
    "ReshapeDeviceOperation": _movement(r.ReshapeOp),
    "ReshapeViewDeviceOperation": _movement(r.ReshapeOp),
    "SliceDeviceOperation": _read_slice,
    "SplitDeviceOperation": _movement(r.SliceOp),
    "Pad": _movement(r.SliceOp),
    "PadDeviceOperation": _movement(r.SliceOp),
    "FillPadDeviceOperation": _movement(r.SliceOp),
    "ConcatDeviceOperation": _read_concat,
    "UpsampleOperation": _movement(r.UpsampleOp),
    "UpSample": _movement(r.UpsampleOp),
    "Softmax": _movement(r.SoftmaxOp),
    "SoftmaxDeviceOperation": _movement(r.SoftmaxOp),
    "Reduce": _movement(r.ReduceOp),
    "ReduceDeviceOperation": _movement(r.ReduceOp),
    "LayerNorm": _movement(r.NormOp),
    "LayerNormDeviceOperation": _movement(r.NormOp),
    "GroupNorm": _movement(r.NormOp),
    "GroupNormDeviceOperation": _movement(r.NormOp),
    "Pool2D": read_pool,
    "UnaryDeviceOperation": _read_unary,
    "BinaryDeviceOperation": _read_binary,
    "BinaryNgDeviceOperation": _read_binary,
}
