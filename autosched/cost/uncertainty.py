"""What coefficients leave open of ops' times, and of the differences between them.

The covariance of a family's coefficients says what the calibration data has not shown of them. An
op's log time changes with each coefficient by its slope there, so that the same covariance says
what is not known of the op: little where it spends its time as timed ops do, much where it leans on
coefficients that none of them shows. Errors of two ops that lean on the same coefficients are
correlated, and cancel in a comparison of the two. That such standard errors are right where nothing
was timed is tested on regions held out (:mod:`autosched.cost.calibration.regions`).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import erf, hypot, log, sqrt

import numpy as np
from numpy.typing import NDArray

from autosched.cost.coefficients import FamilyFit, from_free, to_free
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import SHARE, Quantities, Work, all_quantities, overlap, weigh

_Array = NDArray[np.float64]
_MOST_LEAP = 3.0

Leaning = NDArray[np.float64]
"""Standard errors of log time, by an independent part of what is not known of coefficients."""

REACH = 0.1
"""Standard error of log time for each factor of e that quantities lie beyond those fitted to.

The covariance takes the formulas for right however large an op is. Regions held out set this:
without it large images, single figures and CLIP are covered less; with 0.15 all regions together
are covered more than they are to be.
"""

COMMON = 0.5
"""Share of the variance of a class of ops that all of its ops have in common.

What networks held out of the calibration show: a quarter to a half of a class's squared error is
its mean's.
"""

OF_A_LAYER = 0.2
"""Share of it that the candidates of one layer have in common beside.

Errors of one layer's configurations scatter by 0.067 about their mean in sweeps on a simulator, and
by 0.07 on cards of either architecture, each with the layer held out: a third of the squared
standard errors of convolutions, 0.121 and 0.124. So 0.3 is left to each.
"""


def reach(work: Work, low: Quantities, high: Quantities) -> float:
    """Return how far an op's quantities lie outside bounds, as the largest log ratio.

    Half of it below them, since what is small matters less. Quantities without bounds were fitted
    to nowhere, which the covariance of their coefficients says.
    """
    farthest = 1.0
    for name, amount in all_quantities(work).items():
        if name in high and amount > 0.0:
            farthest = max(farthest, amount / high[name], sqrt(low[name] / amount))
    return log(farthest)


def slopes_of(work: Work, values: Quantities) -> dict[str, float]:
    """Return how the cycles of an op change with each coefficient."""
    slopes = dict(work.serial)
    if not work.stages:
        return slopes
    lengths = {stage.name: weigh(stage.quantities, values) for stage in work.stages}
    shares = {stage.name: overlap(stage, values) for stage in work.stages}
    longest = max(
        work.stages,
        key=lambda stage: (
            shares[stage.name] * lengths[stage.name]
            + sum(part * lengths[name] for name, part in stage.follows.items())
        ),
    )
    for stage in work.stages:
        is_longest = stage is longest
        visible = 1.0 if is_longest else 1.0 - shares[stage.name]
        visible += longest.follows.get(stage.name, 0.0)
        for name, amount in stage.quantities.items():
            slopes[name] = slopes.get(name, 0.0) + visible * amount
        if not is_longest:
            hidden = (1.0 - shares[stage.name]) * lengths[stage.name]
            for name in stage.overlaps:
                slopes[name] = slopes.get(name, 0.0) - hidden / max(1.0 - values[name], 1e-12)
    return slopes


class Family:
    """A family's coefficients, ready to say what they leave open of an op."""

    def __init__(self, name: str, fit: FamilyFit) -> None:
        self.values = fit.values
        self.error = fit.error
        self._bounds = fit.low, fit.high
        priors = PRIORS.get(name, {})
        size = max(map(len, fit.factor.values()), default=0)
        self._rows: dict[str, Leaning] = {}
        for coefficient, row in fit.factor.items():
            value, prior = fit.values[coefficient], priors[coefficient]
            moved = value * (1.0 - value) if prior.unit == SHARE else value - prior.least
            padded = np.zeros(size)
            padded[: len(row)] = row
            self._rows[coefficient] = moved * padded

    @property
    def is_fitted(self) -> bool:
        """Whether anything was ever timed of it, on any architecture."""
        return bool(self._rows)

    def leaning(self, work: Work, cycles: float) -> Leaning:
        """Return how log time leans on what is not known: independent standard errors.

        The last of them is that of quantities beyond those fitted to. The length of all is the
        standard error beside the formulas' misfit.
        """
        slopes = slopes_of(work, self.values)
        names = [name for name, slope in slopes.items() if slope]
        weights = np.array([slopes[name] for name in names]) / cycles
        found = weights @ np.array([self._rows[name] for name in names])
        return np.append(found, REACH * reach(work, *self._bounds))


class FreeFamily:
    """A family's coefficients on the whole line, and the features that they move with.

    Features are independent and standard normal; ``spread`` is how coefficients move with them, a
    column each. The last is that of the misfit which the family's ops have in common: a factor on
    all of its costs. ``first`` is the place of the first feature among those of all families.
    """

    def __init__(self, name: str, fit: FamilyFit, first: int) -> None:
        self.priors = PRIORS[name]
        self.names = sorted(self.priors)
        self.start = np.array([to_free(fit.values[one], self.priors[one]) for one in self.names])
        self.is_share = np.array([self.priors[one].unit == SHARE for one in self.names])
        self.least = np.array([self.priors[one].least for one in self.names])
        values = self.values(self.start)
        # What lies at its least cannot move as all else does: it would leap.
        costs = np.maximum(values - self.least, values / _MOST_LEAP)
        together = np.where(self.is_share, 0.0, sqrt(COMMON) * fit.error * values / costs)
        self.spread = np.hstack([self._root(fit), together[:, None]])
        self.place = slice(first, first + self.spread.shape[1])

    def _root(self, fit: FamilyFit) -> _Array:
        if not fit.factor:
            return np.diag([self.priors[one].spread for one in self.names])
        root = np.zeros((len(self.names), len(self.names)))
        for row, name in zip(root, self.names, strict=True):
            known = fit.factor[name]
            row[: len(known)] = known
        return root

    def values(self, free: _Array) -> _Array:
        """Return the coefficients at places on the whole line."""
        pairs = zip(free, self.names, strict=True)
        return np.array(
            [from_free(min(float(one), 50.0), self.priors[name]) for one, name in pairs]
        )

    def moved(self, values: _Array) -> _Array:
        """Return how each coefficient changes with its place on the whole line."""
        return np.where(self.is_share, values * (1.0 - values), values - self.least)


@dataclass(frozen=True, eq=False)
class Doubt:
    """What is not known of one op's log time.

    ``misfit`` is the standard error of its family's formulas at best; ``leaning`` is
    :meth:`Family.leaning`, and ``from_coefficients`` its length. Where nothing was fitted it is
    infinite, there is no leaning, and the misfit is all that is said.
    """

    family: str
    misfit: float
    leaning: Leaning = field(repr=False)
    from_coefficients: float = 0.0

    @property
    def stderr_log(self) -> float:
        """The standard error of log time."""
        known = self.from_coefficients if len(self.leaning) else 0.0
        return hypot(self.misfit, known)


@dataclass(frozen=True)
class Part:
    """An op of a sum: its time (negative where it is taken off), its layer, and its doubt."""

    time_ns: float
    layer: str
    doubt: Doubt


def variance_ns(parts: Iterable[Part], common: float, of_a_layer: float) -> float:
    """Return the variance of a sum, in square nanoseconds.

    ``common`` is the share of a misfit's variance that a family's ops share, ``of_a_layer`` that
    which those of one layer share beside.
    """
    leaning: dict[str, Leaning] = {}
    by_family: dict[str, float] = defaultdict(float)
    by_layer: dict[tuple[str, str], float] = defaultdict(float)
    single = 0.0
    for part in parts:
        doubt = part.doubt
        error_ns = part.time_ns * doubt.misfit
        by_family[doubt.family] += error_ns
        by_layer[doubt.family, part.layer] += error_ns
        single += error_ns**2
        if len(doubt.leaning):
            before = leaning.get(doubt.family)
            own = part.time_ns * doubt.leaning
            leaning[doubt.family] = own if before is None else before + own
    return (
        sum(float(total @ total) for total in leaning.values())
        + common * _squares(by_family.values())
        + of_a_layer * _squares(by_layer.values())
        + (1.0 - common - of_a_layer) * single
    )


def _squares(errors: Iterable[float]) -> float:
    return sum(error**2 for error in errors)


_ONE_ERROR = 0.841  # of a normal distribution, below one standard error above its mean


def is_within_error(probability: float) -> bool:
    """Whether what is faster with a probability differs by less than one standard error."""
    return 1.0 - _ONE_ERROR < probability < _ONE_ERROR


def chance_below_zero(mean: float, variance: float) -> float:
    """Return the probability that a normal variable is negative; half where nothing tells."""
    if variance <= 0.0:
        return 0.5 if mean == 0.0 else float(mean < 0.0)
    return 0.5 * (1.0 - erf(mean / sqrt(2.0 * variance)))
