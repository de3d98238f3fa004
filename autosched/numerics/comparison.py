"""Seeded values to execute a layer on, and how far what comes of it agrees with the truth.

A Pearson correlation (PCC), the field's usual figure, sees neither a wrong scale nor a wrong mean:
a layer without its activation can have 0.9999. Lin's concordance correlation sees both (L. I.-K.
Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989).
"""

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
    PlainGroupNorm,
    Unary,
)
from autosched.schedule.outcomes import Agreement

_POSITIVE = ("sqrt", "rsqrt", "log", "log1p", "log2", "log10", "power")
_NOT_ZERO = ("recip",)
_COMPARISONS = tuple(f"unary_{name}" for name in ("gt", "lt", "ge", "le"))
_AWAY_FROM_ZERO = 0.5
_BIAS_SCALE = 0.3
_STEPS, _LARGEST = 2.0, 7.0
_UNSEEN_SEEDS = (101, 202)
_NOISE = 0.1
_IMAGE = 4


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
    bfloat4_b has three bits beside sign and exponent. A norm's scales lie around 1, or are 1.
    """
    shapes = layer.op.parameter_shapes(layer.shape)
    if shapes is None:
        return None
    if isinstance(layer.op, PlainGroupNorm):
        return Weights(torch.ones(shapes[0]), torch.zeros(shapes[0]))
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


# Where the truth varies by less than this share of its largest value, no correlation says anything:
# values are then compared as they are.
_ALL_BUT_CONSTANT = 1e-3
_NEAR_CONSTANT = 0.01
_SMALLEST = 1e-30


def unseen_inputs(inputs: Sequence[torch.Tensor]) -> list[tuple[torch.Tensor, ...]]:
    """Return variants of a network's inputs: of their statistics, but other numbers.

    Images are mirrored, and a tenth of their spread in normal noise is added to all that is no
    index or mask; the seeds are fixed.
    """
    return [tuple(_variant(values, seed) for values in inputs) for seed in _UNSEEN_SEEDS]


def _variant(values: torch.Tensor, seed: int) -> torch.Tensor:
    if not values.is_floating_point() or values.numel() < 2:
        return values
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(values.shape, generator=generator) * (_NOISE * values.std())
    mirrored = values.flip(-1) if values.dim() == _IMAGE and seed % 2 else values
    return mirrored + noise


def agreement(result: torch.Tensor, truth: torch.Tensor) -> Agreement:
    """Compare a result with the truth; both of one shape, batch first.

    Raises:
        ValueError: if their shapes differ.
    """
    if result.shape != truth.shape:
        raise ValueError(f"a result of {tuple(result.shape)} is no {tuple(truth.shape)}")
    if truth.is_complex():
        result, truth = torch.view_as_real(result), torch.view_as_real(truth)
    if not truth.is_floating_point() or not truth.numel():
        share = equal_share(result, truth)
        return Agreement(share, share, 1.0 - share, share, equal=share)
    left, right = result.flatten().double(), truth.flatten().double()
    return Agreement(
        pcc=_correlation(left, right),
        concordance=_concordance(left, right),
        largest_error=_largest_error(left, right),
        top1=_top1(result, truth),
    )


def equal_share(result: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the share of elements that are the same; of no elements all are."""
    return float((result == truth).double().mean()) if truth.numel() else 1.0


def is_discrete(values: torch.Tensor) -> bool:
    """Return whether all values are whole numbers, as indices, masks and counts are."""
    if values.is_complex():
        return False
    return not values.is_floating_point() or torch.equal(values, values.round())


def _correlation(left: torch.Tensor, right: torch.Tensor) -> float:
    if _is_constant(left) or _is_constant(right):
        return _near_constant(left, right)
    deviations = left - left.mean(), right - right.mean()
    return _ratio(_product(*deviations), math.sqrt(_square(deviations[0]) * _square(deviations[1])))


def _concordance(left: torch.Tensor, right: torch.Tensor) -> float:
    if _is_constant(right):
        return _near_constant(left, right)
    means = float(left.mean()), float(right.mean())
    deviations = left - means[0], right - means[1]
    off = len(left) * (means[0] - means[1]) ** 2
    return _ratio(2 * _product(*deviations), _square(deviations[0]) + _square(deviations[1]) + off)


def _ratio(value: float, by: float) -> float:
    """Return a correlation; what is not finite anywhere agrees with nothing."""
    return value / by if math.isfinite(value) and math.isfinite(by) and by else -1.0


def _product(left: torch.Tensor, right: torch.Tensor) -> float:
    return float(torch.dot(left, right))


def _square(values: torch.Tensor) -> float:
    return _product(values, values)


def _is_constant(values: torch.Tensor) -> bool:
    spread = float(values.std(correction=0))
    return spread <= _ALL_BUT_CONSTANT * float(values.abs().max())


def _near_constant(left: torch.Tensor, right: torch.Tensor) -> float:
    """Return 1 where a constant truth is met to one percent, else -1."""
    return 1.0 if torch.allclose(left, right, rtol=_NEAR_CONSTANT, atol=1e-6) else -1.0


def _largest_error(left: torch.Tensor, right: torch.Tensor) -> float:
    error = float((left - right).abs().max() / right.abs().max().clamp_min(_SMALLEST))
    return error if math.isfinite(error) else math.inf


def _top1(result: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the share of images whose largest element is where the truth has it."""
    if not truth.dim():
        return 1.0
    found, wanted = (tensor.reshape(len(tensor), -1).argmax(1) for tensor in (result, truth))
    return float((found == wanted).double().mean())
