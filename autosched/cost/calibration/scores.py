"""How good a family's formulas are on layers, and on networks, that they were not fitted on.

Profiles that share convolution layers are of one network, in different releases; holding out one
of them alone would leave its layers in the other. So they are held out together, and the rest is
fitted as if they did not exist. Points are judged as layers are. Of a bundle, such as the simulated
sweep of one layer, what counts is whether its members rank as they should, and what it costs to
take the model's favourite for the best.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from autosched.boards import CLOCK_GHZ
from autosched.cost.calibration.fitting import (
    Array,
    Families,
    Priors,
    Sample,
    Samples,
    fit,
    fit_together,
    predicted_logs,
)
from autosched.cost.calibration.observations import Source
from autosched.cost.ops.work import ORDINARY_ERROR, Prior

FOLDS = 20
FEW_GROUPS = 80
"""Up to so many layers each is held out on its own."""
WORST = 5
RANKED = 3
"""Members that a bundle needs for a rank correlation."""
_LEAST_ERROR, _LARGEST_ERROR = 0.05, 1.5
_ORDINARY_LAYERS = 2
# Half and nine tenths of normally distributed errors lie within so many standard deviations.
_HALF, _MOST = 0.6745, 1.645


@dataclass(frozen=True)
class WorstRow:
    """A row with a large error; ``error`` is predicted over measured, minus one."""

    label: str
    measured_us: float
    error: float


@dataclass(frozen=True)
class ClassScore:
    """One line of the calibration table, from cross-validation grouped by layer.

    ``median_error`` and ``p90_error`` are relative; ``error_log`` is the standard error of log
    time. All are None where there are fewer than two layers.
    """

    arch: str
    family: str
    distinct: int
    groups: int
    median_error: float | None
    p90_error: float | None
    spearman: float | None
    error_log: float
    worst: tuple[WorstRow, ...] = ()


@dataclass(frozen=True)
class PointScore:
    """A single figure against its prediction without it; ``error`` is relative."""

    arch: str
    family: str
    label: str
    measured_us: float
    error: float


@dataclass(frozen=True)
class BundleScore:
    """How the members of a bundle rank, predicted without their layer.

    ``regret`` is how much longer the predicted fastest takes than the fastest, ``worst_ratio`` the
    largest relative error of a member's share of another. ``spearman`` is None for few members.
    """

    arch: str
    bundle: str
    source: Source
    members: int
    spearman: float | None
    regret: float
    worst_ratio: float


def cross_validate(samples: Samples, priors: Priors) -> dict[str, Array] | None:
    """Return log(predicted / measured) by architecture, each sample predicted without its layer.

    None if there are fewer than two layers.
    """
    groups = sorted({sample.group for own in samples.values() for sample in own})
    if len(groups) < 2:
        return None
    folds = len(groups) if len(groups) <= FEW_GROUPS else FOLDS
    fold_of = {group: number % folds for number, group in enumerate(groups)}
    errors = {arch: np.zeros(len(own)) for arch, own in samples.items()}
    for fold in range(folds):
        rest = {
            arch: [sample for sample in own if fold_of[sample.group] != fold]
            for arch, own in samples.items()
        }
        values = fit_together(rest, priors)
        for arch, own in samples.items():
            held = [i for i, sample in enumerate(own) if fold_of[sample.group] == fold]
            if held:
                errors[arch][held] = errors_of([own[i] for i in held], values[arch])
    return errors


def errors_of(samples: Sequence[Sample], values: Mapping[str, float]) -> Array:
    """Return log(predicted / measured) of samples."""
    errors: Array = np.log(
        predicted_logs(samples, values) / np.array([sample.cycles for sample in samples])
    )
    return errors


def point_scores(
    arch: str, family: str, samples: Sequence[Sample], errors: Array
) -> Iterator[PointScore]:
    """Judge single figures one by one."""
    for sample, error in zip(samples, errors, strict=True):
        if sample.source is Source.POINT and not sample.bundle:
            measured_us = sample.cycles / CLOCK_GHZ[arch] / 1e3
            yield PointScore(arch, family, sample.label, measured_us, float(np.expm1(error)))


def bundle_scores(arch: str, samples: Sequence[Sample], errors: Array) -> Iterator[BundleScore]:
    """Judge bundles by how their members rank."""
    bundles: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        if sample.bundle:
            bundles[sample.bundle].append(row)
    for name, rows in bundles.items():
        if len(rows) > 1:
            members, wrong = [samples[row] for row in rows], errors[rows]
            yield _bundle_score(arch, name, members, wrong)


def _bundle_score(arch: str, name: str, members: Sequence[Sample], errors: Array) -> BundleScore:
    cycles = np.array([member.cycles for member in members])
    predicted = cycles * np.exp(errors)
    ranked = len(members) >= RANKED and len({*cycles}) > 1
    return BundleScore(
        arch=arch,
        bundle=name,
        source=members[0].source,
        members=len(members),
        spearman=float(spearmanr(cycles, predicted)[0]) if ranked else None,
        regret=float(cycles[np.argmin(predicted)] / cycles.min() - 1.0),
        worst_ratio=float(np.expm1(np.ptp(errors))),
    )


def score(arch: str, family: str, samples: Sequence[Sample], errors: Array | None) -> ClassScore:
    """Sum up cross-validation errors."""
    groups = len({sample.group for sample in samples})
    if errors is None:
        return ClassScore(arch, family, len(samples), groups, None, None, None, ORDINARY_ERROR)
    relative = np.abs(np.expm1(errors))
    cycles = np.array([sample.cycles for sample in samples])
    return ClassScore(
        arch=arch,
        family=family,
        distinct=len(samples),
        groups=groups,
        median_error=float(np.median(relative)),
        p90_error=float(np.percentile(relative, 90)),
        spearman=float(spearmanr(cycles, cycles * np.exp(errors))[0]) if groups > 2 else None,
        error_log=_standard_error(errors, [sample.weight for sample in samples], groups),
        worst=_worst(samples, errors, CLOCK_GHZ[arch]),
    )


def _standard_error(errors: Array, weights: Sequence[float], groups: int) -> float:
    """Return a standard error that both half and nine tenths of the errors agree with.

    Quantiles instead of the root mean square: sweeps contain rows whose shapes are not those timed.
    They are weighted as in the fit, so that a long sweep does not speak for networks. Few layers
    say little about their own spread and are mixed with the ordinary one.
    """
    half, most = _quantiles(np.abs(errors), np.asarray(weights), (0.5, 0.9))
    seen = float(np.clip(max(half / _HALF, most / _MOST), _LEAST_ERROR, _LARGEST_ERROR))
    return (groups * seen + _ORDINARY_LAYERS * ORDINARY_ERROR) / (groups + _ORDINARY_LAYERS)


def _quantiles(values: Array, weights: Array, shares: Sequence[float]) -> Array:
    """Return weighted quantiles; with equal weights they are numpy's."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) - weights[order] / 2
    places = (reached - reached[0]) / max(reached[-1] - reached[0], 1e-12)
    found: Array = np.interp(shares, places, values[order])
    return found


def _worst(samples: Sequence[Sample], errors: Array, clock_ghz: float) -> tuple[WorstRow, ...]:
    order = np.argsort(-np.abs(errors))[:WORST]
    return tuple(
        WorstRow(samples[i].label, samples[i].cycles / clock_ghz / 1e3, float(np.expm1(errors[i])))
        for i in order
    )


def transfer_errors(
    target: Sequence[Sample], moved: Mapping[str, Prior], refitted: Sequence[str]
) -> Array:
    """Return the target's errors with another architecture's coefficients.

    ``moved`` are these as the target's priors; all but ``refitted`` stay as they are.
    """
    return errors_of(target, fit(target, moved, only=refitted))


JUDGED_FAMILIES = ("conv2d", "halo", "matmul")
"""The families that are judged so: those that networks differ in most."""


@dataclass(frozen=True)
class HeldOutScore:
    """Errors on one network's profiles with coefficients fitted on all others.

    ``trained_on`` counts the distinct rows of the architecture that were left to fit; with none,
    the other architecture's coefficients are used at the ratios of :mod:`autosched.cost.ops.work`.
    """

    files: tuple[str, ...]
    arch: str
    family: str
    distinct: int
    trained_on: int
    median_error: float
    p90_error: float


def networks(families: Mapping[str, Families]) -> list[tuple[str, frozenset[str]]]:
    """Return networks as (architecture, names of their profiles): those that share convolutions."""
    found: list[tuple[str, set[str], set[str]]] = []
    for arch, own in families.items():
        layers: dict[str, set[str]] = defaultdict(set)
        for sample in own.get("conv2d", ()):
            if sample.source is Source.SILICON:
                layers[sample.origin].add(sample.group)
        for origin, groups in layers.items():
            same = [item for item in found if item[0] == arch and item[2] & groups]
            found = [item for item in found if item not in same]
            origins = {origin}.union(*(item[1] for item in same))
            found.append((arch, origins, groups.union(*(item[2] for item in same))))
    return [(arch, frozenset(origins)) for arch, origins, _ in found]


PriorsOf = Callable[[str], Priors]
"""Returns the priors of a family by architecture."""


def held_out_scores(
    families: Mapping[str, Families], priors_of: PriorsOf
) -> Iterator[HeldOutScore]:
    """Hold out every network with convolutions in turn; sweeps, points and others always stay."""
    for arch, origins in networks(families):
        for family in JUDGED_FAMILIES:
            samples = {name: own.get(family, ()) for name, own in families.items()}
            held = [sample for sample in samples[arch] if sample.origin in origins]
            rest = [sample for sample in samples[arch] if sample.origin not in origins]
            left = {**samples, arch: rest}
            if held and any(left.values()):
                values = fit_together(left, priors_of(family))[arch]
                yield _held_out_score(arch, origins, family, held, rest, values)


def _held_out_score(
    arch: str,
    origins: frozenset[str],
    family: str,
    held: Sequence[Sample],
    rest: Sequence[Sample],
    values: Mapping[str, float],
) -> HeldOutScore:
    errors = np.abs(np.expm1(errors_of(held, values)))
    return HeldOutScore(
        files=tuple(sorted(origins)),
        arch=arch,
        family=family,
        distinct=len(held),
        trained_on=sum(not sample.bundle for sample in rest),
        median_error=float(np.median(errors)),
        p90_error=float(np.percentile(errors, 90)),
    )
