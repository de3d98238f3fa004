"""Features of the ops that slide a window: convolution, halo gather and pooling."""

import re
from collections.abc import Mapping
from typing import Any

from autosched.cost.attributes import (
    config_flag,
    fidelity_of,
    fields,
    flag,
    members,
    numbers,
    sliding_window_text,
)
from autosched.cost.records import ELEMENT_BYTES, Conv2dOp, HaloOp, PoolOp, Record
from autosched.cost.sliding_window import read_window
from autosched.cost.tensors import TILE, ceil_div, first, shard_of
from autosched.schedule import DataType, DeviceOp, PageLayout, ShardLayout

_LAYOUT = re.compile(r"TensorMemoryLayout::(\w+)_SHARDED")
_POOL_KIND = re.compile(r"Pool2DType::(\w+?)_POOL")


def read_conv2d(op: DeviceOp) -> Record:
    """Return the features of a convolution, in the spelling of any release since 2024-10."""
    named = fields(op.attributes)
    window = members(named["sliding_window_config"])
    parallel = members(named["parallelization_config"])
    block = numbers(named["block_config"].partition("Config(")[2])
    source = first(op.inputs)
    cores_c = int(parallel.get("num_cores_c_in") or parallel.get("num_cores_c") or 1)
    batch, height, width, channels = numbers(named.get("input_tensor_shape", "")) or (
        int(window["batch_size"]),
        *_pair(window["input_hw"]),
        source.shape[-1],
    )
    kernel = _pair(window["window_hw"])
    out_h, out_w = _out_tiles(parallel)
    return Conv2dOp(
        layout=source.layout.sharding,
        batch=batch,
        input_hw=(height, width),
        window_hw=kernel,
        stride_hw=_pair(window["stride_hw"]),
        dilation_hw=_pair(window.get("dilation_hw", "1 1")),
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


def _pair(text: str) -> tuple[int, int]:
    first, second = numbers(text)[:2]
    return first, second


def read_halo(op: DeviceOp) -> Record:
    """Return the features of a halo gather."""
    named = fields(op.attributes)
    source, target = first(op.inputs), first(op.outputs)
    rows, columns = shard_of(source, op.cores)
    in_sticks = int(named.get("in_nsticks_per_core") or rows)
    out_sticks = int(named["max_out_nsticks_per_core"])
    layout = _LAYOUT.search(named.get("parallel_config", "")) or _LAYOUT.search(op.attributes)
    sharding = ShardLayout(layout[1].lower()) if layout else source.layout.sharding
    window = read_window(named["config"], flag(named.get("is_out_tiled")))
    return HaloOp(
        layout=sharding,
        cores=op.cores,
        in_sticks=in_sticks,
        out_sticks=out_sticks,
        border_sticks=window.border_sticks(in_sticks, out_sticks),
        window_rows=window.rows_touched(out_sticks),
        stick_bytes=columns * ELEMENT_BYTES[target.layout.dtype],
        from_tiles=source.layout.page is PageLayout.TILE,
        tile_rows=ceil_div(rows, TILE),
        tile_columns=ceil_div(columns, TILE),
        input_dtype=source.layout.dtype,
        legacy="reshard_num_cores_nhw" in named,
    )


def read_pool(op: DeviceOp) -> Record:
    """Return the features of a pooling."""
    window = members(sliding_window_text(op.attributes))
    source, target = first(op.inputs), first(op.outputs)
    out_rows, _ = shard_of(target, op.cores)
    _, channels = shard_of(source, op.cores)
    kind = _POOL_KIND.search(op.attributes)
    return PoolOp(
        layout=source.layout.sharding,
        cores=op.cores,
        kind=kind[1].lower() if kind else "max",
        window_hw=_pair(window["window_hw"]),
        stride_hw=_pair(window["stride_hw"]),
        out_sticks=out_rows,
        stick_bytes=channels * ELEMENT_BYTES[source.layout.dtype],
        channels=channels,
        tiled_output=target.layout.page is PageLayout.TILE,
        with_indices=len(op.outputs) > 1,
    )
