"""Fits the coefficients of one family of formulas to timed ops.

The unknowns are logarithms of costs and logits of shares, so every cost stays above zero and every
share between zero and one. The loss is robust (soft L1) on the error of log time; each coefficient
is held at its prior by the prior's spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from autosched.cost.coefficients import from_free, to_free
from autosched.cost.priors import SHARE, Prior
from autosched.cost.work import Work

Array = NDArray[np.float64]

NOISE = 0.08
"""Errors of log time below this are as good as exact: releases drift by as much."""

_MAX_EVALUATIONS = 200


@dataclass(frozen=True)
class Sample:
    """One distinct op: its work, its measured cycles, and the layer it belongs to.

    ``weight`` counts how much the sample matters; ``group`` is what cross-validation holds out
    together.
    """

    work: Work
    cycles: float
    group: str
    label: str = ""
    weight: float = 1.0


class Design:
    """The samples of one family as arrays: quantities by coefficient, stage by stage."""

    def __init__(self, samples: Sequence[Sample], names: Sequence[str]) -> None:
        self.place = {name: index for index, name in enumerate(names)}
        stages = sorted({stage.name for sample in samples for stage in sample.work.stages})
        shape = (len(samples), len(names))
        self.serial = np.zeros(shape)
        self.stages = {stage: np.zeros(shape) for stage in stages}
        self.overlaps = {stage: np.zeros(shape, dtype=bool) for stage in stages}
        for row, sample in enumerate(samples):
            self._fill(row, sample)

    def _fill(self, row: int, sample: Sample) -> None:
        for name, amount in sample.work.serial.items():
            self.serial[row, self.place[name]] = amount
        for stage in sample.work.stages:
            for name, amount in stage.quantities.items():
                self.stages[stage.name][row, self.place[name]] += amount
            for name in stage.overlaps:
                self.overlaps[stage.name][row, self.place[name]] = True

    def cycles(self, values: Array) -> Array:
        """Return the predicted cycles of all samples (see :mod:`autosched.cost.work`)."""
        total: Array = self.serial @ values
        hidden: Array = np.zeros(len(total))
        logs = np.log1p(-np.minimum(values, 1 - 1e-9))
        for stage, quantities in self.stages.items():
            length = quantities @ values
            named = self.overlaps[stage]
            share = np.where(named.any(axis=1), 1.0 - np.exp(named @ logs), 1.0)
            total = total + (1.0 - share) * length
            hidden = np.maximum(hidden, share * length)
        return total + hidden


def fit(
    samples: Sequence[Sample],
    priors: Mapping[str, Prior],
    only: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the coefficients that explain the samples best without leaving their priors.

    Args:
        samples: timed ops of one family.
        priors: prior of each coefficient.
        only: names of the coefficients to fit; the others keep their priors. None fits all.
    """
    names = list(priors)
    free = [name for name in names if only is None or name in only]
    start = np.array([to_free(priors[name].value, priors[name]) for name in names])
    if not samples or not free:
        return {name: priors[name].value for name in names}
    design = Design(samples, names)
    target = np.log([sample.cycles for sample in samples])
    weights = np.sqrt([sample.weight for sample in samples]) / NOISE
    places = np.array([names.index(name) for name in free])
    spreads = np.array([priors[name].spread for name in free])
    is_share = np.array([priors[name].unit == SHARE for name in names])
    least = np.array([priors[name].least for name in names])

    def residuals(unknowns: Array) -> Array:
        point = start.copy()
        point[places] = unknowns
        predicted = design.cycles(_values(point, is_share, least))
        data = (np.log(predicted) - target) * weights
        return np.concatenate([data, (unknowns - start[places]) / spreads])

    found = least_squares(
        residuals, start[places], loss="soft_l1", f_scale=1.5, max_nfev=_MAX_EVALUATIONS
    )
    point = start.copy()
    point[places] = found.x
    return {name: from_free(float(point[i]), priors[name]) for i, name in enumerate(names)}


def _values(point: Array, is_share: NDArray[np.bool_], least: Array) -> Array:
    costs = least + np.exp(np.minimum(point, 50))
    values: Array = np.where(is_share, 1.0 / (1.0 + np.exp(-point)), costs)
    return values


def predict(samples: Sequence[Sample], values: Mapping[str, float]) -> Array:
    """Return predicted cycles."""
    names = list(values)
    return Design(samples, names).cycles(np.array([values[name] for name in names]))
