"""Kinds of candidates: what one executed case says about others.

A kind is written out as words: the operator, then what it is a case of, how its tensors lie, the
switches that are on, formats, slicing, and the shape properties on which ttnn's programs branch.
Sizes are no part of it, but whether a core's shard is one tile wide, a few, or so many that
programs take them in parts.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields

from autosched.network.left_layouts import joins_tiles
from autosched.network.narrow_images import as_told, side_by_side
from autosched.network.operators import (
    Activation,
    Attention,
    Binary,
    Concat,
    ConcatRows,
    Conv2d,
    Convolution,
    ConvTranspose2d,
    Crop,
    Input,
    LayerOp,
    Matmul,
    Pool2d,
    Softmax,
    Unary,
    Upsample,
    is_pointwise,
)
from autosched.network.stem_folding import fold_stem
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import TILE, ShardLayout, TensorLayout

_SAID_APART = (
    "shard_layout",
    "act_block_h_override",
    "weights_dtype",
    "output_dtype",
    "output_page",
    "output_memory",
    "slicing",
    "num_slices",
    "compute",
    "core_grid",
)
_DEFAULT_CONV = Conv2dConfig()
_FEW_TILES = 8
FUNCTION = "function "
"""How the word begins that names a function of single values: the same code, wherever it runs."""


def kind_of(
    op: LayerOp,
    input_shapes: tuple[tuple[int, ...], ...],
    config: LayerConfig,
    inputs: tuple[TensorLayout, ...],
    output: TensorLayout,
) -> str:
    """Return the kind of a candidate; shapes are PyTorch's, layouts the effective ones.

    Of a window that slides down a column it is that of the row which ttnn is told of, and of a
    folded single window that of the matrix product which runs; of narrow images side by side
    that of the wide one.
    """
    if input_shapes:
        op, first = as_told(op, input_shapes[0])
        if isinstance(op, Convolution) and isinstance(config, Conv2dConfig):
            op, first = _as_run(op, first, config)
        input_shapes = (first, *input_shapes[1:])
    return ", ".join(
        [
            _operator(op),
            *_traits(op),
            *_configuration(config),
            *(f"in {lies(layout)}" for layout in dict.fromkeys(inputs)),
            f"out {lies(output)}",
            *_shape_properties(op, input_shapes, output),
            *_true({"filled rows": _come_in_filled_rows(input_shapes, inputs)}),
        ]
    )


def _as_run(
    op: Convolution, shape: tuple[int, ...], config: Conv2dConfig
) -> tuple[Convolution, tuple[int, ...]]:
    if config.fold_input and isinstance(op, Conv2d):
        stem = fold_stem(op, shape)
        return (stem.op if stem is not None and is_pointwise(stem.op) else op), shape
    wide = side_by_side(op, shape) if config.output_memory == "dram" else None
    return (op, shape) if wide is None else (wide.op, wide.shape)


def reshard_kind(source: TensorLayout, target: TensorLayout) -> str:
    """Return the kind of a change of layout."""
    return f"reshard, in {lies(source)}, out {lies(target)}"


def lies(layout: TensorLayout) -> str:
    """Return memory, sharding, format and page of a layout."""
    turned = " transposed" if layout.transposed else ""
    return f"{layout.memory} {layout.sharding} {layout.dtype} {layout.page}{turned}"


def _operator(op: LayerOp) -> str:
    name = type(op).__name__
    if isinstance(op, Conv2d | ConvTranspose2d):
        if is_pointwise(op):
            return f"{name} pointwise"
        if op.groups > 1:
            return f"{name} {'depthwise' if op.groups == op.in_channels else 'grouped'}"
    elif isinstance(op, Pool2d | Upsample):
        return f"{name} {op.mode}"
    elif isinstance(op, Binary):
        return f"{name} {op.function}"
    return name


def _traits(op: LayerOp) -> Iterator[str]:
    match op:
        case Conv2d() | ConvTranspose2d():
            yield from _convolved(op)
        case Pool2d():
            yield from _true({"padded": max(op.padding) > 0, "ceil_mode": op.ceil_mode})
        case Crop():
            yield from _true({"strided": max(op.rows[2], op.columns[2]) > 1})
        case Matmul():
            yield from _true({"transposed": op.transposed})
        case Softmax():
            yield f"dim {op.dim}"
    if not getattr(op, "has_bias", True):
        yield "without bias"
    yield from _activated(op)


def _true(words: Mapping[str, bool]) -> Iterator[str]:
    return (word for word, holds in words.items() if holds)


def _convolved(op: Conv2d | ConvTranspose2d) -> Iterator[str]:
    return _true(
        {
            "strided": max(op.stride) > 1,
            "dilated": max(op.dilation) > 1,
            "ragged output channels": bool(op.out_channels % TILE),
        }
    )


def _activated(op: LayerOp) -> Iterator[str]:
    activation: Activation | None = getattr(op, "activation", None)
    if activation is None:
        return
    if isinstance(op, Unary):
        yield f"{FUNCTION}{activation.name}"
    elif activation.name == "relu":
        yield "relu"  # which the packer does, not a function of the vector unit
    else:
        yield "fused"
        yield f"{FUNCTION}{activation.name}"


def _configuration(config: LayerConfig) -> Iterator[str]:
    match config:
        case Conv2dConfig():
            yield f"asked {config.shard_layout or 'nothing'}"
            yield from _switches(config)
            yield from _products(config)
            yield config.slicing + (" in several" if config.num_slices > 1 else "")
        case MatmulConfig():
            yield from _products(config)
            if config.program is not None:
                yield f"program {config.program.kind}"
        case PoolConfig():
            yield f"asked {config.shard_layout or 'nothing'}"
            if config.reallocate_halo_output:
                yield "reallocate_halo_output"
            yield config.slicing + (" in several" if config.num_slices > 1 else "")
        case FixedConfig(method=method, compute=compute):
            if method:
                yield method
            if compute is not None:
                yield from _computed(compute)


def _products(config: Conv2dConfig | MatmulConfig) -> Iterator[str]:
    yield f"weights {config.weights_dtype}"
    yield from _computed(config.compute)
    if config.core_grid:
        yield "core grid"


def _computed(config: ComputeConfig) -> Iterator[str]:
    yield f"{config.math_fidelity}"
    if config.packer_l1_acc:
        yield "packer_l1_acc"
    if config.fp32_dest_acc_en:
        yield "fp32_dest_acc_en"


def _switches(config: Conv2dConfig) -> Iterator[str]:
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name not in _SAID_APART and value != getattr(_DEFAULT_CONV, item.name):
            yield item.name if value is True else f"{item.name}={value}"
    if config.act_block_h_override:
        yield "act block"


def _shape_properties(
    op: LayerOp, input_shapes: tuple[tuple[int, ...], ...], output: TensorLayout
) -> Iterator[str]:
    if isinstance(op, Input) or not input_shapes:
        return
    yield from _several(op, input_shapes)
    if output.shard_shape is not None and output.shard_shape[1] > TILE:
        tiles = -(-output.shard_shape[1] // TILE)
        yield "few tiles wide" if tiles <= _FEW_TILES else "many tiles wide"
    shape = input_shapes[0]
    if len(shape) != 4:
        yield from _true({"ragged channels": bool(shape[-1] % TILE)})
        return
    images, channels, height, width = shape
    yield from _true(
        {
            "ragged channels": bool(channels % TILE),
            "several images": images > 1,
            "one row": height == 1,
            "one column": width == 1,
            "ragged width": bool(width % TILE),
        }
    )


def _come_in_filled_rows(
    input_shapes: tuple[tuple[int, ...], ...], inputs: tuple[TensorLayout, ...]
) -> bool:
    """Whether rows of pixels hold more than their channels, as convolutions leave them."""
    return any(
        len(shape) == 4 and layout.sharding is ShardLayout.HEIGHT and layout.fills_rows(shape[1])
        for shape, layout in zip(input_shapes, inputs, strict=False)
    )


def _several(op: LayerOp, input_shapes: tuple[tuple[int, ...], ...]) -> Iterator[str]:
    match op:
        case Concat():
            yield "two" if len(input_shapes) == 2 else "several"
        case ConcatRows():
            yield "whole tiles" if joins_tiles(input_shapes) else "tiles taken apart"
        case Attention():
            yield f"{len(input_shapes)} inputs"
        case Binary() if len(set(input_shapes)) > 1:
            yield from _broadcasts(input_shapes)


def _broadcasts(input_shapes: tuple[tuple[int, ...], ...]) -> Iterator[str]:
    smaller = min(input_shapes, key=math.prod)
    larger = max(input_shapes, key=math.prod)
    if len(smaller) != len(larger):
        yield "broadcast"
        return
    axes = ("images", "channels", "rows", "columns") if len(larger) == 4 else range(len(larger))
    for axis, small, large in zip(axes, smaller, larger, strict=True):
        if small < large:
            yield f"broadcast {axis}"
