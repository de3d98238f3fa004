"""Whether predicted standard errors cover real ones where the calibration data does not reach.

A region of the data is held out whole: narrow sticks, large images, kernels of a release, a family
on one architecture. The rest is fitted as if nothing of the region had been timed, and two
predicted standard errors must cover most of the errors there: 19 of 20 of normally distributed
ones. What is judged are rows of profiles and single figures, not ratios.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autosched.cost.calibration.certainty import bounds_of, doubts, factors
from autosched.cost.calibration.fitting import Array, Families, Priors, Sample, fit_together
from autosched.cost.calibration.observations import Source
from autosched.cost.calibration.scores import PriorsOf, errors_of, score
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.halo import HaloOp
from autosched.cost.ops.work import ORDINARY_ERROR
from autosched.cost.uncertainty import REACH, reach
from autosched.schedule.tensors import ShardLayout

COVERED = 2.0
"""Standard errors that are to cover the errors."""


@dataclass(frozen=True)
class Region:
    """A part of the data: which ops are in it; on one architecture alone, or on all of them."""

    name: str
    holds: Callable[[Sample], bool]
    on_one: bool = False


@dataclass(frozen=True)
class CoverageScore:
    """How two standard errors cover a region's errors on one architecture.

    ``stderr_log`` and ``error_log`` are medians: of the predicted standard error, and of the
    magnitude of the real error of log time.
    """

    region: str
    arch: str
    rows: int
    covered: float
    stderr_log: float
    error_log: float


def _is_convolution(sample: Sample, holds: Callable[[Conv2dOp], bool]) -> bool:
    return isinstance(sample.record, Conv2dOp) and holds(sample.record)


def _has_narrow_sticks(sample: Sample) -> bool:
    is_halo = isinstance(sample.record, HaloOp) and sample.record.stick_bytes <= 32
    return is_halo or _is_convolution(sample, lambda op: op.in_channels <= 16)


def _is_large(sample: Sample) -> bool:
    is_halo = isinstance(sample.record, HaloOp) and sample.record.out_sticks > 1500
    return is_halo or _is_convolution(sample, lambda op: op.input_hw[0] * op.input_hw[1] >= 128**2)


def _of(family: str) -> Region:
    return Region(f"{family}, on one architecture", lambda it: it.work.family == family, True)


_EARLIER, _LATER = ("2024-10", "2025-09"), ("2025-02", "2025-12")

REGIONS = (
    Region("few channels", _has_narrow_sticks),
    Region("large images", _is_large),
    Region(
        "512 channels and more", lambda it: _is_convolution(it, lambda op: op.in_channels > 511)
    ),
    Region("strides", lambda it: _is_convolution(it, lambda op: op.stride_hw != (1, 1))),
    Region(
        "BLOCK and WIDTH shards",
        lambda it: _is_convolution(it, lambda op: op.layout is not ShardLayout.HEIGHT),
    ),
    Region("earlier kernels", lambda it: it.release in _EARLIER),
    Region("later kernels", lambda it: it.release in _LATER),
    Region("CLIP", lambda it: "clip" in it.origin),
    Region("single figures", lambda it: it.source is Source.POINT),
    *(_of(family) for family in ("conv2d", "halo", "matmul", "binary", "move")),
)


def coverage_scores(
    families: Mapping[str, Families],
    priors_of: PriorsOf,
    crossed: Mapping[str, Mapping[str, Array] | None],
) -> Iterator[CoverageScore]:
    """Hold out every region in turn, and predict it from the rest.

    Args:
        families: samples by architecture and family.
        priors_of: priors of a family.
        crossed: errors of a family's samples, each predicted without its layer; what is outside a
            region says how far the formulas miss at best.
    """
    names = sorted({name for own in families.values() for name in own})
    for region in REGIONS:
        for held in families if region.on_one else [None]:
            found: dict[str, list[Array]] = {}
            for name in names:
                samples = {arch: own.get(name, ()) for arch, own in families.items()}
                outside = {
                    arch: np.array(
                        [held not in (None, arch) or not region.holds(item) for item in own], bool
                    )
                    for arch, own in samples.items()
                }
                if any(_judged(samples[arch], kept).any() for arch, kept in outside.items()):
                    rows = _predicted(samples, outside, priors_of(name), crossed[name])
                    for arch, own_rows in rows:
                        found.setdefault(arch, []).append(own_rows)
            for arch, parts in found.items():
                yield _score(region.name, arch, np.concatenate(parts))


def _judged(samples: Sequence[Sample], outside: Array) -> Array:
    """Return which samples are judged: those of the region that tell a time."""
    told = [not it.bundle and it.source is not Source.SIMULATED for it in samples]
    found: Array = np.array(told, bool) & ~outside
    return found


def _predicted(
    samples: Mapping[str, Sequence[Sample]],
    outside: Mapping[str, Array],
    priors: Priors,
    crossed: Mapping[str, Array] | None,
) -> Iterator[tuple[str, Array]]:
    """Yield, by architecture, rows of errors and of predicted standard errors of log time."""
    rest = {
        arch: [it for it, keep in zip(own, outside[arch], strict=True) if keep]
        for arch, own in samples.items()
    }
    values = fit_together(rest, priors)
    known = factors(rest, priors, values)
    bounds = bounds_of(rest)
    misfits = _misfits(rest, outside, crossed)
    for arch, own in samples.items():
        held = [it for it, keep in zip(own, _judged(own, outside[arch]), strict=True) if keep]
        if held:
            misfit = misfits.get(arch, max(misfits.values(), default=ORDINARY_ERROR))
            known_of = doubts(held, values[arch], known[arch]) if known[arch] else ORDINARY_ERROR
            beyond = REACH * np.array([reach(it.work, *bounds) for it in held])
            stderr = np.sqrt(misfit**2 + np.square(known_of) + beyond**2)
            own_errors = errors_of(held, values[arch])
            yield arch, np.column_stack([own_errors, np.broadcast_to(stderr, len(held))])


def _misfits(
    rest: Mapping[str, Sequence[Sample]],
    outside: Mapping[str, Array],
    crossed: Mapping[str, Array] | None,
) -> dict[str, float]:
    """Return the standard errors of the architectures that rows of profiles are left of."""
    found = {}
    for arch, own in rest.items():
        rows = [place for place, it in enumerate(own) if it.source is Source.SILICON]
        if rows:
            errors = None if crossed is None else crossed[arch][outside[arch]][rows]
            found[arch] = score(arch, "", [own[row] for row in rows], errors).error_log
    return found


def _score(region: str, arch: str, rows: Array) -> CoverageScore:
    errors, stderrs = np.abs(rows[:, 0]), rows[:, 1]
    return CoverageScore(
        region=region,
        arch=arch,
        rows=len(rows),
        covered=float(np.mean(errors <= COVERED * stderrs)),
        stderr_log=float(np.median(stderrs)),
        error_log=float(np.median(errors)),
    )


def share_covered(scores: Sequence[CoverageScore], arch: str | None = None) -> float | None:
    """Return the share of all regions' rows that are covered, of one architecture or of all."""
    own = [item for item in scores if arch in (None, item.arch)]
    rows = sum(item.rows for item in own)
    return sum(item.rows * item.covered for item in own) / rows if rows else None
