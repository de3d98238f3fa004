"""Kinds of candidates: what one executed case says about others.

A kind is written out as words: the operator and what it is a case of, how its tensors lie, the
switches that are on, formats, slicing, and the shape properties on which ttnn's programs branch.
Sizes are no part of it.
"""

from collections.abc import Iterator
from dataclasses import fields

from autosched.network.operators import (
    Activation,
    Binary,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Input,
    LayerOp,
    Pool2d,
    Upsample,
    is_pointwise,
)
from autosched.schedule.configurations import Conv2dConfig, FixedConfig, LayerConfig, PoolConfig
from autosched.schedule.tensors import TILE, TensorLayout

_SAID_APART = (
    "shard_layout",
    "act_block_h_override",
    "weights_dtype",
    "output_dtype",
    "output_memory",
    "slicing",
    "num_slices",
    "compute",
    "core_grid",
)
_DEFAULT_CONV = Conv2dConfig()


def kind_of(
    op: LayerOp,
    input_shapes: tuple[tuple[int, ...], ...],
    config: LayerConfig,
    inputs: tuple[TensorLayout, ...],
    output: TensorLayout,
) -> str:
    """Return the kind of a candidate; shapes are PyTorch's, layouts the effective ones."""
    return ", ".join(
        [
            " ".join(_operator(op)),
            *_configuration(config),
            *(f"in {lies(layout)}" for layout in dict.fromkeys(inputs)),
            f"out {lies(output)}",
            *_shape_properties(op, input_shapes),
        ]
    )


def reshard_kind(source: TensorLayout, target: TensorLayout) -> str:
    """Return the kind of a change of layout."""
    return f"reshard, in {lies(source)}, out {lies(target)}"


def lies(layout: TensorLayout) -> str:
    """Return memory, sharding, format and page of a layout."""
    turned = " transposed" if layout.transposed else ""
    return f"{layout.memory} {layout.sharding} {layout.dtype} {layout.page}{turned}"


def _operator(op: LayerOp) -> Iterator[str]:
    yield type(op).__name__
    if isinstance(op, Conv2d | ConvTranspose2d):
        yield from _convolution(op)
    elif isinstance(op, Pool2d | Upsample):
        yield op.mode
    elif isinstance(op, Binary):
        yield op.function
    activation: Activation | None = getattr(op, "activation", None)
    if activation is not None:
        yield f"with {activation.name}"


def _convolution(op: Conv2d | ConvTranspose2d) -> Iterator[str]:
    if is_pointwise(op):
        yield "pointwise"
    elif op.groups > 1:
        yield "depthwise" if op.groups == op.in_channels else "grouped"
    if max(op.stride) > 1:
        yield "strided"
    if max(op.dilation) > 1:
        yield "dilated"
    if not op.has_bias:
        yield "without bias"


def _configuration(config: LayerConfig) -> Iterator[str]:
    if isinstance(config, Conv2dConfig):
        yield f"asked {config.shard_layout or 'nothing'}"
        yield from _switches(config)
        yield f"weights {config.weights_dtype}"
    if isinstance(config, Conv2dConfig | PoolConfig):
        yield config.slicing + (" in several" if config.num_slices > 1 else "")
    if isinstance(config, FixedConfig) and config.method:
        yield config.method


def _switches(config: Conv2dConfig) -> Iterator[str]:
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name not in _SAID_APART and value != getattr(_DEFAULT_CONV, item.name):
            yield item.name if value is True else f"{item.name}={value}"
    if config.act_block_h_override:
        yield "act block"
    if config.core_grid:
        yield "core grid"
    yield f"{config.compute.math_fidelity}"
    if config.compute.packer_l1_acc:
        yield "packer_l1_acc"


def _shape_properties(op: LayerOp, input_shapes: tuple[tuple[int, ...], ...]) -> Iterator[str]:
    if isinstance(op, Input) or not input_shapes:
        return
    shape = input_shapes[0]
    if shape[1] % TILE:
        yield "ragged channels"
    if isinstance(op, Concat):
        yield "two" if len(input_shapes) == 2 else "several"
    if len(shape) != 4:
        return
    if shape[2] == 1 or shape[3] == 1:
        yield "one row" if shape[2] == 1 else "one column"
    if shape[3] % TILE:
        yield "ragged width"
