"""Convolutions.

The kernel walks over blocks of its output rows and, within them, over blocks of the inner
dimension. Per block a reader gathers sticks from the core's own halo shard, the unpacker tilizes
them, weights come from DRAM through one core and a multicast (block sharding repeats that for every
block of rows, width sharding reads them on each core), and the matrix engine multiplies and
accumulates; partial sums go through L1.

Who waits for whom follows tt-metal's kernels (``conv_bmm_tilize`` and its readers). Tilizing and
multiplying are one processor's, so they take turns. A buffer that holds one block makes who fills
it and who empties it take turns, too; one that holds two lets the longer hide the shorter. With
block and width sharding a core's gathered part is tilized before it is sent to the others of its
row, which do so in turn. With a split reader the weights' processor gathers half of each block
first. Blocks are handed on whole, so that nothing hides the first one's gathering and the last
one's products; only with activation reuse rows of the image are tilized as they come.
"""

from collections.abc import Callable, Mapping
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
from autosched.cost.ops.eltwise import FUSED_PRIORS, FunctionCost, fused_cost, fused_quantities
from autosched.cost.ops.matmul import unpacked_beyond
from autosched.cost.ops.traffic import (
    DRAM_RATE,
    ELEMENT_BYTES,
    KIB,
    LOCAL_RATE,
    MULTICAST_RATE,
    PACK_UNTILIZE_COLUMNS,
    ceil_div,
    first,
)
from autosched.cost.ops.work import (
    DRAM,
    MULTICAST,
    NOC,
    Engine,
    Needs,
    OpFamily,
    Prior,
    Quantities,
    Record,
    Resource,
    Work,
    WorkStage,
)
from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE, TILE_BYTES, DataType, ShardLayout


@dataclass(frozen=True)
class Conv2dOp(Record):
    """One convolution kernel (``Conv2dDeviceOperation``, formerly ``OptimizedConvNew``).

    Block and output sizes are in tiles, ``out_tiles_*`` per core. ``stick_channels`` is the number
    of channels a core holds of each input position, alignment included. ``function`` is the class
    of a fused one.
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
    function: FunctionCost | None
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
    blocks = _Blocks(op)
    stages = {
        "tilize": _tilizes(op, blocks),
        "matmul": _multiplies(op, blocks),
        "reader": _reads(op, blocks),
        "weights": _weights(op, blocks),
    }
    if op.layout is not ShardLayout.HEIGHT:
        stages["mcast"] = _sends(op, blocks)
    turns = _TURNS[op.layout](op, blocks)
    return Work(
        "conv2d",
        {"launch": 1.0},
        tuple(
            WorkStage(name, stages.get(name, {}), (), follows) for name, follows in turns.items()
        ),
        _needs(op, blocks),
    )


def _needs(op: Conv2dOp, blocks: "_Blocks") -> Needs:
    """Return what any kernel needs: gathered windows and weights pass a core's ports once."""
    gathered = blocks.height * TILE * op.window_hw[0] * op.window_hw[1] * op.stick_channels
    weights = _weights(op, blocks)["weight_kib"]
    senders = _weight_senders(op)
    return {
        Engine.MATRIX: float(blocks.height * op.out_tiles_w * blocks.width * op.fidelity.phases),
        Engine.DRAM: weights * senders,
        Engine.NOC: gathered * ELEMENT_BYTES[op.input_dtype] / KIB
        + weights
        + _sends(op, blocks).get("act_mcast_kib", 0.0),
    }


class _Blocks:
    """How a convolution is cut: ``rows`` blocks of ``height`` tiles, ``inner`` blocks in each.

    ``slices`` are the cores that share an inner dimension, ``edge`` is the part of a stage that
    nothing hides at the beginning and the end.
    """

    def __init__(self, op: Conv2dOp) -> None:
        self.rows = ceil_div(op.out_tiles_h, op.act_block_h)
        self.inner = inner_blocks(op)
        self.slices = 1 if op.layout is ShardLayout.HEIGHT else op.cores_c
        self.height = self.rows * op.act_block_h
        self.width = op.act_block_w * self.inner
        self.count = self.rows * self.inner
        self.split = splits_reader(op)
        self.readers = 2 if self.split else 1
        self.edge = 1.0 / self.count


Turns = Mapping[str, Quantities]
"""By stage, the stages that it takes turns with and how much of each it waits for."""


def _height_turns(op: Conv2dOp, blocks: _Blocks) -> Turns:
    """Weights come in once, during the first block of rows, and stay."""
    if op.activation_reuse:
        return _reuse_turns(blocks)
    edge = blocks.edge
    turns: dict[str, Quantities] = {
        "tilize": {},
        "matmul": {"tilize": 1.0, "reader": edge},
        "reader": {
            "tilize": edge if op.act_double_buffer else 1.0 / blocks.readers,
            "matmul": edge,
        },
    }
    later = 1.0 - 1.0 / blocks.rows
    waits = edge if later or op.weights_double_buffer else 1.0
    turns["weights"] = {"tilize": later, "matmul": later + waits, "reader": edge}
    if blocks.split:
        turns["weights after reading"] = {"weights": 1.0, "reader": 1.0, "matmul": edge}
    return turns


def _reuse_turns(blocks: _Blocks) -> Turns:
    """The buffer holds one row of the image: nothing is gathered while a block is multiplied."""
    turns: dict[str, Quantities] = {
        "tilize": {},
        "matmul": {"tilize": 1.0},
        "reader": {"matmul": 1.0},
        "weights": {"matmul": blocks.edge},
    }
    if blocks.split:
        turns["weights after reading"] = {"weights": 1.0, "reader": 1.0, "matmul": 1.0}
    return turns


def _block_turns(op: Conv2dOp, blocks: _Blocks) -> Turns:
    """All cores of a row wait for each other's parts, gathered, tilized and sent."""
    edge = blocks.edge
    return {
        "tilize": {},
        "matmul": {"reader": 1.0, "tilize": 1.0},
        "reader": {},
        "mcast": {
            "reader": 1.0,
            "tilize": 1.0,
            "matmul": edge if op.act_double_buffer else 1.0,
        },
        "weights": {
            "reader": 1.0 if blocks.split else 0.0,
            "matmul": edge if op.weights_double_buffer else 1.0,
        },
    }


def _width_turns(op: Conv2dOp, blocks: _Blocks) -> Turns:
    """As with blocks, but gathered rows of tiles are tilized while the next are gathered."""
    edge = blocks.edge
    matmul = edge if op.act_double_buffer else 1.0
    return {
        "tilize": {},
        "matmul": {"tilize": 1.0},
        "reader": {"matmul": 1.0},
        "mcast": {"reader": 1.0, "matmul": matmul},
        "mcast after tilizing": {"mcast": 1.0, "tilize": 1.0, "matmul": matmul},
        "weights": {"matmul": edge if op.weights_double_buffer else 1.0},
    }


_TURNS: Mapping[ShardLayout, Callable[[Conv2dOp, _Blocks], Turns]] = {
    ShardLayout.HEIGHT: _height_turns,
    ShardLayout.INTERLEAVED: _height_turns,
    ShardLayout.BLOCK: _block_turns,
    ShardLayout.WIDTH: _width_turns,
}


def _tilizes(op: Conv2dOp, blocks: _Blocks) -> Quantities:
    """Return the own tiles, in the time of one in bfloat16: the packer is faster with less."""
    calls = blocks.count / blocks.slices
    return {
        "tilize_tile": blocks.height * blocks.width / blocks.slices * _tilize_share(op),
        "tilize_block": calls * blocks.readers,
    }


def _multiplies(op: Conv2dOp, blocks: _Blocks) -> Quantities:
    outputs = blocks.height * op.out_tiles_w
    products = outputs * blocks.width
    subblock = op.subblock_h * op.subblock_w
    partials = (blocks.inner - 1) * outputs
    reloaded = 0 if op.packer_l1_acc else partials
    return {
        "block": float(blocks.count),
        "matmul_phase": float(products * op.fidelity.phases),
        "matmul_unpack": products
        * unpacked_beyond(
            op.subblock_h, op.subblock_w, op.output_dtype, op.weights_dtype, op.fidelity
        ),
        "matmul_call": products / subblock,
        "subblock": outputs / subblock * blocks.inner,
        "partial_tile": float(partials),
        "reload_tile": float(reloaded),
        "reload_subblock": reloaded / subblock,
        "pack_tile": float(blocks.inner * outputs),
        "output_tile": float(outputs),
        "bias_tile": float(outputs * op.has_bias),
        **fused_quantities(op.function, float(outputs)),
        **_untilizes(op, blocks),
    }


def _untilizes(op: Conv2dOp, blocks: _Blocks) -> Quantities:
    if not op.untilize_out:
        return {}
    calls = blocks.height * ceil_div(op.out_tiles_w, PACK_UNTILIZE_COLUMNS)
    return {"untilize_row": float(calls), "untilize_tile": float(blocks.height * op.out_tiles_w)}


# A processor issues reads one by one; up to this size none takes longer than the issue.
_ISSUE_BYTES = 800


def _reads(op: Conv2dOp, blocks: _Blocks) -> Quantities:
    """Return the gathered sticks: a row of the window is one read, unless it is dilated.

    With width sharding each position is a read. The two processors of a split reader share a core's
    ports, so that each of its reads takes longer. Activation reuse reads a whole window in the
    first row of an image that a processor fills in a block, and the last row of it in the others.
    """
    window_h, window_w = op.window_hw
    sticks = float(blocks.height * TILE * window_h)
    stick_bytes = op.stick_channels * ELEMENT_BYTES[op.input_dtype]
    if op.layout is ShardLayout.WIDTH:
        parts = max(1.0, blocks.inner / blocks.slices)
        reads, size = sticks * window_w * parts, stick_bytes / parts
    elif op.dilation_hw[1] != 1:
        reads, size = sticks * window_w, float(stick_bytes)
    else:
        reads, size = sticks, float(stick_bytes * window_w)
    if blocks.split:
        reads /= 2
    if op.activation_reuse:
        width = max(1, op.input_hw[1] // op.stride_hw[1])
        filled = max(1.0, op.act_block_h * TILE / width / 2)
        reads *= (window_h + filled - 1) / (window_h * filled)
    return {
        "split_read" if blocks.split else "read": reads,
        "read_kib": reads * max(0.0, size - _ISSUE_BYTES) / KIB,
        "read_block": blocks.count / blocks.slices,
    }


def _sends(op: Conv2dOp, blocks: _Blocks) -> Quantities:
    """Return what the cores of a row send each other, in the output's format, round by round."""
    if op.cores_c < 2:
        return {}
    kib = blocks.height * blocks.width * TILE_BYTES[op.output_dtype] / KIB
    return {"block_mcast": float(blocks.count), "act_mcast_kib": kib}


def _weights(op: Conv2dOp, blocks: _Blocks) -> Quantities:
    """Return what the sending core reads and multicasts.

    With height sharding, weights are kept for the next block of rows; the others read them again.
    Of several cores that read at once each waits for the others' pages (``crowd``).
    """
    repeats = 1 if op.layout is ShardLayout.HEIGHT else blocks.rows
    tiles = float(blocks.width * op.out_tiles_w * repeats)
    kib = tiles * TILE_BYTES[op.weights_dtype] / KIB
    receivers = op.cores_nhw if op.layout is ShardLayout.BLOCK else op.cores
    senders = _weight_senders(op)
    sent = op.layout is not ShardLayout.WIDTH and receivers > 1
    return {
        "weight_block": float(blocks.inner * repeats),
        "weight_page": tiles,
        "weight_kib": kib,
        "weight_crowd_kib": kib * log2(senders),
        "legacy_weight_page": tiles if op.legacy else 0.0,
        "weight_mcast": float(blocks.inner * repeats) if sent else 0.0,
        "weight_mcast_kib": kib * log2(receivers) if sent else 0.0,
    }


def _weight_senders(op: Conv2dOp) -> int:
    """Return the cores that read weights from DRAM."""
    return {ShardLayout.BLOCK: op.cores_c, ShardLayout.WIDTH: op.cores}.get(op.layout, 1)


# tt-metal's own figures for Wormhole, by the output's format.
_TILIZE_CYCLES = {DataType.BFLOAT8_B: 40.0}
_OTHER_TILIZE_CYCLES = 61.0


def _tilize_share(op: Conv2dOp) -> float:
    return _TILIZE_CYCLES.get(op.output_dtype, _OTHER_TILIZE_CYCLES) / _OTHER_TILIZE_CYCLES


def splits_reader(op: Conv2dOp) -> bool:
    """Whether two cores' data-movement processors share the gathering.

    A forced choice holds. Otherwise tt-metal's rule (``is_split_reader_viable``): always with
    block sharding or activation reuse, never for one tile row; else where a block is ready sooner
    with half of the gathering before its weights are fetched than with all of it beside.
    """
    if op.layout is ShardLayout.WIDTH or op.act_block_h < 2:
        return False
    if op.split_reader is not None:
        return op.split_reader
    if op.legacy:
        return False
    if op.layout is ShardLayout.BLOCK or op.activation_reuse:
        return True
    stick_bytes = ELEMENT_BYTES[op.input_dtype] * op.stick_channels
    read_bytes = stick_bytes * (op.window_hw[1] if op.dilation_hw[1] == 1 else 1)
    gathered = op.act_block_h * TILE * op.window_hw[1] * stick_bytes
    gather = gathered / LOCAL_RATE.at(read_bytes)
    tile_bytes = TILE_BYTES[op.weights_dtype]
    block_bytes = op.act_block_w * op.out_tiles_w * tile_bytes
    rates = (DRAM_RATE.at(tile_bytes), MULTICAST_RATE.at(block_bytes))
    weights = sum(block_bytes / rate for rate in rates)
    tilize = op.act_block_h * op.act_block_w * _OTHER_TILIZE_CYCLES * _tilize_share(op)
    return gather / 2 + max(weights, tilize) < max(gather + tilize, weights)


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
        "function": fused_cost(op.attributes),
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
        "launch": Prior(1000.0, Resource.LAUNCH, 0.3, tie=0.2),
        "block": Prior(150.0, Resource.ROUNDS, 0.7, tie=0.2),
        # Each core of a row sends in turn, with a round of semaphores before and after.
        "block_mcast": Prior(500.0, Resource.NOC, 0.7, tie=0.2),
        "act_mcast_kib": Prior(40.0, Resource.NOC, 0.3, blackhole=MULTICAST, tie=0.3),
        "matmul_phase": Prior(16.0, Resource.COMPUTE, 0.1, tie=0.1),
        "matmul_unpack": Prior(8.0, Resource.COMPUTE, tie=0.2),
        "matmul_call": Prior(5.0, Resource.COMPUTE, 1.0, tie=0.2),
        "subblock": Prior(50.0, Resource.COMPUTE, 1.0, tie=0.2),
        "tilize_tile": Prior(65.0, Resource.COMPUTE, 0.3, tie=0.2),
        "tilize_block": Prior(100.0, Resource.COMPUTE, 1.0, tie=0.2),
        "partial_tile": Prior(20.0, Resource.COMPUTE, tie=0.2),
        "reload_tile": Prior(30.0, Resource.COMPUTE, tie=0.2),
        "reload_subblock": Prior(50.0, Resource.COMPUTE, 1.0, tie=0.2),
        "pack_tile": Prior(32.0, Resource.COMPUTE, tie=0.2),
        "output_tile": Prior(20.0, Resource.COMPUTE, tie=0.2),
        # Another pass through the destination registers.
        "bias_tile": Prior(80.0, Resource.COMPUTE, tie=0.2),
        **FUSED_PRIORS,
        "untilize_row": Prior(100.0, Resource.COMPUTE, tie=0.2),
        "untilize_tile": Prior(100.0, Resource.COMPUTE, tie=0.2),
        # 28 to 37 cycles by tt-metal's own rates of small local reads.
        "read": Prior(27.0, Resource.READER, 0.3),
        "split_read": Prior(30.0, Resource.READER, blackhole=0.75, tie=0.8),
        "read_kib": Prior(35.0, Resource.READER, 0.3, blackhole=NOC),
        "read_block": Prior(100.0, Resource.READER, 1.0, tie=0.2),
        "weight_block": Prior(500.0, Resource.WEIGHTS, 0.7, tie=0.2),
        # One core reads them page by page: latency binds, on either architecture.
        "weight_page": Prior(25.0, Resource.WEIGHTS),
        "weight_kib": Prior(40.0, Resource.WEIGHTS, 0.3, blackhole=NOC),
        "weight_crowd_kib": Prior(5.0, Resource.DRAM, 0.7, blackhole=DRAM, tie=0.3),
        "legacy_weight_page": Prior(10.0, Resource.WEIGHTS, 0.7, tie=0.2),
        "weight_mcast": Prior(300.0, Resource.NOC, 0.7, tie=0.2),
        "weight_mcast_kib": Prior(10.0, Resource.NOC, blackhole=MULTICAST, tie=0.3),
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
