"""Calibrates the device model on profiles of real cards.

Each family of formulas is fitted for all architectures together (see
:mod:`autosched.cost.calibration.fitting`) and judged by cross-validation that holds out whole
layers. Beside profiles it learns from points and simulated sweeps
(:mod:`autosched.cost.calibration.observations`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autosched.boards import CLOCK_GHZ
from autosched.cost.calibration.certainty import Factor, Shares, bounds_of, factors, provenance
from autosched.cost.calibration.fitting import (
    Array,
    Families,
    Priors,
    Sample,
    Samples,
    Values,
    fit,
    fit_together,
    samples_of,
)
from autosched.cost.calibration.observations import (
    SUFFIX,
    Observation,
    Source,
    observations_of,
    read_observations,
    shipped_paths,
)
from autosched.cost.calibration.regions import CoverageScore, coverage_scores
from autosched.cost.calibration.scores import (
    BundleScore,
    ClassScore,
    HeldOutScore,
    PointScore,
    bundle_scores,
    cross_validate,
    held_out_scores,
    point_scores,
    score,
    transfer_errors,
)
from autosched.cost.coefficients import Coefficients, FamilyFit, load, save, shipped_path
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import ORDINARY_ERROR
from autosched.cost.profiles.profile import UnknownOp, read_profile
from autosched.errors import ProfileError

FEW_CHANNELS = "conv2d, few channels"
"""Convolutions whose sticks hold at most 16 channels, judged on their own as well."""

TRANSFER_COEFFICIENTS = ("read", "weight_kib")
"""What differs most between architectures: bytes a cycle over the network and from DRAM."""


@dataclass(frozen=True)
class TransferScore:
    """Convolution errors with another architecture's coefficients (clock and two refitted)."""

    source: str
    target: str
    median_error: float


@dataclass(frozen=True)
class CalibrationReport:
    """Fitted coefficients by architecture, and how good they are on held-out layers.

    ``provenance`` says by architecture, family and coefficient which share of what is known of it
    is from silicon, points, simulations, and the prior.
    """

    coefficients: Mapping[str, Coefficients]
    scores: tuple[ClassScore, ...]
    points: tuple[PointScore, ...]
    bundles: tuple[BundleScore, ...]
    transfers: tuple[TransferScore, ...]
    held_out: tuple[HeldOutScore, ...]
    provenance: "_Known"
    unknown: Mapping[str, tuple[UnknownOp, ...]]
    coverage: tuple[CoverageScore, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return the scores as JSON types."""
        return {
            "versions": {arch: item.version for arch, item in self.coefficients.items()},
            "scores": [asdict(item) for item in self.scores],
            "points": [asdict(item) for item in self.points],
            "bundles": [asdict(item) for item in self.bundles],
            "transfers": [asdict(item) for item in self.transfers],
            "held_out": [asdict(item) for item in self.held_out],
            "coverage": [asdict(item) for item in self.coverage],
            "provenance": self.provenance,
            "unknown": {
                path: [asdict(op) for op in ops] for path, ops in self.unknown.items() if ops
            },
        }


_Known = Mapping[str, Mapping[str, Mapping[str, Shares]]]


@dataclass(frozen=True)
class _Fitted:
    """One family on all architectures: what was fitted, to what, and from which priors."""

    samples: Samples
    priors: Priors
    values: Values
    factors: Mapping[str, Factor]


def fit_coefficients(
    paths: Sequence[Path | str] = (),
    ttnn_version: str = "",
    start: Mapping[str, Coefficients] | None = None,
    arch: str | None = None,
) -> CalibrationReport:
    """Fit and judge coefficients, one set per architecture found.

    Args:
        paths: profiler reports, flat sweeps, or observations derived of such; none for those that
            the shipped coefficients are made from.
        ttnn_version: release of ttnn the profiles were made with; by default the reports'
            generations stand for it, and kernels are taken to be older than 0.81's.
        start: coefficients by architecture to start from, for a profile of one's own card: they
            serve as priors, and families without rows keep them. By default the priors of
            :mod:`autosched.cost.ops.families`, which is how the shipped coefficients are made.
        arch: architecture of reports that do not show their own.

    Raises:
        ProfileError: if one is no usable profile.
    """
    observations, unknown = _observe(paths or shipped_paths(), arch, ttnn_version)
    archs = sorted({item.arch for item in observations}, reverse=True)
    families = {name: samples_of(observations, name) for name in archs}
    fitted = {name: _fit(name, families, start or {}) for name in PRIORS}
    crossed = {name: cross_validate(item.samples, item.priors) for name, item in fitted.items()}
    scores, points, bundles = _judge(fitted, crossed)
    known = _provenance(fitted, archs)
    coefficients = {
        name: _keep_unseen(
            _coefficients(name, fitted, scores, observations, ttnn_version, known),
            (start or {}).get(name),
        )
        for name in archs
    }
    priors_of = partial(_priors, archs=archs, start={})
    return CalibrationReport(
        coefficients=coefficients,
        scores=scores,
        points=points,
        bundles=bundles,
        transfers=_transfers(families),
        held_out=tuple(held_out_scores(families, priors_of)),
        coverage=tuple(coverage_scores(families, priors_of, crossed)),
        provenance=known,
        unknown=unknown,
    )


def _observe(
    paths: Iterable[Path | str], arch: str | None, ttnn_version: str
) -> tuple[list[Observation], dict[str, tuple[UnknownOp, ...]]]:
    observations: list[Observation] = []
    unknown = {}
    for path in map(Path, paths):
        if path.suffix == SUFFIX:
            observations += read_observations(path)
        else:
            profile = read_profile(path, arch, ttnn_version)
            observations += observations_of(profile)
            unknown[str(path)] = profile.unknown
    if not observations:
        raise ProfileError("no op to calibrate on; name at least one ops_perf_results CSV")
    return observations, unknown


def _fit(
    family: str, families: Mapping[str, Families], start: Mapping[str, Coefficients]
) -> _Fitted:
    samples = {arch: own.get(family, ()) for arch, own in families.items()}
    priors = _priors(family, list(families), start)
    values = fit_together(samples, priors)
    before = {
        arch: item.families[family].factor
        for arch, item in start.items()
        if family in item.families
    }
    return _Fitted(samples, priors, values, factors(samples, priors, values, before))


def _priors(family: str, archs: Sequence[str], start: Mapping[str, Coefficients]) -> Priors:
    """Return what is known before, by architecture; values of ``start`` go before the priors'."""
    found = {
        arch: {name: prior.on(arch) for name, prior in PRIORS[family].items()} for arch in archs
    }
    for arch in archs:
        if arch in start and family in start[arch].families:
            values = start[arch].families[family].values
            found[arch] = {
                name: replace(prior, value=values[name]) for name, prior in found[arch].items()
            }
    return found


def _judge(
    fitted: Mapping[str, _Fitted], crossed: Mapping[str, dict[str, Array] | None]
) -> tuple[tuple[ClassScore, ...], tuple[PointScore, ...], tuple[BundleScore, ...]]:
    """Judge every family that there are samples of by errors without their layer."""
    scores: list[ClassScore] = []
    points: list[PointScore] = []
    bundles: list[BundleScore] = []
    for family, item in fitted.items():
        errors = crossed[family]
        for arch, samples in item.samples.items():
            own = None if errors is None else errors[arch]
            scores += _class_scores(arch, family, samples, own)
            if own is not None:
                points += point_scores(arch, family, samples, own)
                bundles += bundle_scores(arch, samples, own)
    return tuple(sorted(scores, key=lambda item: item.arch)), tuple(points), tuple(bundles)


def _class_scores(
    arch: str, family: str, samples: Sequence[Sample], errors: Any
) -> Iterator[ClassScore]:
    """Judge the rows of profiles, and those of convolutions of few channels once more."""
    rows = [i for i, sample in enumerate(samples) if sample.source is Source.SILICON]
    if rows:
        part = [samples[i] for i in rows]
        yield score(arch, family, part, None if errors is None else errors[rows])
    few = [i for i, sample in enumerate(samples) if sample.few_channels and not sample.bundle]
    if few and errors is not None:
        yield score(arch, FEW_CHANNELS, [samples[i] for i in few], errors[few])


def _provenance(fitted: Mapping[str, _Fitted], archs: Iterable[str]) -> _Known:
    found: dict[str, dict[str, Mapping[str, Shares]]] = {arch: {} for arch in archs}
    for family, item in fitted.items():
        for arch, shares in provenance(item.samples, item.priors, item.values).items():
            found[arch][family] = shares
    return found


def shipped_coefficients() -> Mapping[str, Coefficients]:
    """Return the shipped coefficients by architecture."""
    return {arch: load(shipped_path(arch)) for arch in CLOCK_GHZ}


def write_coefficients(report: CalibrationReport, path: Path | str) -> tuple[Path, ...]:
    """Write a report's coefficients: to the file ``path``, or one file an architecture into it.

    Raises:
        ProfileError: if ``path`` is a file name and there are several architectures, or it cannot
            be written.
    """
    path = Path(path)
    if path.suffix == ".json" and len(report.coefficients) > 1:
        raise ProfileError(
            f"{path}: coefficients of {len(report.coefficients)} architectures do not go into one "
            "file; name a directory"
        )
    written = []
    for arch, item in report.coefficients.items():
        target = path if path.suffix == ".json" else path / f"{arch}.json"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            save(item, target)
        except OSError as error:
            raise ProfileError(f"{target}: cannot be written: {error.strerror}") from error
        written.append(target)
    return tuple(written)


def _keep_unseen(fitted: Coefficients, start: Coefficients | None) -> Coefficients:
    """Take over the families without rows from the coefficients started from.

    Those with rows cover what the old ones covered, too.
    """
    if start is None:
        return fitted
    families = {
        name: _widened(fit, start.families[name]) if name in start.families else fit
        for name, fit in fitted.families.items()
    }
    return replace(fitted, families=families)


def _widened(fitted: FamilyFit, start: FamilyFit) -> FamilyFit:
    if not fitted.rows:
        return start
    low, high = dict(start.low), dict(start.high)
    for name, amount in fitted.low.items():
        low[name] = min(low.get(name, amount), amount)
        high[name] = max(high.get(name, amount), fitted.high[name])
    return replace(fitted, low=low, high=high)


def _coefficients(
    arch: str,
    fitted: Mapping[str, _Fitted],
    scores: Sequence[ClassScore],
    observations: Sequence[Observation],
    ttnn_version: str,
    known: _Known,
) -> Coefficients:
    elsewhere = sorted(scores, key=lambda item: (item.arch == arch, item.error_log))
    errors = {item.family: item.error_log for item in elsewhere}
    own = [item for item in observations if item.arch == arch]
    families = {
        family: _family_fit(item, arch, errors.get(family, ORDINARY_ERROR), known[arch][family])
        for family, item in fitted.items()
    }
    return Coefficients(
        arch=arch,
        clock_ghz=CLOCK_GHZ[arch],
        ttnn_version=ttnn_version or _releases(item.release for item in own),
        families=families,
        sources=tuple(sorted({item.origin for item in own})),
    )


def _releases(found: Iterable[str]) -> str:
    """Return the range of releases, months of reports before versions; a sweep's is not known."""
    releases = sorted({*found} - {"sweep"}, key=lambda name: ("." in name, name)) or ["sweep"]
    return " to ".join(dict.fromkeys((releases[0], releases[-1])))


def _family_fit(item: _Fitted, arch: str, error: float, known: Mapping[str, Shares]) -> FamilyFit:
    samples = item.samples[arch]
    values = {name: float(f"{value:.6g}") for name, value in item.values[arch].items()}
    groups = len({sample.group for sample in samples})
    releases = _releases(sample.release for sample in samples) if samples else ""
    low, high = bounds_of(item.samples)
    return FamilyFit(
        values=values,
        error=float(f"{error:.4g}"),
        rows=len(samples),
        distinct=groups,
        factor=item.factors[arch],
        releases=releases,
        low=low,
        high=high,
        provenance={
            name: {
                source: round(share, 3) for source, share in own.items() if share >= _LEAST_SHARE
            }
            for name, own in known.items()
        },
    )


_LEAST_SHARE = 0.0005


def _transfers(families: Mapping[str, Families]) -> tuple[TransferScore, ...]:
    found = []
    convolutions = {
        arch: [one for one in own.get("conv2d", ()) if one.source is Source.SILICON]
        for arch, own in families.items()
    }
    for source, own in convolutions.items():
        for target, others in convolutions.items():
            if source != target and own and others:
                theirs = {name: prior.on(source) for name, prior in PRIORS["conv2d"].items()}
                values = fit(own, theirs)
                moved = {
                    name: replace(prior, value=values[name]).on(target, source)
                    for name, prior in theirs.items()
                }
                errors = transfer_errors(others, moved, TRANSFER_COEFFICIENTS)
                found.append(
                    TransferScore(source, target, float(np.median(np.abs(np.expm1(errors)))))
                )
    return tuple(found)
