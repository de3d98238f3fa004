"""How far a result agrees with the truth.

A Pearson correlation (PCC), the field's usual figure, sees neither a wrong scale nor a wrong mean:
a layer without its activation can have 0.9999. Lin's concordance correlation sees both (L. I.-K.
Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989).
"""

import math

import torch

from autosched.schedule.outcomes import Agreement

# Where the truth varies by less than this share of its largest value, no correlation says anything:
# values are then compared as they are.
_ALL_BUT_CONSTANT = 1e-3
_NEAR_CONSTANT = 0.01
_SMALLEST = 1e-30


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
