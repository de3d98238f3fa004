"""Fits the coefficients of one family of formulas to timed ops, of all architectures together.

The unknowns are logarithms of costs and logits of shares, so every cost stays above zero and every
share between zero and one. The loss is robust (soft L1) on the error of log time; each coefficient
is held at its prior by the prior's spread, and the next architecture's at the first one's by the
prior's ``tie``: cycle counts of the same kernels are alike, so what one architecture's ops do not
show, the other's do.

Ops of one bundle are compared with each other alone: their mean error is taken off, so that a
ratio, a ranking, or the sweep of one layer on a simulator moves only what tells its members apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from autosched.boards import CLOCK_GHZ
from autosched.cost.calibration.observations import Observation, Source
from autosched.cost.coefficients import from_free, to_free
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.families import work_of
from autosched.cost.ops.work import SHARE, Prior, Record, Work

Array = NDArray[np.float64]

NOISE = 0.08
"""Errors of log time below this are as good as exact: releases drift by as much."""

ROBUST = 1.5
"""Weighted errors above this count less and less."""

_MAX_EVALUATIONS = 200


@dataclass(frozen=True)
class Sample:
    """One distinct op: its work, its measured cycles, and the layer it belongs to.

    ``weight`` counts how much the sample matters; ``group`` is what cross-validation holds out
    together, ``bundle`` what it is compared within (:mod:`..observations`).
    """

    work: Work
    cycles: float
    group: str
    label: str = ""
    weight: float = 1.0
    bundle: str = ""
    source: Source = Source.SILICON
    origin: str = ""
    few_channels: bool = False
    release: str = ""
    record: Record | None = None


Families = Mapping[str, tuple[Sample, ...]]
Samples = Mapping[str, Sequence[Sample]]
"""Samples of one family by architecture."""

Priors = Mapping[str, Mapping[str, Prior]]
"""Priors of one family's coefficients by architecture."""

Values = dict[str, dict[str, float]]
"""Coefficients of one family by architecture."""


def samples_of(observations: Iterable[Observation], arch: str) -> Families:
    """Return the samples of one architecture by family of formulas."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for item in observations:
        if item.arch == arch:
            work = work_of(item.record)
            found[work.family].append(
                Sample(
                    work=work,
                    cycles=item.time_ns * CLOCK_GHZ[arch],
                    group=item.group,
                    label=item.label,
                    weight=item.weight,
                    bundle=item.bundle,
                    source=item.source,
                    origin=item.origin,
                    release=item.release,
                    few_channels=_has_few_channels(item.record),
                    record=item.record,
                )
            )
    return {family: tuple(samples) for family, samples in found.items()}


_FEW_CHANNELS = 16


def _has_few_channels(record: Record) -> bool:
    return isinstance(record, Conv2dOp) and record.in_channels <= _FEW_CHANNELS


class Design:
    """The samples of one family as arrays: quantities by coefficient, stage by stage."""

    def __init__(self, samples: Sequence[Sample], names: Sequence[str]) -> None:
        self.place = {name: index for index, name in enumerate(names)}
        stages = sorted({stage.name for sample in samples for stage in sample.work.stages})
        shape = (len(samples), len(names))
        self.serial = np.zeros(shape)
        self.stages = {stage: np.zeros(shape) for stage in stages}
        self.overlaps = {stage: np.zeros(shape, dtype=bool) for stage in stages}
        self.followed = {stage: np.zeros(shape) for stage in stages}
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
        lines = {stage.name: self.stages[stage.name][row] for stage in sample.work.stages}
        for stage in sample.work.stages:
            for other, part in stage.follows.items():
                self.followed[stage.name][row] += part * lines[other]

    def cycles(self, values: Array) -> Array:
        """Return the predicted cycles of all samples (see :mod:`autosched.cost.ops.work`)."""
        return self.cycles_and_slopes(values)[0]

    def cycles_and_slopes(self, values: Array) -> tuple[Array, Array]:
        """Return the predicted cycles, and how they change with each coefficient."""
        total: Array = self.serial @ values
        slopes: Array = self.serial.copy()
        hidden: Array = np.zeros(len(total))
        hidden_slopes: Array = np.zeros_like(slopes)
        exposures = 1.0 - np.minimum(values, 1 - 1e-9)
        for stage, quantities in self.stages.items():
            length = quantities @ values
            named = self.overlaps[stage]
            some = named.any(axis=1)
            exposed = np.where(some, np.exp(named @ np.log(np.maximum(exposures, 1e-12))), 0.0)
            share_slopes = named * (exposed[:, None] / np.maximum(exposures, 1e-12))
            own = (1.0 - exposed)[:, None] * quantities + length[:, None] * share_slopes
            total = total + exposed * length
            slopes = slopes + quantities - own
            own = own + self.followed[stage]
            chain = (1.0 - exposed) * length + self.followed[stage] @ values
            longer = chain > hidden
            hidden = np.where(longer, chain, hidden)
            hidden_slopes = np.where(longer[:, None], own, hidden_slopes)
        return total + hidden, slopes + hidden_slopes


class Side:
    """One architecture's part of a fit: its samples, its priors, its unknowns."""

    def __init__(self, samples: Sequence[Sample], priors: Mapping[str, Prior]) -> None:
        self.names = list(priors)
        self.design = Design(samples, self.names)
        self.target = np.log([sample.cycles for sample in samples]) if samples else np.zeros(0)
        self.weights = np.sqrt([sample.weight for sample in samples]) / NOISE
        self.start = np.array([to_free(prior.value, prior) for prior in priors.values()])
        self.is_share = np.array([prior.unit == SHARE for prior in priors.values()])
        self.least = np.array([prior.least for prior in priors.values()])
        self.spreads = np.array([prior.spread for prior in priors.values()])
        self.ties = np.array([prior.tie for prior in priors.values()])
        bundles: dict[str, list[int]] = defaultdict(list)
        for row, sample in enumerate(samples):
            if sample.bundle:
                bundles[sample.bundle].append(row)
        self.bundles = [np.array(rows) for rows in bundles.values()]

    def logs(self, unknowns: Array) -> tuple[Array, Array]:
        """Return the logs of the predicted cycles, and how they change with each unknown."""
        costs = np.exp(np.minimum(unknowns, 50))
        shares = 1.0 / (1.0 + np.exp(-np.clip(unknowns, -50, 50)))
        values = np.where(self.is_share, shares, self.least + costs)
        moved = np.where(self.is_share, shares * (1.0 - shares), costs)
        cycles, slopes = self.design.cycles_and_slopes(values)
        return np.log(cycles), slopes * moved / cycles[:, None]

    def errors(self, unknowns: Array) -> tuple[Array, Array]:
        """Return weighted errors of log time and their slopes; of bundles, off their mean."""
        logs, change = self.logs(unknowns)
        error = logs - self.target
        for rows in self.bundles:
            error[rows] -= error[rows].mean()
            change[rows] -= change[rows].mean(axis=0)
        return error * self.weights, change * self.weights[:, None]


def fit_together(samples: Samples, priors: Priors) -> Values:
    """Return the coefficients of all architectures that explain their samples best.

    Args:
        samples: timed ops of one family.
        priors: prior of each coefficient by architecture; those of the first architecture are
            held by their spreads, those of the others by their ties to the first one's.
    """
    sides = [Side(samples.get(arch, ()), own) for arch, own in priors.items()]
    found = _solve(sides, np.concatenate([side.start for side in sides]))
    return {
        arch: {
            name: from_free(float(free), own[name]) for name, free in zip(own, part, strict=True)
        }
        for (arch, own), part in zip(priors.items(), np.split(found, len(sides)), strict=True)
    }


def held(sides: Sequence[Side]) -> Array:
    """Return what holds the unknowns, a row each: priors the first side's, ties the others'."""
    count = len(sides[0].start)
    rows = np.eye(count * len(sides))
    for number in range(1, len(sides)):
        rows[number * count : (number + 1) * count, :count] -= np.eye(count)
    scales = np.concatenate([sides[0].spreads, *(side.ties for side in sides[1:])])
    tied: Array = rows / scales[:, None]
    return tied


def _solve(sides: Sequence[Side], start: Array) -> Array:
    count = len(sides[0].start)
    if not any(len(side.target) for side in sides) or not count:
        return start
    tied = held(sides)

    def residuals(unknowns: Array) -> Array:
        parts = np.split(unknowns, len(sides))
        data = [side.errors(part)[0] for side, part in zip(sides, parts, strict=True)]
        return np.concatenate([*data, tied @ (unknowns - start)])

    def slopes(unknowns: Array) -> Array:
        parts = np.split(unknowns, len(sides))
        blocks = []
        for number, (side, part) in enumerate(zip(sides, parts, strict=True)):
            block = np.zeros((len(side.target), len(start)))
            block[:, number * count : (number + 1) * count] = side.errors(part)[1]
            blocks.append(block)
        return np.concatenate([*blocks, tied])

    found = least_squares(
        residuals, start, slopes, loss="soft_l1", f_scale=ROBUST, max_nfev=_MAX_EVALUATIONS
    )
    solution: Array = found.x
    return solution


def fit(
    samples: Sequence[Sample],
    priors: Mapping[str, Prior],
    only: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the coefficients of one architecture that explain the samples best.

    Args:
        samples: timed ops of one family.
        priors: prior of each coefficient.
        only: names of the coefficients to fit; the others keep their priors. None fits all.
    """
    free = {
        name: prior if only is None or name in only else prior.fixed()
        for name, prior in priors.items()
    }
    return fit_together({"": samples}, {"": free})[""]


def predicted_logs(samples: Sequence[Sample], values: Mapping[str, float]) -> Array:
    """Return predicted cycles."""
    names = list(values)
    return Design(samples, names).cycles(np.array([values[name] for name in names]))
