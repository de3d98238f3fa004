"""The ttnn calls of convolutions, transposed ones included."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ttnn

from autosched.device.rejections import RefusedError
from autosched.device.ttnn.calls import (
    Call,
    Tensor,
    activated,
    flattened,
    fusing,
    refuse_slices_of_l1,
    rows_in_dram,
    split_activation,
)
from autosched.device.ttnn.ttnn_types import (
    DATA_TYPES,
    compute_config,
    conv2d_config,
    layout_of,
    slice_config,
)
from autosched.network.graph import Layer, Weights
from autosched.network.narrow_images import SideBySide, as_told, side_by_side, slides_down_a_column
from autosched.network.operators import (
    Activation,
    Conv2d,
    Convolution,
    ConvTranspose2d,
    is_pointwise,
)
from autosched.network.stem_folding import (
    FoldedStem,
    fold_stem,
    fold_weights,
    may_have_one_window,
)
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import PageLayout, ShardLayout

# A pointwise convolution runs as a matmul, which cannot fuse these: they run after it.
_NOT_FUSED_BY_MATMUL = ("elu", "leaky_relu", "mish")


@dataclass(frozen=True)
class _Source:
    """What a convolution reads: a tensor, its shape as an image, and how it was folded.

    ``turned`` says that ttnn is told of its columns as rows, ``is_copy`` that nobody else reads
    the tensor.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    turned: bool
    stem: FoldedStem | None = None
    is_copy: bool = False


def _source(call: Call) -> _Source:
    turned = slides_down_a_column(call.layer.op, call.input_shape)
    _, shape = as_told(call.layer.op, call.input_shape)
    (tensor,) = call.inputs
    return _Source(flattened(tensor) if turned else tensor, shape, turned)


def _run_conv2d(call: Call) -> Tensor:
    config, source = call.config_of(Conv2dConfig), _source(call)
    op, _ = as_told(call.op(Conv2d), call.input_shape)
    assert isinstance(op, Conv2d)  # noqa: S101 - it was one
    wide = None
    if config.fold_input:
        source = _folded(call, op, source)
        assert source.stem is not None  # noqa: S101 - just folded
        op = source.stem.op
    else:
        source, wide = _laid(op, source, config)
    op = op if wide is None else wide.op
    assert isinstance(op, Conv2d)  # noqa: S101 - as it was
    fused, apart = _split_activation(op, config)
    output = _convolved(
        call,
        op,
        source,
        ttnn.conv2d,
        fused,
        padding=op.padding,
        slice_config=slice_config(config),
    )
    if wide is not None:
        output = _taken_apart(output, call.layer.shape, wide, config)
    return activated(output, apart)


def _laid(
    op: Convolution, source: _Source, config: Conv2dConfig
) -> tuple[_Source, SideBySide | None]:
    """Return the images side by side, where narrow ones would be refused."""
    wide = side_by_side(op, source.shape) if config.output_memory == "dram" else None
    if wide is None:
        return source, None
    batch, channels, height, width = source.shape
    image = ttnn.reshape(rows_in_dram(source.tensor), (batch, height, width, channels))
    rows = ttnn.permute(image, (1, 0, 2, 3))
    rows = ttnn.pad(rows, [(0, 0), (0, 0), (0, wide.columns - width), (0, 0)], 0.0)
    return _Source(flattened(rows), wide.shape, source.turned, is_copy=True), wide


def _taken_apart(
    output: Tensor, shape: Sequence[int], wide: SideBySide, config: Conv2dConfig
) -> Tensor:
    """Return the pixels of each image, one image after the other."""
    batch, channels, height, _ = shape
    rows = ttnn.reshape(rows_in_dram(output), (height, batch, wide.outputs, channels))
    rows = ttnn.slice(rows, [0, 0, 0, 0], [height, batch, wide.kept, channels])
    image = flattened(ttnn.permute(rows, (1, 0, 2, 3)))
    return ttnn.to_layout(image, ttnn.TILE_LAYOUT, dtype=DATA_TYPES[config.output_dtype])


def _folded(call: Call, op: Conv2d, source: _Source) -> _Source:
    """Move each stride's neighbourhood of pixels into the channels.

    Channels are counted as they lie in memory: shards pad them, and ttnn folds what is there.
    """
    if op.kernel == source.shape[2:] and may_have_one_window(op):
        return _joined_pixels(op, source)
    rows = ttnn.to_layout(source.tensor, ttnn.ROW_MAJOR_LAYOUT)
    channels = rows.padded_shape[-1]
    stem = fold_stem(op, source.shape, channels)
    if stem is None:
        raise RefusedError(
            "fold_input is True; legal is False: it takes few channels, and windows that leave no "
            "pixel out"
        )
    if rows.shape[-1] != channels:
        rows = ttnn.pad(rows, [(0, 0), (0, 0), (0, 0), (0, channels - rows.shape[-1])], 0.0)
    batch, _, height, width = source.shape
    bottom, right = stem.image[2] - height, stem.image[3] - width
    image = ttnn.fold(
        ttnn.reshape(rows, (batch, height, width, channels)),
        *stem.stride,
        padding=[0, bottom, 0, right],
        collapse_output=True,
    )
    if call.frees:
        ttnn.deallocate(source.tensor)
    return _Source(image, stem.folded, source.turned, stem, is_copy=True)


def _joined_pixels(op: Conv2d, source: _Source) -> _Source:
    """Put the pixels of each image one after the other: they lie so already."""
    lies = layout_of(source.tensor)
    rows = rows_in_dram(source.tensor)
    stem = fold_stem(op, source.shape, rows.shape[-1])
    assert stem is not None  # noqa: S101 - it has one window
    batch, features, _, _ = stem.folded
    image = ttnn.reshape(rows, (1, 1, batch, features))
    is_copy = lies.is_sharded or lies.page is PageLayout.TILE
    return _Source(image, stem.folded, source.turned, stem, is_copy)


def _run_conv_transpose2d(call: Call) -> Tensor:
    config, source = call.config_of(Conv2dConfig), _source(call)
    told, _ = as_told(call.op(ConvTranspose2d), call.input_shape)
    assert isinstance(told, ConvTranspose2d)  # noqa: S101 - it was one
    source, wide = _laid(told, source, config)
    op = told if wide is None else wide.op
    assert isinstance(op, ConvTranspose2d)  # noqa: S101 - as it was
    fused, apart = split_activation(op.activation)
    output = _convolved(
        call,
        op,
        source,
        ttnn.conv_transpose2d,
        fused,
        padding=op.padding,
        output_padding=op.output_padding,
        dram_slice_config=slice_config(config),
        # ttnn turns the kernel round itself; PyTorch's weights come as they are.
        mirror_kernel=True,
    )
    if wide is not None:
        output = _taken_apart(output, call.layer.shape, wide, config)
    return activated(output, apart)


def _convolved(
    call: Call,
    op: Convolution,
    source: _Source,
    function: Callable[..., Any],
    fused: Activation | None,
    **own: Any,
) -> Tensor:
    """Call a convolution with what all kinds share, and keep the weights it prepared."""
    config = call.config_of(Conv2dConfig)
    refuse_slices_of_l1(config, source.tensor)
    batch, channels, height, width = source.shape
    key = weights_key(call.layer, config, source.tensor)
    weight, bias = (
        call.context.recall(key)
        or _allocated(call, config, key)
        or host_weights(_weights(call, source))
    )
    conv_config = conv2d_config(config, fused, frees=call.frees or source.is_copy)
    with fusing(conv_config.activation):
        output, prepared = function(
            input_tensor=source.tensor,
            weight_tensor=weight,
            bias_tensor=bias,
            device=call.context.device,
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
            conv_config=conv_config,
            compute_config=compute_config(config.compute, call.context.board),
            return_weights_and_bias=True,
            **own,
        )
    call.context.remember(key, tuple(prepared))
    if call.context.shapes is not None:
        call.context.shapes.remember(_form(call, key), prepared)
    if config.output_memory == "dram":
        output = ttnn.to_memory_config(output, ttnn.DRAM_MEMORY_CONFIG)
    return output


def _allocated(
    call: Call, config: Conv2dConfig, key: tuple[object, ...]
) -> tuple[Tensor, Tensor | None] | None:
    """Return weights where numbers do not matter, and others of their form were prepared.

    Of what ttnn chooses by the room in L1, the format may change the form.
    """
    shapes = call.context.shapes
    is_left_to_ttnn = config.shard_layout is None or (
        config.slicing != "l1_full" and not config.num_slices
    )
    if shapes is None or is_left_to_ttnn:
        return None
    return shapes.allocated(_form(call, key), config.weights_dtype, call.context.device)


def _form(call: Call, key: tuple[object, ...]) -> tuple[object, ...]:
    """Return what the form of prepared weights follows from, in whatever format and layer."""
    _name, _dtype, *form = key
    return (call.layer.op, call.input_shape, *form)


def _weights(call: Call, source: _Source) -> Weights:
    weights = call.context.weights(call.layer)
    if source.turned:
        weights = replace(weights, weight=weights.weight.transpose(2, 3).contiguous())
    return weights if source.stem is None else fold_weights(weights, source.stem)


def _split_activation(
    op: Conv2d, config: Conv2dConfig
) -> tuple[Activation | None, Activation | None]:
    """Return the activation that the convolution fuses and the one that runs after it."""
    is_matmul = is_pointwise(op) and config.shard_layout is not ShardLayout.WIDTH
    if is_matmul and op.activation is not None and op.activation.name in _NOT_FUSED_BY_MATMUL:
        return None, op.activation
    return split_activation(op.activation)


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
        # Folded weights have as many channels as the folded image.
        tensor.shape[-1] if config.fold_input else 0,
        layout.page if config.shard_layout is not None else layout,
    )


def host_weights(weights: Weights) -> tuple[Tensor, Tensor | None]:
    """Return a convolution's parameters as ttnn takes them, to be prepared on the device."""
    bias = weights.bias
    return (
        ttnn.from_torch(weights.weight),
        None if bias is None else ttnn.from_torch(bias.reshape(1, 1, 1, -1)),
    )


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Conv2d: _run_conv2d,
    ConvTranspose2d: _run_conv_transpose2d,
}
