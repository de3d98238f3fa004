"""What is known of the coefficients: how well, and from where.

How well is a covariance of the unknowns (logarithms of costs, logits of shares) at the solution of
the joint fit: the inverse of the information in the samples, each as far as the robust loss lets it
count, and in the priors and ties. It is kept as a factor, whose square it is: of each coefficient a
row, and of an op the slopes of its log time weigh these rows.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from autosched.cost.calibration.fitting import (
    ROBUST,
    Array,
    Priors,
    Sample,
    Samples,
    Side,
    Values,
    held,
)
from autosched.cost.calibration.observations import Source
from autosched.cost.coefficients import covariance_of, factor_of, to_free
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import Prior, all_quantities

Factor = dict[str, tuple[float, ...]]
"""Rows of a triangular matrix by coefficient: the covariance is the matrix times its transpose."""

Known = Mapping[str, Mapping[str, Sequence[float]]]
"""Factors by architecture of what was known before the samples, in place of priors."""


def factors(
    samples: Samples, priors: Priors, values: Values, before: Known | None = None
) -> dict[str, Factor]:
    """Return the covariance of each architecture's unknowns, as a factor; none without samples.

    Args:
        samples: what the coefficients were fitted to.
        priors: what they were held by.
        values: the solution.
        before: what else is known of them: what coefficients to start from were made from.
    """
    if not any(samples.values()):
        return {arch: {} for arch in priors}
    sides = [Side(samples.get(arch, ()), own) for arch, own in priors.items()]
    tied = held(sides)
    information = tied.T @ tied
    parts = np.split(np.arange(len(tied)), len(sides))
    for (arch, own), side, part in zip(priors.items(), sides, parts, strict=True):
        block = np.ix_(part, part)
        if len(side.target):
            unknowns = np.array([to_free(values[arch][name], own[name]) for name in own])
            errors, slopes = side.errors(unknowns)
            counting = 1.0 / np.sqrt(1.0 + (errors / ROBUST) ** 2)
            information[block] += (slopes.T * counting) @ slopes
        if before is not None and before.get(arch):
            information[block] += np.linalg.inv(covariance_of(list(own), before[arch]))
    covariance = np.linalg.inv(information)
    return {
        arch: factor_of(list(own), covariance[np.ix_(part, part)])
        for (arch, own), part in zip(priors.items(), parts, strict=True)
    }


Bounds = tuple[dict[str, float], dict[str, float]]
"""The least and the largest amount of each quantity."""


def bounds_of(samples: Samples) -> Bounds:
    """Return the bounds of what was fitted to, of all architectures together."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for own in samples.values():
        for sample in own:
            for name, amount in all_quantities(sample.work).items():
                if amount > 0:
                    low[name] = min(low.get(name, amount), amount)
                    high[name] = max(high.get(name, amount), amount)
    return low, high


def doubts(samples: Sequence[Sample], values: Mapping[str, float], factor: Factor) -> Array:
    """Return the standard errors of samples' log times that come of the coefficients alone."""
    priors = PRIORS[samples[0].work.family] if samples else {}
    side = Side(samples, priors)
    unknowns = np.array([to_free(values[name], prior) for name, prior in priors.items()])
    slopes = side.logs(unknowns)[1]
    spread: Array = np.sqrt(
        np.einsum("ij,jk,ik->i", slopes, covariance_of(list(priors), factor), slopes)
    )
    return spread


PRIOR = "prior"
"""What a coefficient's provenance is called that no sample shows."""

Shares = Mapping[str, float]


def provenance(samples: Samples, priors: Priors, values: Values) -> dict[str, dict[str, Shares]]:
    """Return which share of what is known of each coefficient is from where.

    Information is the inverse square of a standard error: that of samples by their source, that of
    the prior by its spread. What another architecture's samples say passes through the tie.

    Returns:
        Shares by architecture, coefficient and source (or PRIOR); they sum up to one.
    """
    own = {arch: _informed(samples.get(arch, ()), priors[arch], values[arch]) for arch in priors}
    first, *_ = priors
    for name, prior in priors[first].items():
        own[first][name][PRIOR] += prior.spread**-2
    found: dict[str, dict[str, Shares]] = {}
    for arch, named in priors.items():
        found[arch] = {}
        for name, prior in named.items():
            known = dict(own[arch][name])
            for other in own.keys() - {arch}:
                _pass(own[other][name], prior.tie, known)
            total = sum(known.values()) or 1.0
            found[arch][name] = {source: amount / total for source, amount in known.items()}
    return found


def _pass(theirs: Shares, tie: float, known: dict[str, float]) -> None:
    """Add what is known elsewhere, as far as the tie lets it through."""
    total = sum(theirs.values())
    if total > 0:
        passed = 1.0 / (tie**2 + 1.0 / total)
        for source, amount in theirs.items():
            known[source] = known.get(source, 0.0) + passed * amount / total


def _informed(
    samples: Sequence[Sample], priors: Mapping[str, Prior], values: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return the information of one architecture's samples by coefficient and source."""
    found: dict[str, dict[str, float]] = {name: {PRIOR: 0.0} for name in priors}
    if samples:
        side = Side(samples, priors)
        unknowns = np.array([to_free(values[name], prior) for name, prior in priors.items()])
        squares = side.errors(unknowns)[1] ** 2
        for source in Source:
            rows = [row for row, sample in enumerate(samples) if sample.source is source]
            if rows:
                for name, amount in zip(priors, squares[rows].sum(axis=0), strict=True):
                    found[name][source.value] = float(amount)
    return found
