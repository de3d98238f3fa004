"""A lowered network evaluated in PyTorch, layer by layer: the truth that lowering is held to."""

from collections.abc import Callable, Sequence
from functools import partial, singledispatch
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.network.graph import Layer, Network, Weights
from autosched.network.host_ops import run_on_host
from autosched.network.operators import (
    ActivatedOutput,
    Activation,
    Attention,
    Binary,
    Concat,
    ConcatRows,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Crop,
    Gather,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    Input,
    LayerNorm,
    Linear,
    Matmul,
    Output,
    Pad,
    Padding,
    Permute,
    PixelShuffle,
    Pool2d,
    Reshape,
    Slice,
    Softmax,
    Unary,
    Upsample,
)

_BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
_COMPARISONS = ("gt", "lt", "ge", "le", "eq", "ne")


def _compare(name: str, tensor: torch.Tensor, number: float) -> torch.Tensor:
    """Compare with a number: ones and zeros, as ttnn has it."""
    result: torch.Tensor = getattr(torch, name)(tensor, number)
    return result.to(tensor.dtype)


_ACTIVATIONS: dict[str, Callable[..., torch.Tensor]] = {
    **{f"unary_{name}": partial(_compare, name) for name in _COMPARISONS},
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "sigmoid": torch.sigmoid,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "leaky_relu": F.leaky_relu,
    "mish": F.mish,
    "tanh": torch.tanh,
    "elu": F.elu,
    "selu": F.selu,
    "clamp_tss": torch.clamp,
    "abs": torch.abs,
    "exp": torch.exp,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "square": torch.square,
    "log": torch.log,
    "softsign": F.softsign,
    "recip": torch.reciprocal,
    "sin": torch.sin,
    "cos": torch.cos,
    "softplus": F.softplus,
    "neg": torch.neg,
    "power": torch.pow,
    "mul_unary_sfpu": torch.mul,
    "add_unary_sfpu": torch.add,
    "celu": F.celu,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    **{
        name: getattr(torch, name)
        for name in (
            *("erf", "expm1", "log1p", "exp2", "log2", "log10", "floor", "ceil", "trunc", "frac"),
            *("sign", "tan", "atan", "sinh", "cosh"),
        )
    },
}


def evaluate_network(network: Network, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Run every layer in float32 and return the outputs in order.

    Args:
        network: What to run, with its weights.
        inputs: One tensor for each ``Input`` layer, in their order, as the caller has it.

    Returns:
        One tensor for each ``Output`` layer, as the caller gets it.

    Raises:
        ValueError: The number of inputs is not the network's.
    """
    waiting = list(inputs)
    expected = sum(isinstance(layer.op, Input) for layer in network)
    if len(waiting) != expected:
        raise ValueError(f"{network.name} takes {expected} inputs, not {len(waiting)}")
    values: dict[str, torch.Tensor] = {}
    packed = network.packing.callers
    outputs = []
    with torch.no_grad():
        for layer in network:
            sources = [values[name] for name in layer.inputs]
            weights = network.weights.get(layer.name)
            if isinstance(layer.op, Input):
                given = waiting.pop(0)
                values[layer.name] = given.reshape(layer.shape) if packed else given
            elif isinstance(layer.op, Output):
                made = evaluate_output(layer, sources, weights)
                outputs.append(made.reshape(network.caller_shape(layer)) if packed else made)
            else:
                values[layer.name] = evaluate_layer(layer, sources, weights)
            for name in network.freed_after(layer):
                del values[name]
    return outputs


def evaluate_layer(
    layer: Layer, sources: Sequence[torch.Tensor], weights: Weights | None = None
) -> torch.Tensor:
    """Run one layer on its input tensors.

    Raises:
        TypeError: The layer computes nothing (an input or output).
    """
    if isinstance(layer.op, Reshape):
        return sources[0].reshape(layer.shape)
    if isinstance(layer.op, Permute):
        return sources[0].reshape(layer.op.sizes).permute(layer.op.order).reshape(layer.shape)
    if isinstance(layer.op, HostOp):
        return run_on_host(layer.op, sources, weights)
    return _compute(layer.op, sources, weights)


def evaluate_output(
    layer: Layer, sources: Sequence[torch.Tensor], weights: Weights | None = None
) -> torch.Tensor:
    """Return what an output layer hands to the caller: its input, or what is made of it."""
    match layer.op:
        case HostOp():
            return run_on_host(layer.op, sources, weights)
        case ActivatedOutput():
            return activate(sources[0], layer.op.activation)
        case _:
            return sources[0]


def activate(tensor: torch.Tensor, activation: Activation | None) -> torch.Tensor:
    """Apply an activation, or nothing."""
    if activation is None:
        return tensor
    return _ACTIVATIONS[activation.name](tensor, *activation.parameters)


@singledispatch
def _compute(op: object, _sources: Sequence[torch.Tensor], _weights: Any) -> torch.Tensor:
    raise TypeError(f"a layer of type {type(op).__name__} computes nothing")


@_compute.register
def _(op: Conv2d, sources: Sequence[torch.Tensor], weights: Weights) -> torch.Tensor:
    top, bottom, left, right = op.padding
    source, inside = sources[0], (top, left)
    if (top, left) != (bottom, right):
        source, inside = _padded(source, op.padding), (0, 0)
    result = F.conv2d(
        source, weights.weight, weights.bias, op.stride, inside, op.dilation, op.groups
    )
    return activate(result, op.activation)


@_compute.register
def _(op: ConvTranspose2d, sources: Sequence[torch.Tensor], weights: Weights) -> torch.Tensor:
    result = F.conv_transpose2d(
        sources[0],
        weights.weight,
        weights.bias,
        op.stride,
        op.padding,
        op.output_padding,
        op.groups,
        op.dilation,
    )
    return activate(result, op.activation)


@_compute.register
def _(op: Linear, sources: Sequence[torch.Tensor], weights: Weights) -> torch.Tensor:
    return activate(F.linear(sources[0], weights.weight, weights.bias), op.activation)


@_compute.register
def _(op: Binary, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return activate(_BINARY[op.function](sources[0], sources[1]), op.activation)


@_compute.register
def _(_op: GlobalAvgPool2d, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return sources[0].mean((2, 3), keepdim=True)


@_compute.register
def _(op: Unary, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return activate(sources[0], op.activation)


@_compute.register
def _(_op: Concat, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return torch.cat(list(sources), 1)


@_compute.register
def _(_op: ConcatRows, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return torch.cat(list(sources), 2)


@_compute.register
def _(op: Slice, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return sources[0][:, op.start : op.stop]


@_compute.register
def _(op: Crop, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return sources[0][:, :, slice(*op.rows), slice(*op.columns)]


@_compute.register
def _(_op: Constant, _sources: Sequence[torch.Tensor], weights: Weights) -> torch.Tensor:
    return weights.weight


@_compute.register
def _(op: Pad, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return _padded(sources[0], op.padding)


@_compute.register
def _(op: Gather, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    rows, columns = torch.tensor(op.rows), torch.tensor(op.columns)
    return sources[0][:, :, rows[:, None], columns]


@_compute.register
def _(op: Upsample, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    height, width = sources[0].shape[2:]
    return F.interpolate(
        sources[0],
        size=(height * op.scale[0], width * op.scale[1]),
        mode=op.mode,
        align_corners=False if op.mode == "bilinear" else None,
    )


@_compute.register
def _(op: PixelShuffle, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return F.pixel_shuffle(sources[0], op.factor)


@_compute.register
def _(op: Softmax, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    return F.softmax(sources[0], op.dim)


@_compute.register
def _(op: LayerNorm, sources: Sequence[torch.Tensor], weights: Weights) -> torch.Tensor:
    last = sources[0].movedim(1, -1)
    return F.layer_norm(last, last.shape[-1:], weights.weight, weights.bias, op.eps).movedim(-1, 1)


@_compute.register
def _(op: GroupNorm, sources: Sequence[torch.Tensor], weights: Weights) -> torch.Tensor:
    return F.group_norm(sources[0], op.groups, weights.weight, weights.bias, op.eps)


@_compute.register
def _(op: Matmul, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    left, right = sources
    return left @ (right.transpose(1, 2) if op.transposed else right)


@_compute.register
def _(op: Attention, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    """Attend over pixels: softmax of scaled products, as in Vaswani et al., NeurIPS 2017."""
    queries, keys, values = (
        source.reshape(len(source), op.heads, source.shape[1] // op.heads, -1).transpose(2, 3)
        for source in sources[:3]
    )
    scores = op.scale * (queries @ keys.transpose(2, 3))
    if len(sources) == 4:
        mask = sources[3]
        scores = scores + (mask if len(mask) == 1 else mask.reshape(scores.shape))
    shares = torch.softmax(scores, -1)
    return torch.matmul(shares, values).transpose(2, 3).reshape(sources[0].shape)


@_compute.register
def _(op: Pool2d, sources: Sequence[torch.Tensor], _weights: None) -> torch.Tensor:
    """Pool; symmetric padding goes to PyTorch, whose ceil mode and divisor depend on it."""
    source = sources[0]
    top, bottom, left, right = op.padding
    own = (top, left)
    legal = top == bottom and left == right and 2 * top <= op.kernel[0] and 2 * left <= op.kernel[1]
    if not legal:
        source, own = _padded(source, op.padding, 0.0 if op.mode == "avg" else -torch.inf), (0, 0)
    if op.mode == "max":
        return F.max_pool2d(source, op.kernel, op.stride, own, op.dilation, op.ceil_mode)
    include, divisor = op.count_include_pad, op.divisor_override
    return F.avg_pool2d(source, op.kernel, op.stride, own, op.ceil_mode, include, divisor)


def _padded(source: torch.Tensor, padding: Padding, value: float = 0.0) -> torch.Tensor:
    top, bottom, left, right = padding
    return F.pad(source, (left, right, top, bottom), value=value)
