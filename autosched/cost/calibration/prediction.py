"""Prediction against measurement, op by op, for a profile."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from scipy.stats import spearmanr

from autosched.cost.model import CostModel, spending
from autosched.cost.ops.families import work_of
from autosched.cost.profiles.profile import ProfileRow, UnknownOp, read_profile


@dataclass(frozen=True)
class PredictedRow:
    """One op of a profile; ``stderr_log`` is the standard error of log time.

    ``known`` is false where the prediction is a guess from the op's bytes, ``extrapolates`` true
    where the op lies far outside the calibration data. The rest is of
    :class:`autosched.cost.model.Prediction`, times in microseconds.
    """

    op: str
    op_class: str
    line: int
    measured_ns: float
    predicted_ns: float
    stderr_log: float
    known: bool
    extrapolates: bool
    split_us: Mapping[str, float] = field(default_factory=dict)
    utilisation: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, float] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Relative error, negative where the prediction is too low."""
        return self.predicted_ns / self.measured_ns - 1.0


@dataclass(frozen=True)
class ClassSummary:
    """Errors of one class of ops (or of all, ``total``); errors are relative.

    ``outside`` is the share of rows far outside the calibration data or guessed. ``split_us`` is
    the predicted time by resource; ``provenance`` says by source, weighted by time, from where what
    the predictions rest on is known.
    """

    rows: int
    measured_ns: float
    predicted_ns: float
    median_error: float
    p90_error: float
    spearman: float | None
    outside: float
    split_us: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictReport:
    """All rows of a profile with their predictions, summed up per class of ops.

    ``untimed`` counts device ops without a duration, ``devices`` the cards the rows come from.
    """

    path: str
    arch: str
    cost_model: str
    rows: tuple[PredictedRow, ...]
    summary: dict[str, ClassSummary]
    unknown: tuple[UnknownOp, ...]
    untimed: int = 0
    devices: int = 1

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types: ``rows`` and ``summary`` with what identifies the prediction."""
        return {
            "path": self.path,
            "arch": self.arch,
            "cost_model": self.cost_model,
            "rows": [asdict(row) for row in self.rows],
            "summary": {name: asdict(item) for name, item in self.summary.items()},
            "unknown": [asdict(item) for item in self.unknown],
            "untimed": self.untimed,
            "devices": self.devices,
        }


def predict_profile(
    path: Path | str,
    model: CostModel | None = None,
    arch: str | None = None,
    ttnn_version: str = "",
) -> PredictReport:
    """Predict every op of a profile.

    Args:
        path: a profiler report or a flat sweep.
        model: coefficients to use; by default the shipped ones of the profile's architecture.
        arch: architecture of a report that does not show its own.
        ttnn_version: release of ttnn that ran, whose kernels are predicted; a report does not show
            it, and without it kernels are taken to be older than 0.81's.

    Raises:
        ProfileError: if the file is no usable profile.
    """
    profile = read_profile(path, arch, ttnn_version)
    model = model or CostModel.load(profile.arch)
    rows = tuple(_predict(model, row) for row in profile.rows)
    classes: dict[str, list[PredictedRow]] = defaultdict(list)
    for row in rows:
        classes[row.op_class].append(row)
    summary = {name: _summary(classes[name]) for name in sorted(classes)}
    summary["total"] = _summary(rows)
    return PredictReport(
        path=str(path),
        arch=profile.arch,
        cost_model=model.version,
        rows=rows,
        summary=summary,
        unknown=profile.unknown,
        untimed=profile.untimed,
        devices=profile.devices,
    )


def _predict(model: CostModel, row: ProfileRow) -> PredictedRow:
    found = model.predict_features(row.features, known=not row.problem)
    return PredictedRow(
        op=row.op.code,
        op_class=work_of(row.features).family,
        line=row.line,
        measured_ns=row.measured_ns,
        predicted_ns=found.time_ns,
        stderr_log=found.stderr_log,
        known=found.known,
        extrapolates=found.extrapolates,
        split_us=spending([found]).split_us,
        utilisation=found.utilisation,
        provenance=found.provenance,
    )


def _summary(rows: Sequence[PredictedRow]) -> ClassSummary:
    errors = [abs(row.error) for row in rows]
    distinct = len({round(row.measured_ns) for row in rows}) > 2
    rank = (
        float(spearmanr([r.measured_ns for r in rows], [r.predicted_ns for r in rows])[0])
        if distinct and len({round(row.predicted_ns) for row in rows}) > 2
        else None
    )
    return ClassSummary(
        rows=len(rows),
        measured_ns=sum(row.measured_ns for row in rows),
        predicted_ns=sum(row.predicted_ns for row in rows),
        median_error=median(errors),
        p90_error=quantiles(errors, n=10)[-1] if len(errors) > 1 else errors[0],
        spearman=rank,
        outside=sum(row.extrapolates for row in rows) / len(rows),
        split_us=_summed((row.split_us, 1.0) for row in rows),
        provenance=_shares((row.provenance, row.predicted_ns) for row in rows),
    )


def _summed(parts: Iterable[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    """Return weighted sums by name, the largest first."""
    found: dict[str, float] = defaultdict(float)
    for part, weight in parts:
        for name, amount in part.items():
            found[name] += weight * amount
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _shares(parts: Iterable[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    found = _summed(parts)
    total = sum(found.values())
    return {name: amount / total for name, amount in found.items()} if total else {}
