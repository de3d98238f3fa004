"""Fits the coefficients of one family of formulas to timed ops.

The unknowns are logarithms of costs and logits of shares, so every cost stays above zero and every
share between zero and one. The loss is robust (soft L1) on the error of log time; each coefficient
is held at its prior by the prior's spread.

The timed ops are distinct samples out of profiles. A network repeats its layers, slices them, and
is profiled again with the next release; such rows say the same. Equal features within a profile
become one sample (their median time), and samples of one layer share a group over all profiles,
which cross-validation holds out as a whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from autosched.boards import CLOCK_GHZ
from autosched.cost.coefficients import from_free, to_free
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.families import work_of
from autosched.cost.ops.matmul import MatmulOp
from autosched.cost.ops.pooling import PoolOp
from autosched.cost.ops.traffic import padded_2d
from autosched.cost.ops.work import SHARE, Prior, Record, Work
from autosched.cost.profiles.profile import Profile, ProfileRow
from autosched.schedule.tensors import ShardLayout

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
        """Return the predicted cycles of all samples (see :mod:`autosched.cost.ops.work`)."""
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


def predicted_logs(samples: Sequence[Sample], values: Mapping[str, float]) -> Array:
    """Return predicted cycles."""
    names = list(values)
    return Design(samples, names).cycles(np.array([values[name] for name in names]))


MAX_SAMPLES = 600
"""Distinct samples of one family taken from one profile; a sweep's are thinned out evenly."""

SAME_RUN = 1.25
"""Repetitions of an op differ by less than this factor; else their shapes differ too."""

FULL_WEIGHT_SAMPLES = 40
"""A profile's samples of one family count no more than so many in total."""

Families = Mapping[str, tuple[Sample, ...]]


def samples_of(profiles: Iterable[Profile], arch: str) -> Families:
    """Return the samples of all profiles of one architecture by family of formulas."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for profile in profiles:
        if profile.arch == arch:
            for family, rows in _distinct_rows(profile).items():
                found[family].extend(_samples(profile, rows))
    for family, sample in _anchors(arch):
        found[family].append(sample)
    return {family: tuple(samples) for family, samples in found.items()}


def _distinct_rows(profile: Profile) -> Mapping[str, list[list[ProfileRow]]]:
    by_features: dict[Record, list[ProfileRow]] = {}
    for row in profile.rows:
        by_features.setdefault(row.features, []).append(row)
    families: dict[str, list[list[ProfileRow]]] = defaultdict(list)
    for features, rows in by_features.items():
        families[work_of(features).family].append(rows)
    return families


def _samples(profile: Profile, distinct: Sequence[list[ProfileRow]]) -> list[Sample]:
    stride = -(-len(distinct) // MAX_SAMPLES)
    kept = distinct[::stride]
    weight = min(1.0, FULL_WEIGHT_SAMPLES / len(kept))
    return [
        Sample(
            work=work_of(rows[0].features),
            cycles=_typical_ns(rows) * CLOCK_GHZ[profile.arch],
            group=layer_group(rows[0]),
            label=f"{profile.path.name}:{rows[0].line} {rows[0].op.code}",
            weight=weight,
        )
        for rows in kept
    ]


def _typical_ns(rows: Sequence[ProfileRow]) -> float:
    """Return the time of equal ops.

    Reports repeat the shapes of the first run wherever a cached program runs again, even where it
    runs on other shapes; times far from the first run's are such rows.
    """
    first = rows[0].measured_ns
    return median(
        row.measured_ns for row in rows if 1 / SAME_RUN < row.measured_ns / first < SAME_RUN
    )


def layer_group(row: ProfileRow) -> str:
    """Name the layer a row belongs to, equal for its slices, formats and releases."""
    features = row.features
    if isinstance(features, Conv2dOp):
        return (
            f"conv {features.in_channels}>{features.out_channels} {features.window_hw} "
            f"/{features.stride_hw} x{features.input_hw[1]}"
        )
    if isinstance(features, MatmulOp):
        return f"matmul {features.m_tiles}x{features.k_tiles}x{features.n_tiles}"
    shape = padded_2d(row.op.inputs[0]) if row.op.inputs else ()
    return f"{type(features).__name__} {shape}"


def _pool(window: int, stride: int, sticks: int, channels: int, kind: str) -> PoolOp:
    return PoolOp(
        layout=ShardLayout.HEIGHT,
        cores=64,
        kind=kind,
        window_hw=(window, window),
        stride_hw=(stride, stride),
        out_sticks=sticks,
        stick_bytes=2 * channels,
        channels=channels,
        tiled_output=False,
    )


# Single Wormhole figures from the calibration set's README: (op, microseconds). Sticks are per
# core of 64: 16 images of 56x56, one of 112x112, one of 16x16, and ten single positions.
_POOL_ANCHORS = (
    (_pool(3, 2, 784, 64, "max"), 124.7),
    (_pool(2, 2, 196, 64, "max"), 31.4),
    (_pool(4, 4, 4, 1152, "avg"), 17.6),
    (_pool(7, 1, 1, 1280, "avg"), 8.38),
)


def _anchors(arch: str) -> list[tuple[str, Sample]]:
    if arch != "wormhole_b0":
        return []
    return [
        ("pool", Sample(work_of(op), us * 1e3, f"anchor {number}", f"pool anchor {number}"))
        for number, (op, us) in enumerate(_POOL_ANCHORS)
    ]
