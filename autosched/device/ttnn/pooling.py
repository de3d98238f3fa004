"""The ttnn calls of pooling."""

from collections.abc import Callable, Mapping

import ttnn

from autosched.device.ttnn.calls import (
    Call,
    Tensor,
    _refuse_other_shards,
    flattened,
    refuse_slices_of_l1,
)
from autosched.device.ttnn.ttnn_types import (
    DATA_TYPES,
    MEMORY_LAYOUTS,
    PAGE_LAYOUTS,
    layout_of,
    slice_config,
)
from autosched.network.narrow_images import as_told, slides_down_a_column
from autosched.network.operators import GlobalAvgPool2d, Pool2d
from autosched.schedule.configurations import PoolConfig


def _run_pool(call: Call) -> Tensor:
    config = call.config_of(PoolConfig)
    (tensor,) = call.inputs
    refuse_slices_of_l1(config, tensor)
    _refuse_other_shards(config, layout_of(tensor))
    op, (batch, channels, height, width) = as_told(call.layer.op, call.input_shape)
    if slides_down_a_column(call.layer.op, call.input_shape):
        tensor = flattened(tensor)
    if isinstance(op, GlobalAvgPool2d):
        op = Pool2d("avg", (height, width), (1, 1))
    assert isinstance(op, Pool2d)  # noqa: S101 - dispatched by type
    arguments = {
        "input_tensor": tensor,
        "batch_size": batch,
        "input_h": height,
        "input_w": width,
        "channels": channels,
        "kernel_size": list(op.kernel),
        "stride": list(op.stride),
        "padding": list(op.padding),
        "ceil_mode": op.ceil_mode,
        # ttnn refuses a scheme for an input that is sharded already.
        "applied_shard_scheme": None
        if config.shard_layout is None or layout_of(tensor).is_sharded
        else MEMORY_LAYOUTS[config.shard_layout],
        "memory_config": ttnn.DRAM_MEMORY_CONFIG if config.output_memory == "dram" else None,
        "dram_slice_config": slice_config(config),
        "deallocate_input": call.frees,
        "reallocate_halo_output": config.reallocate_halo_output,
        "dtype": DATA_TYPES[config.output_dtype],
        "output_layout": PAGE_LAYOUTS[config.output_page],
    }
    if op.mode == "max":
        return ttnn.max_pool2d(**arguments, dilation=list(op.dilation))
    return ttnn.avg_pool2d(
        **arguments,
        count_include_pad=op.count_include_pad,
        divisor_override=op.divisor_override,
    )


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Pool2d: _run_pool,
    GlobalAvgPool2d: _run_pool,
}
