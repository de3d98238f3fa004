"""Features of elementwise ops: of one tensor, of two, and of a tensor and a number."""

import re
from dataclasses import replace
from math import prod

from autosched.cost import records as r
from autosched.cost.attributes import word
from autosched.cost.op_code import plain_code
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
from autosched.schedule import DeviceOp, PageLayout, TensorInfo

_UNARY_FUNCTION = re.compile(r"UnaryOpType::(\w+)")
_BINARY_FUNCTION = re.compile(r"BinaryOpType::(\w+)")
_BROADCAST = re.compile(r"SubtileBroadcastType::(\w+)")
_CHEAP_FUNCTIONS = frozenset(
    [
        *("RELU", "RELU6", "RELU_MAX", "RELU_MIN", "LEAKY_RELU", "ABS", "NEG", "IDENTITY"),
        *("GTZ", "LTZ", "EQZ", "NEZ", "LEZ", "GEZ", "SQUARE", "WHERE_TSS", "CLAMP"),
        *("ADD_UNARY_SFPU", "SUB_UNARY_SFPU", "MUL_UNARY_SFPU", "HARDSIGMOID"),
        *("RSUB", "RDIV", "SIGN", "FLOOR", "CEIL", "ROUND", "TYPECAST", "BITCAST", "FILL"),
    ]
)
_DEAREST_FUNCTIONS = frozenset(
    [
        *("EXP", "EXP2", "EXPM1", "SIGMOID", "SILU", "LOG_SIGMOID"),
        *("GELU", "ERF", "ERFC", "ERFINV", "TANH", "ATAN", "ASIN", "ACOS", "SIN", "COS", "TAN"),
        *("MISH", "SOFTPLUS", "POWER", "ELU", "SELU", "CELU", "I0", "I1", "LOG", "LOG2", "LOG10"),
    ]
)


def read_unary(op: DeviceOp) -> Record:
    """Return the features of an elementwise function of one tensor."""
    source, target = first(op.inputs), first(op.outputs)
    cores = max(op.cores, 1)
    match = _UNARY_FUNCTION.search(op.attributes)
    function = match[1] if match else "UNKNOWN"
    return r.UnaryOp(
        function=function,
        cost=_function_cost(function),
        cores=cores,
        tiles=_core_tiles(source, cores),
        source=traffic(source, cores),
        target=traffic(target, cores),
        dtype=source.layout.dtype,
    )


def _function_cost(function: str) -> r.FunctionCost:
    """Return the class of a function; captures do not print it, which counts as the middle one."""
    if function in _DEAREST_FUNCTIONS:
        return r.FunctionCost.DEAREST
    cheap = function in _CHEAP_FUNCTIONS
    return r.FunctionCost.CHEAP if cheap else r.FunctionCost.COSTLY


def _core_tiles(info: TensorInfo, cores: int) -> int:
    """Return the tiles the most loaded core computes; row-major data count by the tile too."""
    if info.layout.shard_shape is not None:
        height, width = info.layout.shard_shape
        return max(1, prod((ceil_div(height, TILE), ceil_div(width, TILE))))
    return ceil_div(tile_count(info), cores)


def read_binary(op: DeviceOp) -> Record:
    """Return the features of an elementwise function of two or three tensors, or a number."""
    target = first(op.outputs)
    cores = max(op.cores, 1)
    function = _BINARY_FUNCTION.search(op.attributes)
    broadcast = _BROADCAST.search(op.attributes)
    sources = _operands(op)
    named = word(broadcast[1]).partition("_")[0].lower() if broadcast else ""
    kind = _broadcast(named, sources, target)
    tiles = _core_tiles(target, cores)
    return r.BinaryOp(
        function=function[1] if function else "ADD",
        broadcast=kind,
        cores=cores,
        tiles=tiles,
        sources=tuple(_operand_traffic(info, target, cores) for info in sources),
        target=traffic(target, cores),
        uneven=place_of(target) is Place.SHARD and not _works_in_place(sources, target),
        fills=_fills(kind, target, tiles),
        legacy=plain_code(op.code) in ("binary", "eltwisebinary", "bcast"),
    )


def _operands(op: DeviceOp) -> tuple[TensorInfo, ...]:
    """Return the operands, or one for a scalar; a preallocated output is left out."""
    return op.inputs[: 3 if plain_code(op.code) == "ternary" else 2]


def _broadcast(named: str, sources: tuple[TensorInfo, ...], target: TensorInfo) -> str:
    """Return what is spread: nothing, whole tiles (outer), a row, a column or one element."""
    if len(sources) < 2:
        return "constant"
    if named not in ("", "none"):
        return named
    (rows, columns), (height, width) = (
        (1, *info.shape)[-2:] for info in (target, min(sources, key=tensor_bytes))
    )
    if height == rows and width == columns:
        return "none" if tensor_bytes(sources[1]) * 2 >= tensor_bytes(sources[0]) else "outer"
    if height == 1 and width == 1:
        return "scalar"
    return "row" if height == 1 else "col" if width == 1 else "outer"


def _fills(kind: str, target: TensorInfo, tiles: int) -> float:
    """Return how often a core spreads an operand over a tile: once for each row of tiles."""
    if kind in ("none", "constant", "outer"):
        return 0.0
    if kind == "scalar":
        return 1.0
    return tiles / ceil_div(target.shape[-1], TILE)


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
