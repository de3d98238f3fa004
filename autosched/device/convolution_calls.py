"""The ttnn calls of convolutions, transposed ones included."""

from collections.abc import Callable, Mapping
from typing import Any

import ttnn

from autosched.device.layer_calls import Call, Tensor
from autosched.device.ttnn_types import (
    DATA_TYPES,
    compute_config,
    conv2d_config,
    layout_of,
    slice_config,
    unary,
)
from autosched.network.graph import Activation, Conv2d, ConvTranspose2d, Layer, Weights
from autosched.schedule import Conv2dConfig, ShardLayout
from autosched.space.conv2d import is_pointwise

# A pointwise convolution runs as a matmul, which cannot fuse these: they run after it.
_NOT_FUSED_BY_MATMUL = ("elu", "hardswish", "leaky_relu", "mish")


def _run_conv2d(call: Call) -> Tensor:
    config, op = call.config_of(Conv2dConfig), call.op(Conv2d)
    fused, apart = _split_activation(op, config)
    output = _convolved(
        call,
        op,
        ttnn.conv2d,
        fused,
        padding=op.padding,
        slice_config=slice_config(config),
    )
    return output if apart is None else ttnn.unary_chain(output, [unary(apart)])


def _run_conv_transpose2d(call: Call) -> Tensor:
    config, op = call.config_of(Conv2dConfig), call.op(ConvTranspose2d)
    return _convolved(
        call,
        op,
        ttnn.conv_transpose2d,
        op.activation,
        padding=op.padding,
        output_padding=op.output_padding,
        dram_slice_config=slice_config(config),
        # ttnn turns the kernel round itself; PyTorch's weights come as they are.
        mirror_kernel=True,
    )


def _convolved(
    call: Call,
    op: Conv2d | ConvTranspose2d,
    function: Callable[..., Any],
    fused: Activation | None,
    **own: Any,
) -> Tensor:
    """Call a convolution with what all kinds share, and keep the weights it prepared."""
    config = call.config_of(Conv2dConfig)
    (tensor,) = call.inputs
    batch, channels, height, width = call.input_shape
    key = weights_key(call.layer, config, tensor)
    weight, bias = call.lowering.recall(key) or host_weights(call.lowering.weights(call.layer))
    output, prepared = function(
        input_tensor=tensor,
        weight_tensor=weight,
        bias_tensor=bias,
        device=call.lowering.device,
        in_channels=channels,
        out_channels=op.out_channels,
        batch_size=batch,
        input_height=height,
        input_width=width,
        kernel_size=op.kernel,
        stride=op.stride,
        dilation=op.dilation,
        groups=op.groups,
        dtype=DATA_TYPES[config.output_dtype],
        conv_config=conv2d_config(config, fused),
        compute_config=compute_config(config.compute, call.lowering.board),
        return_weights_and_bias=True,
        **own,
    )
    call.lowering.remember(key, tuple(prepared))
    if config.output_memory == "dram":
        output = ttnn.to_memory_config(output, ttnn.DRAM_MEMORY_CONFIG)
    return output


def _split_activation(
    op: Conv2d, config: Conv2dConfig
) -> tuple[Activation | None, Activation | None]:
    """Return the activation that the convolution fuses and the one that runs after it."""
    is_matmul = is_pointwise(op) and config.shard_layout is not ShardLayout.WIDTH
    if is_matmul and op.activation is not None and op.activation.name in _NOT_FUSED_BY_MATMUL:
        return None, op.activation
    return op.activation, None


def weights_key(layer: Layer, config: Conv2dConfig, tensor: Tensor) -> tuple[object, ...]:
    """Return what the form of a convolution's prepared weights depends on.

    With a shard layout asked for, ttnn reshards any input to its own grid, so that the input's
    layout makes no difference, except that rows of channels are padded less than tiles;
    otherwise the form follows the input.
    """
    layout = layout_of(tensor)
    return (
        layer.name,
        config.weights_dtype,
        config.shard_layout,
        config.core_grid,
        config.transpose_shards,
        config.act_block_h_override,
        config.act_block_w_div,
        config.full_inner_dim,
        config.enable_activation_reuse,
        config.enable_kernel_stride_folding,
        config.slicing,
        config.num_slices,
        layout.page if config.shard_layout is not None else layout,
    )


def host_weights(weights: Weights) -> tuple[Tensor, Tensor | None]:
    """Return a convolution's parameters as ttnn takes them, to be prepared on the device."""
    bias = weights.bias
    return (
        ttnn.from_torch(weights.weight),
        None if bias is None else ttnn.from_torch(bias.reshape(1, 1, 1, -1)),
    )


CONVOLUTION_LOWERINGS: Mapping[type, Callable[[Call], Tensor]] = {
    Conv2d: _run_conv2d,
    ConvTranspose2d: _run_conv_transpose2d,
}
