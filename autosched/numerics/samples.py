"""Seeded values to execute a layer on, within what its operator is meant for."""

import math
from collections.abc import Sequence

import torch

from autosched.network.graph import Layer, Weights
from autosched.network.operators import (
    Binary,
    Constant,
    GroupNorm,
    LayerNorm,
    LayerOp,
    Unary,
)

_POSITIVE = ("sqrt", "rsqrt", "log", "log1p", "log2", "log10", "power")
_NOT_ZERO = ("recip",)
_COMPARISONS = tuple(f"unary_{name}" for name in ("gt", "lt", "ge", "le"))
_AWAY_FROM_ZERO = 0.5
_BIAS_SCALE = 0.3
_STEPS, _LARGEST = 2.0, 7.0


def sample_inputs(
    op: LayerOp, shapes: Sequence[Sequence[int]], seed: int
) -> tuple[torch.Tensor, ...]:
    """Return normally distributed inputs, exact in bfloat16, of PyTorch's ``shapes``.

    A divisor is kept away from 0, what is compared from the number it is compared with, and the
    argument of a root or logarithm positive.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(tuple(shape), generator=generator) for shape in shapes]
    return tuple(
        _allowed(op, index, values).bfloat16().float() for index, values in enumerate(drawn)
    )


def _allowed(op: LayerOp, index: int, values: torch.Tensor) -> torch.Tensor:
    if isinstance(op, Unary) and op.activation.name in _POSITIVE:
        return values.abs() + _AWAY_FROM_ZERO
    if isinstance(op, Unary) and op.activation.name in _COMPARISONS:
        (limit,) = op.activation.parameters
        return values + _AWAY_FROM_ZERO * torch.where(values < limit, -1.0, 1.0)
    is_divisor = isinstance(op, Binary) and op.function == "div" and index == 1
    if is_divisor or (isinstance(op, Unary) and op.activation.name in _NOT_ZERO):
        return values + _AWAY_FROM_ZERO * torch.where(values < 0, -1.0, 1.0)
    return values


def sample_weights(layer: Layer, seed: int) -> Weights | None:
    """Return parameters with which a layer's output varies about as its input; None without any.

    Products are scaled by about the root of the fan-in (He et al., ICCV 2015, without the factor
    for a rectifier), and exact in every format of weights, so that what differs is not rounding:
    bfloat4_b has three bits beside sign and exponent. A norm's scales lie around 1.
    """
    shapes = layer.op.parameter_shapes(layer.shape)
    if shapes is None:
        return None
    generator = torch.Generator().manual_seed(seed + 1)
    weight_shape, bias_shape = shapes
    weight = torch.randn(weight_shape, generator=generator)
    if isinstance(layer.op, LayerNorm | GroupNorm):
        weight = 1.0 + _BIAS_SCALE * weight
    elif not isinstance(layer.op, Constant):
        fan_in = max(1, math.prod(weight_shape[1:]))
        scale = 2.0 ** -round(math.log2(_STEPS * math.sqrt(fan_in)))
        weight = (_STEPS * weight).round().clamp(-_LARGEST, _LARGEST) * scale
    bias = None
    if bias_shape is not None:
        bias = (_BIAS_SCALE * torch.randn(bias_shape, generator=generator)).bfloat16().float()
    return Weights(weight.bfloat16().float(), bias)
