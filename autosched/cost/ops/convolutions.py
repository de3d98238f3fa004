"""Convolutions.

The kernel walks over blocks of its output rows and, within them, over blocks of the
inner dimension. Per block a reader gathers sticks from the core's own halo shard, the unpacker
tilizes them, weights come from DRAM through one core and a multicast (block sharding repeats that
for every block of rows, width sharding reads them on each core), and the matrix engine multiplies
and accumulates; partial sums go through L1 unless the packer accumulates there. The structure
follows tt-metal's ``conv_bmm_tilize`` kernel and its readers; what double buffers allow to overlap
is a share that calibration finds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Any

from autosched.cost.ops.attributes import (
    config_flag,
    fidelity_of,
    fields,
    flag,
    members,
    numbers,
    pair_of,
)
from autosched.cost.ops.matmul import unpack_share
from autosched.cost.ops.traffic import (
    ELEMENT_BYTES,
    KIB,
    PACK_UNTILIZE_COLUMNS,
    ceil_div,
    first,
)
from autosched.cost.ops.work import (
    MULTICAST,
    NOC,
    OpFamily,
    Prior,
    Quantities,
    Record,
    Work,
    WorkStage,
    overlap_prior,
)
from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, TILE_BYTES, DataType, ShardLayout


@dataclass(frozen=True)
class Conv2dOp(Record):
    """One convolution kernel (``Conv2dDeviceOperation``, formerly ``OptimizedConvNew``).

    Block and output sizes are in tiles, ``out_tiles_*`` per core. ``stick_channels`` is the number
    of channels a core holds of each input position, alignment included.
    """

    layout: ShardLayout
    batch: int
    input_hw: tuple[int, int]
    window_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    dilation_hw: tuple[int, int]
    groups: int
    in_channels: int
    out_channels: int
    stick_channels: int
    cores: int
    cores_nhw: int
    cores_c: int
    out_tiles_h: int
    out_tiles_w: int
    act_block_h: int
    act_block_w: int
    subblock_h: int
    subblock_w: int
    fidelity: Fidelity
    fp32_dest_acc: bool
    packer_l1_acc: bool
    act_double_buffer: bool
    weights_double_buffer: bool
    activation_reuse: bool
    split_reader: bool | None
    has_bias: bool
    has_activation: bool
    untilize_out: bool
    input_dtype: DataType
    weights_dtype: DataType
    output_dtype: DataType
    legacy: bool


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
        WorkStage("compute", _compute(op, rows, blocks, inner_tiles, own_tiles)),
        WorkStage("reader", reader, _hides(op, "reader", op.act_double_buffer)),
        WorkStage(
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


def read_conv2d(op: DeviceOp) -> Conv2dOp:
    """Return the features of a convolution, in the spelling of any release since 2024-10."""
    named = fields(op.attributes)
    window = members(named["sliding_window_config"])
    parallel = members(named["parallelization_config"])
    block = numbers(named["block_config"].partition("Config(")[2])
    source = first(op.inputs)
    cores_c = int(parallel.get("num_cores_c_in") or parallel.get("num_cores_c") or 1)
    batch, height, width, channels = numbers(named.get("input_tensor_shape", "")) or (
        int(window["batch_size"]),
        *pair_of(window["input_hw"]),
        source.shape[-1],
    )
    kernel = pair_of(window["window_hw"])
    out_h, out_w = _out_tiles(parallel)
    return Conv2dOp(
        layout=source.layout.sharding,
        batch=batch,
        input_hw=(height, width),
        window_hw=kernel,
        stride_hw=pair_of(window["stride_hw"]),
        dilation_hw=pair_of(window.get("dilation_hw", "1 1")),
        groups=int(named.get("groups", 1)),
        in_channels=channels,
        out_channels=int(named["output_channels"]),
        stick_channels=ceil_div(source.shape[-1], cores_c),
        cores=int(parallel["num_cores_nhw"]) * cores_c,
        cores_nhw=int(parallel["num_cores_nhw"]),
        cores_c=cores_c,
        out_tiles_h=out_h,
        out_tiles_w=out_w,
        act_block_h=block[0],
        act_block_w=block[1],
        subblock_h=block[2],
        subblock_w=block[3],
        **_conv2d_switches(op, named),
    )


def _conv2d_switches(op: DeviceOp, named: Mapping[str, str]) -> dict[str, Any]:
    split = named.get("force_split_reader", named.get("enable_split_reader", "std::nullopt"))
    return {
        "fidelity": fidelity_of(op.attributes),
        "fp32_dest_acc": config_flag(op.attributes, "fp32_dest_acc_en"),
        "packer_l1_acc": config_flag(op.attributes, "packer_l1_acc"),
        "act_double_buffer": flag(named.get("enable_act_double_buffer")),
        "weights_double_buffer": flag(named.get("enable_weights_double_buffer")),
        "activation_reuse": flag(named.get("enable_activation_reuse")),
        "split_reader": None if "nullopt" in split else flag(split),
        "has_bias": flag(named.get("has_bias")),
        "has_activation": flag(named.get("fuse_relu"))
        or named.get("activation", "std::nullopt") not in ("std::nullopt", ""),
        "untilize_out": flag(named.get("untilize_out")),
        "input_dtype": first(op.inputs).layout.dtype,
        "weights_dtype": op.inputs[1].layout.dtype if len(op.inputs) > 1 else DataType.BFLOAT16,
        "output_dtype": first(op.outputs).layout.dtype,
        "legacy": op.code == "OptimizedConvNew",
    }


def _out_tiles(parallel: Mapping[str, str]) -> tuple[int, int]:
    """Return the output tiles per core; the oldest releases give elements, without ``ntile``."""
    sizes = []
    for side in ("height", "width"):
        name = f"per_core_out_matrix_{side}"
        tiles = parallel.get(f"{name}_ntile") or parallel.get(f"{name}_ntiles")
        sizes.append(int(tiles) if tiles else ceil_div(int(parallel[name]), TILE))
    return sizes[0], sizes[1]


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "conv2d": {
        "launch": Prior(1500.0, 0.3),
        "block": Prior(150.0),
        # Each core of a row sends in turn, with a round of semaphores before and after.
        "block_mcast": Prior(1000.0),
        "act_mcast_kib": Prior(40.0, 0.15, blackhole=MULTICAST),
        "matmul_phase": Prior(16.0, 0.1),
        "matmul_unpack": Prior(8.0),
        "tilize_tile": Prior(65.0, 0.3),
        "reload_tile": Prior(40.0),
        "pack_tile": Prior(32.0),
        "output_tile": Prior(32.0),
        "untilize_row": Prior(100.0),
        "untilize_tile": Prior(100.0),
        "read": Prior(25.0),
        "read_kib": Prior(35.0, 0.3, blackhole=NOC),
        # One core reads them page by page: latency binds, on either architecture.
        "weight_page": Prior(25.0),
        "weight_kib": Prior(40.0, 0.3),
        "weight_mcast_kib": Prior(10.0, blackhole=MULTICAST),
        "overlap_reader": overlap_prior(0.5),
        "overlap_weights": overlap_prior(0.2),
        # Both double buffers bring width-sharded convolutions to 0.60-0.62 of their time.
        "overlap_width": overlap_prior(0.1),
        "double_buffer_reader": overlap_prior(0.8),
        "double_buffer_weights": overlap_prior(0.8),
    },
}

FAMILY = OpFamily(
    readers={
        "conv2d": read_conv2d,
        "optimizedconv": read_conv2d,
        "optimizedconvnew": read_conv2d,
    },
    formulas={
        Conv2dOp: conv2d_work,
    },
    priors=_PRIORS,
)
