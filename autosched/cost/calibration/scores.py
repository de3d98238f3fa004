"""How good a family's formulas are on layers, and on networks, that they were not fitted on.

Profiles that share convolution layers are of one network, in different releases; holding out one
of them alone would leave its layers in the other. So they are held out together, and the rest is
fitted as if they did not exist.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from autosched.cost.calibration.fitting import (
    Array,
    Families,
    Sample,
    fit,
    predicted_logs,
    samples_of,
)
from autosched.cost.ops.work import ORDINARY_ERROR, Prior
from autosched.cost.profiles.profile import Profile

FOLDS = 10
FEW_GROUPS = 25
"""Up to so many layers each is held out on its own."""
WORST = 5
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


def cross_validate(samples: Sequence[Sample], priors: Mapping[str, Prior]) -> Array | None:
    """Return log(predicted / measured) of each sample, predicted without its layer.

    None if there are fewer than two layers.
    """
    groups = sorted({sample.group for sample in samples})
    if len(groups) < 2:
        return None
    folds = len(groups) if len(groups) <= FEW_GROUPS else FOLDS
    fold_of = {group: number % folds for number, group in enumerate(groups)}
    predicted = np.zeros(len(samples))
    for fold in range(folds):
        held = [i for i, sample in enumerate(samples) if fold_of[sample.group] == fold]
        rest = [sample for sample in samples if fold_of[sample.group] != fold]
        predicted[held] = predicted_logs([samples[i] for i in held], fit(rest, priors))
    errors: Array = np.log(predicted / np.array([sample.cycles for sample in samples]))
    return errors


def score(
    arch: str, family: str, samples: Sequence[Sample], errors: Array | None, clock_ghz: float
) -> ClassScore:
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
        worst=_worst(samples, errors, clock_ghz),
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
    adapted = fit(target, moved, only=refitted)
    errors: Array = np.log(
        predicted_logs(target, adapted) / np.array([sample.cycles for sample in target])
    )
    return errors


JUDGED_FAMILIES = ("conv2d", "halo", "matmul")
"""The families that are judged so: those that networks differ in most."""

Fit = Callable[[Mapping[str, Families], str], Mapping[str, Mapping[str, float]]]
"""Fits the families of one architecture, given the samples of all architectures."""


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


def networks(profiles: Sequence[Profile]) -> list[list[Profile]]:
    """Return the profiles by network: those of one architecture that share convolution layers."""
    found: list[tuple[str, set[str], list[Profile]]] = []
    for profile in profiles:
        layers = {item.group for item in samples_of([profile], profile.arch).get("conv2d", ())}
        same = [item for item in found if item[0] == profile.arch and item[1] & layers]
        found = [item for item in found if item not in same]
        shared = layers.union(*(item[1] for item in same))
        members = [member for item in same for member in item[2]]
        found.append((profile.arch, shared, [*members, profile]))
    return [members for _, _, members in found]


def held_out_scores(profiles: Sequence[Profile], fit_families: Fit) -> Iterator[HeldOutScore]:
    """Hold out every network with convolutions in turn; sweeps and others always stay."""
    archs = {profile.arch for profile in profiles}
    for held in networks(profiles):
        rest = [profile for profile in profiles if profile not in held]
        arch = held[0].arch
        unseen = _judged(samples_of(held, arch))
        if "conv2d" not in unseen or not rest:
            continue
        left = {name: _judged(samples_of(rest, name)) for name in archs}
        fitted = fit_families(left, arch)
        for family, rows in unseen.items():
            known = left[arch].get(family, ())
            if known or any(left[name].get(family) for name in archs):
                yield _score(held, family, rows, len(known), fitted[family])


def _judged(families: Families) -> Families:
    return {family: rows for family, rows in families.items() if family in JUDGED_FAMILIES}


def _score(
    held: Sequence[Profile],
    family: str,
    rows: Sequence[Sample],
    trained_on: int,
    values: Mapping[str, float],
) -> HeldOutScore:
    cycles = np.array([row.cycles for row in rows])
    errors = np.abs(predicted_logs(rows, values) / cycles - 1.0)
    return HeldOutScore(
        files=tuple(profile.path.name for profile in held),
        arch=held[0].arch,
        family=family,
        distinct=len(rows),
        trained_on=trained_on,
        median_error=float(np.median(errors)),
        p90_error=float(np.percentile(errors, 90)),
    )
