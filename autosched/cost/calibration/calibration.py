"""Calibrates the device model on profiles of real cards.

Each family of formulas is fitted per architecture (see :mod:`autosched.cost.calibration.fitting`)
and judged by cross-validation that holds out whole layers. Coefficients that an architecture's rows
do not exercise, and families of which it has almost no rows, take the other architecture's fit as
their prior: cycle counts of the same kernels are alike.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autosched.boards import CLOCK_GHZ
from autosched.cost.calibration.fitting import Families, Sample, fit, samples_of
from autosched.cost.calibration.scores import (
    ClassScore,
    HeldOutScore,
    cross_validate,
    held_out_scores,
    score,
    transfer_errors,
)
from autosched.cost.coefficients import Coefficients, FamilyFit, load, save, shipped_path
from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import ORDINARY_ERROR, Prior, all_quantities
from autosched.cost.profiles.profile import Profile, UnknownOp, read_profile
from autosched.errors import ProfileError

FEW_SAMPLES = 5
"""Below this many distinct rows a family borrows all of the other architecture's fit."""

POOLED = frozenset({"conv2d", "halo"})
"""Families whose kernels cost alike on all architectures, so that each starts from the other."""

LEANS: Mapping[str, float] = {"conv2d": 0.2, "halo": 0.2, "matmul": 0.5}
"""How much closer an architecture with fewer profiled layers is held to the other's fit."""

TRANSFER_COEFFICIENTS = ("read_kib", "weight_kib")
"""What differs most between architectures: bytes a cycle over the network and from DRAM."""


@dataclass(frozen=True)
class TransferScore:
    """Convolution errors with another architecture's coefficients (clock and two refitted)."""

    source: str
    target: str
    median_error: float


@dataclass(frozen=True)
class CalibrationReport:
    """Fitted coefficients by architecture, and how good they are on held-out layers."""

    coefficients: Mapping[str, Coefficients]
    scores: tuple[ClassScore, ...]
    transfers: tuple[TransferScore, ...]
    held_out: tuple[HeldOutScore, ...]
    unknown: Mapping[str, tuple[UnknownOp, ...]]

    def to_plain(self) -> dict[str, Any]:
        """Return the scores as JSON types."""
        return {
            "versions": {arch: item.version for arch, item in self.coefficients.items()},
            "scores": [asdict(item) for item in self.scores],
            "transfers": [asdict(item) for item in self.transfers],
            "held_out": [asdict(item) for item in self.held_out],
            "unknown": {
                path: [asdict(op) for op in ops] for path, ops in self.unknown.items() if ops
            },
        }


def fit_coefficients(
    paths: Sequence[Path | str],
    ttnn_version: str = "",
    start: Mapping[str, Coefficients] | None = None,
    arch: str | None = None,
) -> CalibrationReport:
    """Fit and judge coefficients on profiles, one set per architecture found.

    Args:
        paths: profiler reports or the flat sweeps.
        ttnn_version: release of ttnn the profiles were made with; by default the reports'
            generations stand for it.
        start: coefficients by architecture to start from, for a profile of one's own card: they
            serve as priors, and families without rows keep them. By default the priors of
            :mod:`autosched.cost.ops.families`, which is how the shipped coefficients are made.
        arch: architecture of reports that do not show their own.

    Raises:
        ProfileError: if there is no path, or one is no usable profile.
    """
    if not paths:
        raise ProfileError("no profile to calibrate on; name at least one ops_perf_results CSV")
    profiles = [read_profile(path, arch) for path in paths]
    samples = {arch: samples_of(profiles, arch) for arch in _archs(profiles)}
    start = start or {}
    fitted = {arch: _fit_all(samples, arch, start.get(arch)) for arch in samples}
    scores = tuple(item for arch in samples for item in _scores(arch, samples[arch], fitted[arch]))
    coefficients = {
        arch: _keep_unseen(
            _coefficients(arch, fitted[arch], samples[arch], scores, profiles, ttnn_version),
            start.get(arch),
        )
        for arch in samples
    }
    return CalibrationReport(
        coefficients=coefficients,
        scores=scores,
        transfers=_transfers(samples),
        held_out=tuple(held_out_scores(profiles, _fit_values)),
        unknown={str(profile.path): profile.unknown for profile in profiles},
    )


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


def _archs(profiles: Sequence[Profile]) -> tuple[str, ...]:
    return tuple(sorted({profile.arch for profile in profiles}))


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


def _started(
    family: str, priors: Mapping[str, Prior], start: Coefficients | None
) -> Mapping[str, Prior]:
    if start is None or family not in start.families:
        return priors
    values = start.families[family].values
    return {name: replace(prior, value=values[name]) for name, prior in priors.items()}


def _fit_values(samples: Mapping[str, Families], arch: str) -> Mapping[str, Mapping[str, float]]:
    """Return the coefficients of all families that there are samples of, from the plain priors."""
    present = sorted({family for families in samples.values() for family in families})
    fitted = _fit_all(samples, arch, None, present)
    return {family: values for family, (values, _) in fitted.items()}


def _fit_all(
    samples: Mapping[str, Families],
    arch: str,
    start: Coefficients | None,
    families: Iterable[str] = PRIORS,
) -> dict[str, tuple[dict[str, float], Mapping[str, Prior]]]:
    """Return (values, priors used) of every family for one architecture."""
    fitted = {}
    other = next((name for name in samples if name != arch), arch)
    for family in families:
        plain = PRIORS[family]
        own = samples[arch].get(family, ())
        others = samples[other].get(family, ()) if other != arch else ()
        leaning = family in LEANS and _layers(others) > _layers(own)
        learned = len(own) >= FEW_SAMPLES and not leaning and family not in POOLED
        priors = _borrowed(
            _exercised(own) if learned else set(),
            others,
            _started(family, {n: p.on(arch) for n, p in plain.items()}, start),
            arch,
            other,
        )
        if leaning:
            priors = _lean(priors, LEANS[family])
        fitted[family] = (fit(own, priors), priors)
    return fitted


def _borrowed(
    exercised: set[str],
    others: Sequence[Sample],
    priors: Mapping[str, Prior],
    arch: str,
    other: str,
) -> Mapping[str, Prior]:
    """Take what the own rows do not exercise from the other architecture's fit."""
    if not others:
        return priors
    theirs = {name: prior.on(other, arch) for name, prior in priors.items()}
    values = fit(others, theirs)
    return {
        name: prior
        if name in exercised
        else replace(theirs[name], value=values[name]).on(arch, other)
        for name, prior in priors.items()
    }


def _layers(samples: Sequence[Sample]) -> int:
    return len({sample.group for sample in samples})


def _lean(priors: Mapping[str, Prior], leaning: float) -> Mapping[str, Prior]:
    """Hold all but the coefficients that tell architectures apart close to the other's fit."""
    return {
        name: prior
        if name in TRANSFER_COEFFICIENTS
        else replace(prior, spread=leaning * prior.spread)
        for name, prior in priors.items()
    }


def _exercised(samples: Sequence[Sample]) -> set[str]:
    """Return the coefficients that matter for any of the samples."""
    costs = {name for item in samples for name, n in all_quantities(item.work).items() if n > 0}
    shares = {name for item in samples for stage in item.work.stages for name in stage.overlaps}
    return costs | shares


def _scores(
    arch: str,
    samples: Families,
    fitted: Mapping[str, tuple[dict[str, float], Mapping[str, Prior]]],
) -> Iterator[ClassScore]:
    """Cross-validate every family that the architecture has rows of."""
    for family, (_, priors) in fitted.items():
        rows = samples.get(family, ())
        if rows:
            yield score(arch, family, rows, cross_validate(rows, priors), CLOCK_GHZ[arch])


def _coefficients(
    arch: str,
    fitted: Mapping[str, tuple[dict[str, float], Mapping[str, Prior]]],
    samples: Families,
    scores: Sequence[ClassScore],
    profiles: Sequence[Profile],
    ttnn_version: str,
) -> Coefficients:
    errors = {item.family: item.error_log for item in scores if item.arch == arch}
    own = [profile for profile in profiles if profile.arch == arch]
    releases = sorted({profile.release for profile in own} - {"sweep"}) or ["sweep"]
    families = {
        family: _family_fit(values, samples.get(family, ()), errors.get(family, ORDINARY_ERROR))
        for family, (values, _) in fitted.items()
    }
    return Coefficients(
        arch=arch,
        clock_ghz=CLOCK_GHZ[arch],
        ttnn_version=ttnn_version or " to ".join(dict.fromkeys((releases[0], releases[-1]))),
        families=families,
        sources=tuple(profile.path.name for profile in own),
    )


def _family_fit(values: dict[str, float], samples: Sequence[Sample], error: float) -> FamilyFit:
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for sample in samples:
        for name, amount in all_quantities(sample.work).items():
            if amount > 0:
                low[name] = min(low.get(name, amount), amount)
                high[name] = max(high.get(name, amount), amount)
    rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
    groups = len({sample.group for sample in samples})
    return FamilyFit(rounded, float(f"{error:.4g}"), len(samples), groups, low, high)


def _transfers(samples: Mapping[str, Families]) -> tuple[TransferScore, ...]:
    found = []
    for source in samples:
        for target in samples:
            pair = samples[source].get("conv2d", ()), samples[target].get("conv2d", ())
            if source != target and all(pair):
                theirs = {name: prior.on(source) for name, prior in PRIORS["conv2d"].items()}
                values = fit(pair[0], theirs)
                moved = {
                    name: replace(prior, value=values[name]).on(target, source)
                    for name, prior in theirs.items()
                }
                errors = transfer_errors(pair[1], moved, TRANSFER_COEFFICIENTS)
                relative = sorted(abs(error) for error in errors)
                found.append(TransferScore(source, target, float(relative[len(relative) // 2])))
    return tuple(found)
