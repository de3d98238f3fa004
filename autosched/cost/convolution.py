"""The work of convolutions and of the halo gather before them.

A convolution kernel walks over blocks of its output rows and, within them, over blocks of the
inner dimension. Per block a reader gathers sticks from the core's own halo shard, the unpacker
tilizes them, weights come from DRAM through one core and a multicast (block sharding repeats that
for every block of rows, width sharding reads them on each core), and the matrix engine multiplies
and accumulates; partial sums go through L1 unless the packer accumulates there. The structure
follows tt-metal's ``conv_bmm_tilize`` kernel and its readers; what double buffers allow to overlap
is a share that calibration finds.
"""

from math import ceil, log2

from autosched.cost.records import ELEMENT_BYTES, Conv2dOp, HaloOp
from autosched.cost.tensors import TILE, ceil_div
from autosched.cost.work import Quantities, Stage, Work
from autosched.schedule import TILE_BYTES, DataType, ShardLayout

KIB = 1024.0
# Wider rows of tiles than the packer can untilize at once take the slow path through the unpacker
# (MAX_PACK_UNTILIZE_WIDTH in tt-metal).
PACK_UNTILIZE_COLUMNS = 8


def inner_blocks(op: Conv2dOp) -> int:
    """Return the blocks of the whole inner dimension.

    A block is part of one row of the window, or (where it is wider than a row) a part of the
    window's tiles over all channels.
    """
    window_h, window_w = op.window_hw
    slices = 1 if op.layout is ShardLayout.HEIGHT else op.cores_c
    row_tiles = ceil_div(window_w * op.stick_channels, TILE)
    if op.act_block_w <= row_tiles:
        return window_h * ceil_div(row_tiles, op.act_block_w) * slices
    whole = ceil_div(window_h * window_w * op.stick_channels * slices, TILE)
    return ceil_div(whole, op.act_block_w)


def conv2d_work(op: Conv2dOp) -> Work:
    """Return the work of one convolution kernel on its most loaded core."""
    row_blocks = ceil_div(op.out_tiles_h, op.act_block_h)
    blocks = inner_blocks(op)
    rows = row_blocks * op.act_block_h
    inner_tiles = op.act_block_w * blocks
    own_tiles = rows * inner_tiles / (1 if op.layout is ShardLayout.HEIGHT else op.cores_c)
    shared = op.layout is not ShardLayout.HEIGHT and op.cores_c > 1
    serial = {
        "launch": 1.0,
        "block": float(row_blocks * blocks),
    }
    # Tiles travel between cores in the output's format: that is what the unpacker packs them to.
    sent_kib = rows * inner_tiles * TILE_BYTES[op.output_dtype] / KIB if shared else 0.0
    reader = {**_reads(op, rows, own_tiles), "act_mcast_kib": sent_kib}
    if shared:
        reader["block_mcast"] = float(row_blocks * blocks)
    stages = (
        Stage("compute", _compute(op, rows, blocks, inner_tiles, own_tiles)),
        Stage("reader", reader, _hides(op, "reader", op.act_double_buffer)),
        Stage(
            "weights",
            _weights(op, row_blocks, inner_tiles),
            _hides(op, "weights", op.weights_double_buffer),
        ),
    )
    return Work("conv2d", serial, stages)


def _hides(op: Conv2dOp, stage: str, double_buffer: bool) -> tuple[str, ...]:
    """Name what hides a stage; width sharding hides little without double buffers."""
    narrow = op.layout is ShardLayout.WIDTH
    names = ("overlap_width",) if narrow else (f"overlap_{stage}",)
    return (*names, f"double_buffer_{stage}") if double_buffer else names


def _tile_bytes(dtype: DataType) -> int:
    return TILE**2 * ELEMENT_BYTES[dtype]


def _compute(op: Conv2dOp, rows: int, blocks: int, inner: int, own_tiles: float) -> Quantities:
    outputs = rows * op.out_tiles_w
    products = outputs * inner
    partials = 0 if op.packer_l1_acc else (blocks - 1) * outputs
    return {
        "matmul_phase": float(products * op.fidelity.phases),
        "matmul_unpack": products
        * unpack_share(op.subblock_h, op.subblock_w, op.output_dtype, op.weights_dtype),
        "tilize_tile": own_tiles,
        "reload_tile": float(partials * (2 if op.fp32_dest_acc else 1)),
        "pack_tile": float(blocks * outputs),
        "output_tile": float(outputs * (1 + op.has_bias + op.has_activation)),
        **_untilizes(op, rows),
    }


def _untilizes(op: Conv2dOp, rows: int) -> Quantities:
    if not op.untilize_out:
        return {}
    calls = rows * ceil_div(op.out_tiles_w, PACK_UNTILIZE_COLUMNS)
    return {"untilize_row": float(calls), "untilize_tile": float(rows * op.out_tiles_w)}


def unpack_share(height: int, width: int, in0: DataType, in1: DataType) -> float:
    """Return the operand bytes unpacked per tile product, in bfloat16 tiles.

    The matrix engine keeps the operand of an output block's shorter side: in a block wider than
    high a tile of the first serves a whole row, while the second's are unpacked for every product.
    """
    whole = TILE_BYTES[DataType.BFLOAT16]
    if width >= height:
        return (TILE_BYTES[in0] / width + TILE_BYTES[in1]) / whole
    return (TILE_BYTES[in0] + TILE_BYTES[in1] / height) / whole


def _reads(op: Conv2dOp, rows: int, own_tiles: float) -> Quantities:
    """Return the gathered sticks; a row of the window is one read unless it is dilated."""
    window_h, window_w = op.window_hw
    per_row = window_h * (1 if op.dilation_hw[1] == 1 else window_w)
    readers = 2.0 if splits_reader(op) else 1.0
    reused = max(1, window_h) if op.activation_reuse else 1
    return {
        "read": rows * TILE * per_row / readers / reused,
        "read_kib": own_tiles * _tile_bytes(op.input_dtype) / KIB / readers / reused,
    }


def _weights(op: Conv2dOp, row_blocks: int, inner_tiles: int) -> Quantities:
    """Return what the sending core reads and multicasts.

    With height sharding, weights are kept for the next block of rows; block sharding reads them
    again.
    """
    repeats = row_blocks if op.layout is ShardLayout.BLOCK else 1
    tiles = float(inner_tiles * op.out_tiles_w * repeats)
    kib = tiles * TILE_BYTES[op.weights_dtype] / KIB
    receivers = op.cores_nhw if op.layout is ShardLayout.BLOCK else op.cores
    sent = op.layout is not ShardLayout.WIDTH and receivers > 1
    return {
        "weight_page": tiles,
        "weight_kib": kib,
        "weight_mcast_kib": kib * log2(receivers) if sent else 0.0,
    }


_LOCAL_BYTES_PER_CYCLE = 24.0
_DRAM_BYTES_PER_CYCLE = 28.0
_MCAST_BYTES_PER_CYCLE = 25.0
_TILIZE_CYCLES = 64.0


def splits_reader(op: Conv2dOp) -> bool:
    """Whether two cores' data-movement processors share the gathering.

    A forced choice holds. Otherwise tt-metal's rule (``is_split_reader_viable``): always with
    block sharding or activation reuse, never for one tile row; else where a block's weights arrive
    before half of its gathering and its tilizing are done, so that the weights' reader is free.
    """
    if op.layout is ShardLayout.WIDTH or op.act_block_h < 2:
        return False
    if op.split_reader is not None:
        return op.split_reader
    if op.legacy:
        return False
    if op.layout is ShardLayout.BLOCK or op.activation_reuse:
        return True
    gather = (
        op.act_block_h * TILE * op.window_hw[1] * op.stick_channels * 2 / _LOCAL_BYTES_PER_CYCLE
    )
    tilize = op.act_block_h * op.act_block_w * _TILIZE_CYCLES
    block_bytes = op.act_block_w * op.out_tiles_w * TILE_BYTES[op.weights_dtype]
    weights = block_bytes * (1 / _DRAM_BYTES_PER_CYCLE + 1 / _MCAST_BYTES_PER_CYCLE)
    return weights < gather / 2 + tilize


def halo_work(op: HaloOp) -> Work:
    """Return the work of a halo gather: untilize, copy the own shard, fetch or pad the border."""
    kept = min(op.in_sticks, op.out_sticks)
    age = "legacy_" if op.legacy else ""
    serial = {
        "launch": 1.0,
        "local_stick": float(kept),
        f"{age}local_kib": kept * op.stick_bytes / KIB,
        f"{age}border_stick": float(op.border_sticks),
        f"{age}border_kib": op.border_sticks * op.stick_bytes / KIB,
        "window_row": float(op.window_rows),
    }
    if op.from_tiles:
        tiles = float(op.tile_rows * op.tile_columns)
        slow = op.tile_columns > PACK_UNTILIZE_COLUMNS
        serial["untilize_row"] = float(op.tile_rows * ceil(op.tile_columns / PACK_UNTILIZE_COLUMNS))
        serial["untilize_tile"] = tiles
        serial["untilize_slow_tile"] = tiles if slow else 0.0
    return Work("halo", serial)
