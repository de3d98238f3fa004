"""Each layer as the ttnn calls that run it.

Images travel between layers as (1, 1, N*H*W, C), vectors as (1, 1, N, C): the shapes ttnn's
convolutions and matmuls take without a reshape.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import ttnn

from autosched.device.ttnn_types import (
    DATA_TYPES,
    MEMORY_LAYOUTS,
    PAGE_LAYOUTS,
    compute_config,
    layout_of,
    memory_config,
    slice_config,
    unary,
)
from autosched.errors import DeviceError
from autosched.network.graph import (
    Constant,
    GlobalAvgPool2d,
    Input,
    Layer,
    Linear,
    Output,
    Pool2d,
)
from autosched.schedule import (
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    Memory,
    PageLayout,
    PoolConfig,
    ShardLayout,
    TensorLayout,
)

if TYPE_CHECKING:
    from autosched.device.lowering import Lowering

Tensor = Any
_Type = TypeVar("_Type")

_MATMUL_OUTPUTS = {
    "dram": ttnn.DRAM_MEMORY_CONFIG,
    "l1": ttnn.L1_MEMORY_CONFIG,
    "width": ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG,
    "height": ttnn.L1_HEIGHT_SHARDED_MEMORY_CONFIG,
    "block": ttnn.L1_BLOCK_SHARDED_MEMORY_CONFIG,
}


@dataclass(frozen=True)
class Call:
    """One layer to run: its configuration and its input tensors on the device."""

    lowering: "Lowering"
    layer: Layer
    config: LayerConfig
    inputs: Sequence[Tensor]

    def op(self, kind: type[_Type]) -> _Type:
        """Return the layer's operator, known to be a ``kind``."""
        assert isinstance(self.layer.op, kind)  # noqa: S101 - dispatched by type
        return self.layer.op

    def config_of(self, kind: type[_Type]) -> _Type:
        """Return the configuration.

        Raises:
            DeviceError: if the schedule has another kind of configuration for this layer.
        """
        if not isinstance(self.config, kind):
            raise DeviceError(
                f"layer {self.layer.name} is a {type(self.layer.op).__name__} and takes a "
                f"{kind.__name__}, not a {type(self.config).__name__}"
            )
        return self.config

    @property
    def input_shape(self) -> tuple[int, ...]:
        """PyTorch's shape of the first input."""
        return self.lowering.network.by_name[self.layer.inputs[0]].shape


def is_image(shape: Sequence[int]) -> bool:
    """Return whether a shape is an image's, (N, C, H, W), rather than a vector's."""
    return len(shape) == 4


def upload_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape in which an input of PyTorch's ``shape`` is put on the device.

    Images keep their order of elements as (1, N, C, H*W), vectors as (1, 1, N, features).
    """
    if is_image(shape):
        batch, channels, height, width = shape
        return (1, batch, channels, height * width)
    return (1, 1, math.prod(shape[:-1]), shape[-1])


def _run_input(call: Call) -> Tensor:
    config = call.config_of(FixedConfig)
    (tensor,) = call.inputs
    if not is_image(call.layer.shape):
        return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)
    if config.method == "convert_to_hwc":
        return _convert_to_hwc(tensor, config)
    batch, channels, height, width = call.layer.shape
    tensor = ttnn.permute(tensor, (0, 1, 3, 2))
    return ttnn.reshape(tensor, (1, 1, batch * height * width, channels))


def _convert_to_hwc(tensor: Tensor, config: FixedConfig) -> Tensor:
    """Bring (1, N, C, H*W) into height shards of rows of channels, padded to the alignment.

    The operation takes width shards of as many columns as the output has rows per image.
    """
    _, batch, channels, columns = tensor.shape
    target = config.output
    shards = TensorLayout(
        Memory.L1,
        ShardLayout.WIDTH,
        target.dtype,
        PageLayout.ROW_MAJOR,
        target.grid,
        (batch * channels, columns // target.cores),
    )
    tensor = ttnn.to_memory_config(tensor, memory_config(shards))
    return ttnn.experimental.convert_to_hwc(
        tensor, memory_config=memory_config(target), dtype=DATA_TYPES[target.dtype]
    )


def _run_constant(call: Call) -> Tensor:
    """Put a parameter into DRAM once; it stays there between runs."""
    call.config_of(FixedConfig)
    key, shape = (call.layer.name,), call.layer.shape
    found = call.lowering.recall(key)
    if found is None:
        values = call.lowering.weights(call.layer).weight
        if is_image(shape):
            values = values.permute(0, 2, 3, 1)
        columns = values.shape[-1]
        tensor = ttnn.from_torch(
            values.reshape(1, 1, -1, columns).to(torch.bfloat16),
            layout=ttnn.TILE_LAYOUT,
            device=call.lowering.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )
        found = (tensor, None)
        call.lowering.remember(key, found)
    return found[0]


def _run_output(call: Call) -> Tensor:
    config = call.config_of(FixedConfig)
    (tensor,) = call.inputs
    if is_image(call.layer.shape):
        return to_nchw(tensor, call.layer.shape)
    current = layout_of(tensor)
    if current.is_sharded or current.memory is not config.output.memory:
        return ttnn.to_memory_config(tensor, memory_config(config.output))
    return tensor


def _run_linear(call: Call) -> Tensor:
    config = call.config_of(MatmulConfig)
    (tensor,) = call.inputs
    op = call.op(Linear)
    key = (call.layer.name, config.weights_dtype)
    prepared = call.lowering.recall(key)
    if prepared is None:
        prepared = _device_weights(call, config)
        call.lowering.remember(key, prepared)
    weight, bias = prepared
    grid = None
    if config.core_grid is not None:
        grid = ttnn.CoreGrid(x=config.core_grid[0], y=config.core_grid[1])
    return ttnn.linear(
        tensor,
        weight,
        bias=bias,
        memory_config=_MATMUL_OUTPUTS[config.output],
        dtype=DATA_TYPES[config.output_dtype],
        activation=None if op.activation is None else unary(op.activation),
        core_grid=grid,
        compute_kernel_config=compute_config(config.compute, call.lowering.board),
    )


def _device_weights(call: Call, config: MatmulConfig) -> tuple[Tensor, Tensor | None]:
    weights = call.lowering.weights(call.layer)

    def upload(values: torch.Tensor) -> Tensor:
        return ttnn.from_torch(
            values,
            dtype=DATA_TYPES[config.weights_dtype],
            layout=ttnn.TILE_LAYOUT,
            device=call.lowering.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )

    bias = weights.bias
    return (
        upload(weights.weight.T.contiguous()[None, None]),
        None if bias is None else upload(bias.reshape(1, 1, 1, -1)),
    )


def _run_pool(call: Call) -> Tensor:
    config = call.config_of(PoolConfig)
    (tensor,) = call.inputs
    batch, channels, height, width = call.input_shape
    op = (
        Pool2d("avg", (height, width), (1, 1))
        if isinstance(call.layer.op, GlobalAvgPool2d)
        else call.op(Pool2d)
    )
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
        "deallocate_input": config.deallocate_input,
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


def flattened(tensor: Tensor) -> Tensor:
    """Return an image as the (1, 1, pixels, channels) in which layers take it.

    What was pooled in slices comes as (N, H, W, C). Convolutions and pools in slices take that, and
    others only after a copy, where the width is no multiple of a tile's.
    """
    shape = tuple(tensor.shape)
    flat = (1, 1, math.prod(shape[:-1]), shape[-1])
    return tensor if shape == flat else ttnn.reshape(tensor, flat)


def to_nchw(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return an image in PyTorch's order of elements, (N, C, H, W)."""
    batch, channels, height, width = shape
    tensor = ttnn.reshape(rows_in_dram(tensor), (batch, height, width, channels))
    return ttnn.permute(tensor, (0, 3, 1, 2))


def rows_in_dram(tensor: Tensor) -> Tensor:
    """Return a tensor as rows, interleaved in DRAM."""
    if layout_of(tensor).is_sharded:
        tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
    return ttnn.to_layout(tensor, ttnn.ROW_MAJOR_LAYOUT)


LOWERINGS: Mapping[type, Callable[[Call], Tensor]] = {
    Input: _run_input,
    Constant: _run_constant,
    Output: _run_output,
    Linear: _run_linear,
    Pool2d: _run_pool,
    GlobalAvgPool2d: _run_pool,
}
