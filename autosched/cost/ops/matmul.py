"""Matrix multiplications, which 1x1 convolutions and linear layers become.

One core (or one per row or column) reads the shared operand and multicasts it; the matrix engine
needs 16 cycles for two 32x32 tiles at one fidelity phase. Captures do not print the program
configuration, so the part of each core follows from the program factory, the shards and the number
of cores (rules of tt-metal's ``matmul_op.cpp``), unless whoever asked for a program states it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod

from autosched.cost.ops.attributes import fields, numbers
from autosched.cost.ops.eltwise import FUSED_PRIORS, FunctionCost, fused_cost, fused_quantities
from autosched.cost.ops.traffic import KIB, Place, ceil_div, place_of
from autosched.cost.ops.work import (
    MULTICAST,
    NOC,
    Engine,
    Needs,
    OpFamily,
    Prior,
    Record,
    Resource,
    Work,
    WorkStage,
    overlap_prior,
)
from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, TILE_BYTES, DataType, ShardLayout, TensorInfo, TextEnum

_FIDELITY = re.compile(r"math_fidelity=(\w+)")
_PER_CORE = re.compile(r"per_core_M=(\d+);per_core_N=(\d+)")
_IN0_BLOCK = re.compile(r"in0_block_w=(\d+)")
_OUT_BLOCK = re.compile(r"out_block_h=(\d+)")
_SUBBLOCK = re.compile(r"out_subblock_h=(\d+);out_subblock_w=(\d+)")
# Tiles the matrix engine accumulates at once: half the destination registers, a quarter in fp32.
_DEST_TILES, _DEST_TILES_FP32 = 8, 4
_PROGRAM = re.compile(r"program=(mcast_\w+)")
_FP32 = re.compile(r"fp32_dest_acc_en=1")
_L1_ACC = re.compile(r"packer_l1_acc=1")


class MatmulKind(TextEnum):
    """Which operand is sent from one core to the others, or neither.

    ``SINGLE`` is ttnn's last resort: output tiles are dealt one by one, and for each of them a core
    fetches a row and a column of tiles, pair by pair.
    """

    MCAST_IN0 = "mcast_in0"
    MCAST_IN1 = "mcast_in1"
    MCAST_2D = "mcast_2d"
    REUSE = "reuse"
    SINGLE = "single"


@dataclass(frozen=True)
class MatmulOp(Record):
    """One matrix multiplication, M x K by K x N, sizes in tiles; ``core_*`` per core.

    ``k_blocks`` is the number of blocks the inner dimension is accumulated in, ``core_batches``
    that of independent multiplications a core does one after the other, ``out_blocks`` the number
    of blocks of rows a core's output is computed in: the second operand is read for each.
    ``function`` is the class of a fused one.
    """

    kind: MatmulKind
    cores: int
    core_batches: int
    m_tiles: int
    k_tiles: int
    n_tiles: int
    k_blocks: int
    core_m: int
    core_n: int
    subblock_h: int
    subblock_w: int
    fidelity: Fidelity
    fp32_dest_acc: bool
    packer_l1_acc: bool
    has_bias: bool
    in0_place: Place
    in1_place: Place
    out_place: Place
    in0_dtype: DataType
    in1_dtype: DataType
    out_dtype: DataType
    out_blocks: int = 1
    function: FunctionCost | None = None


def read_matmul(op: DeviceOp) -> MatmulOp:
    """Return the features of a ``Matmul`` or ``MatmulDeviceOperation``."""
    in0, in1 = op.inputs[0], op.inputs[1]
    out = op.outputs[0]
    m_tiles, n_tiles = _tiles(out)
    k_tiles = ceil_div(in0.shape[-1], TILE)
    batches = prod(in1.shape[:-2])
    dealt = batches > 1 and "Mcast" not in op.factory
    kind = MatmulKind.REUSE if dealt else _kind(op, in0, m_tiles, n_tiles)
    core_m, core_n = _core_part(op, kind, out, m_tiles, n_tiles)
    fidelity = _FIDELITY.search(op.attributes)
    fp32 = _FP32.search(op.attributes) is not None
    stated = _SUBBLOCK.search(op.attributes)
    subblock = (int(stated[1]), int(stated[2])) if stated else subblock_of(core_m, core_n, fp32)
    return MatmulOp(
        kind=kind,
        cores=max(op.cores, 1),
        core_batches=ceil_div(batches, max(op.cores, 1)) if dealt else batches,
        m_tiles=m_tiles,
        k_tiles=k_tiles,
        n_tiles=n_tiles,
        k_blocks=_k_blocks(op, kind, in0, k_tiles),
        core_m=core_m,
        core_n=core_n,
        fidelity=Fidelity(fidelity[1]) if fidelity else Fidelity.HIFI4,
        subblock_h=subblock[0],
        subblock_w=subblock[1],
        fp32_dest_acc=fp32,
        packer_l1_acc=_L1_ACC.search(op.attributes) is not None,
        has_bias=_has_bias(op, out),
        in0_place=place_of(in0),
        in1_place=place_of(in1),
        out_place=place_of(out),
        in0_dtype=in0.layout.dtype,
        in1_dtype=in1.layout.dtype,
        out_dtype=out.layout.dtype,
        out_blocks=_out_blocks(op, core_m),
        function=fused_cost(op.attributes),
    )


def _out_blocks(op: DeviceOp, core_m: int) -> int:
    """Return the blocks of rows that a program states; ttnn's own programs mostly have one."""
    stated = _OUT_BLOCK.search(op.attributes)
    return ceil_div(core_m, int(stated[1])) if stated else 1


@lru_cache(maxsize=4096)
def subblock_of(rows: int, columns: int, fp32_dest_acc: bool) -> tuple[int, int]:
    """Return (height, width) of the largest output block that divides a core's part.

    Of equally large ones the wider wins, as in tt-metal's ``determine_largest_subblock_size``.
    """
    limit = _DEST_TILES_FP32 if fp32_dest_acc else _DEST_TILES
    shapes = [
        (height * width, width, height)
        for height in range(1, limit + 1)
        for width in range(1, limit // height + 1)
        if rows % height == 0 and columns % width == 0
    ]
    _, width, height = max(shapes)
    return height, width


def flat_matmul(m: int, k: int, n: int, cores: int) -> MatmulOp:
    """Return the features of a row of a flat height-sharded matmul file.

    The file names no formats: bfloat16 throughout, at HiFi2, ttnn's default for it, and one block
    of the inner dimension, as wide as the shards. Where shards and buffers together do not fit in
    L1, ttnn computes fewer rows at once.
    """
    m_tiles, k_tiles, n_tiles = (ceil_div(size, TILE) for size in (m, k, n))
    core_m = ceil_div(m_tiles, cores)
    rows = _rows_that_fit(core_m, k_tiles, n_tiles)
    narrow = n_tiles <= _DEST_TILES
    return MatmulOp(
        kind=MatmulKind.MCAST_IN1,
        cores=cores,
        core_batches=1,
        m_tiles=m_tiles,
        k_tiles=k_tiles,
        n_tiles=n_tiles,
        k_blocks=1,
        core_m=core_m,
        core_n=n_tiles,
        subblock_h=subblock_of(rows, n_tiles, False)[0] if narrow else 1,
        subblock_w=n_tiles if narrow else 1,
        fidelity=Fidelity.HIFI2,
        fp32_dest_acc=False,
        packer_l1_acc=False,
        has_bias=False,
        in0_place=Place.SHARD,
        in1_place=Place.DRAM,
        out_place=Place.SHARD,
        in0_dtype=DataType.BFLOAT16,
        in1_dtype=DataType.BFLOAT16,
        out_dtype=DataType.BFLOAT16,
        out_blocks=core_m // rows,
    )


# Wormhole's L1 beyond what the kernels' programs take, in bfloat16 tiles.
_L1_TILES = 683


def _rows_that_fit(core_m: int, k_tiles: int, core_n: int) -> int:
    """Return the rows of tiles computed at once: the most that divide a core's part and fit.

    In L1 are both shards and, twice each, a block of either operand and of the output.
    """
    left = _L1_TILES - core_m * (k_tiles + core_n) - 2 * k_tiles * core_n
    fitting = [
        rows
        for rows in range(1, core_m + 1)
        if core_m % rows == 0 and 2 * rows * (k_tiles + core_n) <= left
    ]
    return max(fitting, default=1)


def _tiles(info: TensorInfo) -> tuple[int, int]:
    """Return (rows, columns) in tiles, batches stacked on top of each other."""
    rows = prod(info.shape[:-2]) * ceil_div(info.shape[-2], TILE)
    return rows, ceil_div(info.shape[-1], TILE)


def _has_bias(op: DeviceOp, out: TensorInfo) -> bool:
    """A third input is the bias, unless it is the preallocated output."""
    return len(op.inputs) > 2 and op.inputs[2].shape[-2:] != out.shape[-2:]


def _kind(op: DeviceOp, in0: TensorInfo, m_tiles: int, n_tiles: int) -> MatmulKind:
    by_layout = {
        ShardLayout.HEIGHT: MatmulKind.MCAST_IN1,
        ShardLayout.WIDTH: MatmulKind.MCAST_IN0,
        ShardLayout.BLOCK: MatmulKind.MCAST_2D,
    }
    stated = _PROGRAM.search(op.attributes)
    if stated:
        return MatmulKind(stated[1])
    if in0.layout.sharding in by_layout:
        return by_layout[in0.layout.sharding]
    if op.factory.startswith("MatmulMultiCoreProgram"):
        return MatmulKind.SINGLE
    if "2D" in op.factory:
        return MatmulKind.MCAST_2D
    if "1D" in op.factory:
        return MatmulKind.MCAST_IN1 if m_tiles > n_tiles else MatmulKind.MCAST_IN0
    return MatmulKind.REUSE


def _k_blocks(op: DeviceOp, kind: MatmulKind, in0: TensorInfo, k_tiles: int) -> int:
    """Return the blocks of the inner dimension.

    A program may state the width of a block. Otherwise, where the caller named a grid for a
    one-dimensional multiplication, a block is one core's part of the inner dimension; else it is as
    wide as the shards it comes from, or two tiles of an interleaved operand (if they divide it).
    """
    stated = _IN0_BLOCK.search(op.attributes)
    if stated:
        return ceil_div(k_tiles, int(stated[1]))
    if kind in (MatmulKind.MCAST_IN0, MatmulKind.MCAST_IN1) and _named_grid(op):
        return ceil_div(k_tiles, ceil_div(k_tiles, op.cores))
    shard = in0.layout.shard_shape
    if shard is not None:
        return ceil_div(k_tiles, gcd(ceil_div(shard[1], TILE), k_tiles))
    return k_tiles if k_tiles % 2 or kind is MatmulKind.SINGLE else k_tiles // 2


def _named_grid(op: DeviceOp) -> tuple[int, ...]:
    """Return (columns, rows) that the caller asked for, empty if ttnn chose."""
    stated = numbers(fields(op.attributes).get("user_core_coord", ""))
    return stated if len(stated) == 2 else ()


def _core_part(
    op: DeviceOp, kind: MatmulKind, out: TensorInfo, m_tiles: int, n_tiles: int
) -> tuple[int, int]:
    stated = _PER_CORE.search(op.attributes)
    if stated:
        return int(stated[1]), int(stated[2])
    if out.layout.shard_shape is not None:
        rows, columns = out.layout.shard_shape
        return ceil_div(rows, TILE), ceil_div(columns, TILE)
    cores = max(op.cores, 1)
    if kind is MatmulKind.MCAST_2D:
        columns, rows = _grid(op, cores)
        return ceil_div(m_tiles, rows), ceil_div(n_tiles, columns)
    dealt = ceil_div(m_tiles, cores)
    return {
        MatmulKind.MCAST_IN1: (dealt, n_tiles),
        MatmulKind.MCAST_IN0: (m_tiles, ceil_div(n_tiles, cores)),
        MatmulKind.SINGLE: (ceil_div(m_tiles * n_tiles, cores), 1),
        MatmulKind.REUSE: (dealt if m_tiles >= cores else m_tiles, n_tiles),
    }[kind]


def _grid(op: DeviceOp, cores: int) -> tuple[int, int]:
    """Return (columns, rows) of a two-dimensional multiplication."""
    stated = _named_grid(op)
    if stated:
        return stated[0], stated[1]
    rows = next(side for side in range(int(cores**0.5), 0, -1) if cores % side == 0)
    return cores // rows, rows


_SENDING = (MatmulKind.MCAST_IN0, MatmulKind.MCAST_IN1, MatmulKind.MCAST_2D)


def matmul_work(op: MatmulOp) -> Work:
    """Return the work of a matrix multiplication on its most loaded core."""
    outputs = op.core_m * op.core_n
    products = outputs * op.k_tiles
    serial = {
        "launch": 1.0,
        "block": float(op.k_blocks * op.out_blocks),
        "block_2d": float(op.k_blocks) if op.kind is MatmulKind.MCAST_2D else 0.0,
        "mcast_core": float(op.cores) if op.kind in _SENDING else 0.0,
        "batch": float(op.core_batches - 1),
        "batch_mcast": float(op.core_batches - 1) if op.kind in _SENDING else 0.0,
        "output_tile": float(outputs * (1 + op.has_bias)),
        "single_pair": float(products) if op.kind is MatmulKind.SINGLE else 0.0,
    }
    compute = {
        "matmul_phase": float(products * op.fidelity.phases),
        "matmul_unpack": products
        * unpacked_beyond(op.subblock_h, op.subblock_w, op.in0_dtype, op.in1_dtype, op.fidelity),
        "matmul_call": products / (op.subblock_h * op.subblock_w),
        "subblock": outputs / (op.subblock_h * op.subblock_w),
        "pack_tile": float(outputs * op.k_blocks),
    }
    compute.update(fused_quantities(op.function, float(outputs)))
    if not op.packer_l1_acc:
        compute["partial_tile"] = float(outputs * (op.k_blocks - 1))
    stages = (
        WorkStage("compute", compute),
        WorkStage("in0", _in0(op), ("overlap_in0",)),
        WorkStage("in1", _in1(op), ("overlap_in1",)),
        WorkStage("output", _written(op, outputs), ("overlap_output",)),
    )
    return Work("matmul", serial, stages, _needs(op))


def _needs(op: MatmulOp) -> Needs:
    """Return what any kernel needs; of operands in DRAM each tile is read once."""
    in0_sent = op.kind in (MatmulKind.MCAST_IN0, MatmulKind.MCAST_2D)
    in1_sent = op.kind in (MatmulKind.MCAST_IN1, MatmulKind.MCAST_2D)
    operands = (
        (op.in0_place, in0_sent, op.in0_dtype, op.m_tiles * op.k_tiles, op.core_m * op.k_tiles),
        (op.in1_place, in1_sent, op.in1_dtype, op.k_tiles * op.n_tiles, op.core_n * op.k_tiles),
        (op.out_place, False, op.out_dtype, op.m_tiles * op.n_tiles, op.core_m * op.core_n),
    )
    dram = ports = 0.0
    for place, sent, dtype, whole, part in operands:
        kib = TILE_BYTES[dtype] / KIB
        dram += whole * kib if place is Place.DRAM else 0.0
        ports += part * kib if sent or place is not Place.SHARD else 0.0
    products = op.core_m * op.core_n * op.k_tiles
    return {
        Engine.MATRIX: float(products * op.fidelity.phases),
        Engine.DRAM: dram,
        Engine.NOC: ports,
    }


def _transfer(place: Place, tiles: float, dtype: DataType) -> dict[str, float]:
    if place is Place.SHARD:
        return {}
    kib = tiles * TILE_BYTES[dtype] / KIB
    return {f"{place.value}_page": float(tiles), f"{place.value}_kib": kib}


def _written(op: MatmulOp, tiles: int) -> dict[str, float]:
    """Return the way of the output; a core waits for the writes of each block before the next."""
    if op.out_place is Place.SHARD:
        return {}
    blocks = tiles / (op.subblock_h * op.subblock_w)
    return {**_transfer(op.out_place, tiles, op.out_dtype), "write_wait": blocks}


def _in0(op: MatmulOp) -> dict[str, float]:
    """Return the first operand's way: from the own shard, other cores, or memory."""
    tiles = float(op.core_m * op.k_tiles)
    quantities = _transfer(op.in0_place, tiles, op.in0_dtype)
    if op.kind in (MatmulKind.MCAST_IN0, MatmulKind.MCAST_2D):
        quantities["mcast_page"] = tiles
        quantities["mcast_kib"] = tiles * TILE_BYTES[op.in0_dtype] / KIB
    return quantities


def _in1(op: MatmulOp) -> dict[str, float]:
    repeats = op.core_m if op.kind is MatmulKind.SINGLE else op.out_blocks
    tiles = float(op.core_n * op.k_tiles * repeats)
    quantities = _transfer(op.in1_place, tiles, op.in1_dtype)
    if op.kind in (MatmulKind.MCAST_IN1, MatmulKind.MCAST_2D) and op.cores > 1:
        quantities["mcast_page"] = tiles
        quantities["mcast_kib"] = tiles * TILE_BYTES[op.in1_dtype] / KIB
    return quantities


# Tiles in bfloat16 that are unpacked in the 16 cycles of a phase, at about 80 bytes a cycle.
_UNPACKED_A_PHASE = 0.625


def unpacked_beyond(
    height: int, width: int, in0: DataType, in1: DataType, fidelity: Fidelity
) -> float:
    """Return what is unpacked for a tile product beyond what its phases hide, in bfloat16 tiles.

    Unpacker and matrix engine work beside each other, so that a higher fidelity hides the operands.
    """
    share = _unpack_share(height, width, in0, in1)
    return max(0.0, share - _UNPACKED_A_PHASE * fidelity.phases)


def _unpack_share(height: int, width: int, in0: DataType, in1: DataType) -> float:
    """Return the operand bytes unpacked per tile product, in bfloat16 tiles.

    The matrix engine keeps the operand of an output block's shorter side: in a block wider than
    high a tile of the first serves a whole row, while the second's are unpacked for every product.
    """
    whole = TILE_BYTES[DataType.BFLOAT16]
    if width >= height:
        return (TILE_BYTES[in0] / width + TILE_BYTES[in1]) / whole
    return (TILE_BYTES[in0] + TILE_BYTES[in1] / height) / whole


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "matmul": {
        "launch": Prior(1500.0, Resource.LAUNCH, 0.3, tie=0.2),
        "block": Prior(40.0, Resource.ROUNDS),
        "block_2d": Prior(200.0, Resource.ROUNDS),
        "mcast_core": Prior(20.0, Resource.NOC),
        "batch": Prior(1000.0, Resource.ROUNDS),
        # Each batch begins with a round of semaphores, as a convolution's blocks do.
        "batch_mcast": Prior(500.0, Resource.NOC, 0.7, tie=0.2),
        "output_tile": Prior(50.0, Resource.COMPUTE),
        "single_pair": Prior(1000.0, Resource.ROUNDS),
        "matmul_phase": Prior(16.0, Resource.COMPUTE, 0.02, tie=0.02),
        "matmul_unpack": Prior(4.0, Resource.COMPUTE, 0.3),
        # The kernel asks the matrix engine for one output block and one inner tile at a time.
        "matmul_call": Prior(15.0, Resource.COMPUTE),
        "subblock": Prior(30.0, Resource.COMPUTE),
        "pack_tile": Prior(20.0, Resource.COMPUTE),
        "partial_tile": Prior(30.0, Resource.COMPUTE),
        **FUSED_PRIORS,
        "l1_page": Prior(30.0, Resource.READER),
        "l1_kib": Prior(40.0, Resource.READER, blackhole=NOC),
        "dram_page": Prior(60.0, Resource.DRAM),
        "dram_kib": Prior(40.0, Resource.DRAM, blackhole=NOC),
        # A round trip to DRAM takes about so long.
        "write_wait": Prior(700.0, Resource.ROUNDS),
        "mcast_page": Prior(20.0, Resource.NOC),
        "mcast_kib": Prior(40.0, Resource.NOC, blackhole=MULTICAST),
        "overlap_in0": overlap_prior(0.7, 0.5),
        "overlap_in1": overlap_prior(0.6),
        "overlap_output": overlap_prior(0.3),
    },
}

FAMILY = OpFamily(
    readers={
        "matmul": read_matmul,
    },
    formulas={
        MatmulOp: matmul_work,
    },
    priors=_PRIORS,
)
