"""Elementwise ops: of one tensor, of two, and of a tensor and a number."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from autosched.cost.ops.attributes import plain_code, word
from autosched.cost.ops.traffic import (
    KIB,
    Place,
    Traffic,
    ceil_div,
    fabric,
    first,
    moving_needs,
    padded_2d,
    pages,
    place_of,
    shard_of,
    tensor_bytes,
    tile_count,
    traffic,
    transfer_priors,
)
from autosched.cost.ops.work import (
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
from autosched.schedule.tensors import TILE, DataType, PageLayout, TensorInfo, TextEnum

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
# Bytes of a tile of 32-bit numbers.
_LARGEST_TILE = 4 * TILE**2


class FunctionCost(TextEnum):
    """How long the vector engine works on a tile: comparing, iterating, or by polynomials."""

    CHEAP = "cheap"
    COSTLY = "costly"
    DEAREST = "dearest"


@dataclass(frozen=True)
class UnaryOp(Record):
    """An elementwise function of one tensor; ``cost`` is the class of its function."""

    function: str
    cost: FunctionCost
    cores: int
    tiles: int
    source: Traffic
    target: Traffic
    dtype: DataType


@dataclass(frozen=True)
class BinaryOp(Record):
    """An elementwise function of two tensors, or of one and a scalar.

    ``uneven`` says that the shards do not cut the tensor into equal parts, or that a sharded op has
    an interleaved operand: ttnn then leaves the fast path that works in place. ``fills`` is how
    often a core spreads a broadcast row, column or element over a tile. ``legacy`` kernels (up to
    2025-02, ``BinaryDeviceOperation``) wait for every tile.
    """

    function: str
    broadcast: str
    cores: int
    tiles: int
    sources: tuple[Traffic, ...]
    target: Traffic
    uneven: bool
    fills: float = 0.0
    legacy: bool = False


def read_unary(op: DeviceOp) -> UnaryOp:
    """Return the features of an elementwise function of one tensor."""
    source, target = first(op.inputs), first(op.outputs)
    cores = max(op.cores, 1)
    match = _UNARY_FUNCTION.search(op.attributes)
    function = match[1] if match else "UNKNOWN"
    return UnaryOp(
        function=function,
        cost=_function_cost(function),
        cores=cores,
        tiles=_filled_tiles(source, cores),
        source=traffic(source, cores),
        target=traffic(target, cores),
        dtype=source.layout.dtype,
    )


def _function_cost(function: str) -> FunctionCost:
    """Return the class of a function; captures do not print it, which counts as the middle one."""
    if function in _DEAREST_FUNCTIONS:
        return FunctionCost.DEAREST
    cheap = function in _CHEAP_FUNCTIONS
    return FunctionCost.CHEAP if cheap else FunctionCost.COSTLY


_FUSED = re.compile(r"(?:fused=|UnaryOpType::)(\w+)")
_PACKED = ("RELU",)
"""Functions of the packer, which cost nothing where they are fused."""


def fused_cost(attributes: str) -> FunctionCost | None:
    """Return the class of the function that an op has fused, None if there is none or it is free.

    Reports name it; of what the mock device ran, whoever asked for it says it.
    """
    found = _FUSED.search(attributes)
    return None if found is None or found[1] in _PACKED else _function_cost(found[1])


def fused_quantities(cost: FunctionCost | None, tiles: float) -> Quantities:
    """Return the work of a fused function: the vector engine's, after that of the matrix engine."""
    return {} if cost is None else {f"{cost.value}_function_tile": tiles}


FUSED_PRIORS: Mapping[str, Prior] = {
    "cheap_function_tile": Prior(220.0, Resource.COMPUTE, 0.3, tie=0.3),
    "costly_function_tile": Prior(390.0, Resource.COMPUTE, 0.5, tie=0.3),
    "dearest_function_tile": Prior(1600.0, Resource.COMPUTE, 0.3, tie=0.3),
}
"""Of fused functions no profile says anything: what cards take for them as ops of their own."""


def _core_tiles(info: TensorInfo, cores: int) -> int:
    """Return the tiles the most loaded core computes; row-major data count by the tile too."""
    if info.layout.shard_shape is not None:
        height, width = info.layout.shard_shape
        return max(1, prod((ceil_div(height, TILE), ceil_div(width, TILE))))
    return ceil_div(tile_count(info), cores)


def _filled_tiles(info: TensorInfo, cores: int) -> int:
    """Return the tiles of which a core computes a function: of rows, as many as they fill.

    Executed on the simulator (ttnn 0.81.1): the work on 1,024 rows of 32 numbers, on one row of
    5,120 and on tiles of as many numbers is alike.
    """
    if info.layout.page is PageLayout.ROW_MAJOR and info.layout.shard_shape is not None:
        return ceil_div(prod(info.layout.shard_shape), TILE**2)
    return _core_tiles(info, cores)


def read_binary(op: DeviceOp) -> BinaryOp:
    """Return the features of an elementwise function of two or three tensors, or a number."""
    target = first(op.outputs)
    cores = max(op.cores, 1)
    function = _BINARY_FUNCTION.search(op.attributes)
    broadcast = _BROADCAST.search(op.attributes)
    sources = _operands(op)
    named = word(broadcast[1]).partition("_")[0].lower() if broadcast else ""
    kind = _broadcast(named, sources, target)
    tiles = _core_tiles(target, cores)
    return BinaryOp(
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


def unary_work(op: UnaryOp) -> Work:
    """Return the work of an elementwise function of one tensor."""
    compute = {f"{op.cost.value}_tile": float(op.tiles)}
    stages = (
        WorkStage("compute", compute),
        WorkStage("read", pages(op.source, op.cores), ("overlap",)),
        WorkStage("write", pages(op.target, op.cores), ("overlap",)),
        WorkStage("fabric", fabric(op.source, op.target)),
    )
    return Work("unary", {"launch": 1.0}, stages, moving_needs(op.source, op.target))


def binary_work(op: BinaryOp) -> Work:
    """Return the work of an elementwise function of two tensors.

    Off the in-place path (``uneven``) every tile is read over the network, one at a time.
    """
    compute = {"tile": float(op.tiles), "unpack_kib": unpacked_kib(op)}
    serial = {"launch": 1.0, "fill": op.fills}
    needs = moving_needs(*op.sources, op.target)
    if op.uneven:
        serial["cliff_tile"] = float(op.tiles)
        return Work("binary", serial, (WorkStage("compute", compute),), needs)
    reads: dict[str, float] = {}
    for source in op.sources:
        for name, amount in _fetched(source, op.cores).items():
            reads[name] = reads.get(name, 0.0) + amount
    if op.legacy:
        moved = (*op.sources, op.target)
        remote = sum(side.pages for side in moved if side.place is not Place.SHARD)
        serial["legacy_page"] = float(remote)
    stages = (
        WorkStage("compute", compute),
        WorkStage("read", reads, ("overlap",)),
        WorkStage("write", _fetched(op.target, op.cores), ("overlap",)),
        WorkStage("fabric", fabric(*op.sources, op.target)),
    )
    return Work("binary", serial, stages, needs)


def _fetched(side: Traffic, cores: int) -> dict[str, float]:
    """Return what comes over the network; a core works on its own shard where it lies."""
    return {} if side.place is Place.SHARD else pages(side, cores)


def unpacked_kib(op: BinaryOp) -> float:
    """Return the KiB that the unpacker reads of all operands, a tile of each for a tile."""
    sizes = (min(source.page_bytes, _LARGEST_TILE) for source in op.sources)
    return op.tiles * sum(sizes) / KIB


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "unary": {
        **transfer_priors(800.0, (60.0, 90.0), (60.0, 100.0)),
        "cheap_tile": Prior(200.0, Resource.COMPUTE),
        "costly_tile": Prior(600.0, Resource.COMPUTE),
        "dearest_tile": Prior(1500.0, Resource.COMPUTE),
        "overlap": overlap_prior(0.7),
    },
    "binary": {
        **transfer_priors(900.0, (60.0, 90.0), (60.0, 100.0)),
        # The unpacker reads both operands at about 80 bytes a cycle.
        "tile": Prior(20.0, Resource.COMPUTE, 0.3),
        "unpack_kib": Prior(12.5, Resource.COMPUTE, 0.3),
        "fill": Prior(1500.0, Resource.READER),
        "legacy_page": Prior(200.0, Resource.ROUNDS),
        "cliff_tile": Prior(620.0, Resource.READER, 0.2),
        "overlap": overlap_prior(0.7),
    },
}

FAMILY = OpFamily(
    readers={
        "unary": read_unary,
        "eltwiseunary": read_unary,
        "binary": read_binary,
        "bcast": read_binary,
        "eltwisebinary": read_binary,
        "binaryng": read_binary,
        "ternary": read_binary,
    },
    formulas={
        UnaryOp: unary_work,
        BinaryOp: binary_work,
    },
    priors=_PRIORS,
)
