"""The work of matrix multiplications, which 1x1 convolutions and linear layers become.

One core (or one per row or column) reads the shared operand and multicasts it; the matrix engine
needs 16 cycles for two 32x32 tiles at one fidelity phase.
"""

from autosched.cost.convolution import unpack_share
from autosched.cost.records import MatmulKind, MatmulOp, Place
from autosched.cost.work import Stage, Work
from autosched.schedule import TILE_BYTES, DataType

KIB = 1024.0


def matmul_work(op: MatmulOp) -> Work:
    """Return the work of a matrix multiplication on its most loaded core."""
    outputs = op.core_m * op.core_n
    products = outputs * op.k_tiles
    serial = {
        "launch": 1.0,
        "block": float(op.k_blocks * op.out_blocks),
        "block_2d": float(op.k_blocks) if op.kind is MatmulKind.MCAST_2D else 0.0,
        "mcast_core": 0.0 if op.kind is MatmulKind.REUSE else float(op.cores),
        "batch": float(op.core_batches - 1),
        "output_tile": float(outputs * (1 + op.has_bias)),
    }
    compute = {
        "matmul_phase": float(products * op.fidelity.phases),
        "matmul_unpack": products
        * unpack_share(op.subblock_h, op.subblock_w, op.in0_dtype, op.in1_dtype),
        "matmul_call": products / (op.subblock_h * op.subblock_w),
        "subblock": outputs / (op.subblock_h * op.subblock_w),
        "pack_tile": float(outputs * op.k_blocks),
    }
    if not op.packer_l1_acc:
        compute["partial_tile"] = float(outputs * (op.k_blocks - 1))
    stages = (
        Stage("compute", compute),
        Stage("in0", _in0(op), ("overlap_in0",)),
        Stage("in1", _in1(op), ("overlap_in1",)),
        Stage("output", _written(op, outputs), ("overlap_output",)),
    )
    return Work("matmul", serial, stages)


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
    tiles = float(op.core_n * op.k_tiles * op.out_blocks)
    quantities = _transfer(op.in1_place, tiles, op.in1_dtype)
    if op.kind in (MatmulKind.MCAST_IN1, MatmulKind.MCAST_2D) and op.cores > 1:
        quantities["mcast_page"] = tiles
        quantities["mcast_kib"] = tiles * TILE_BYTES[op.in1_dtype] / KIB
    return quantities
