"""Predicted kernel times of device ops."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import hypot, inf, log, sqrt
from pathlib import Path

from autosched.boards import CLOCK_GHZ
from autosched.cost.coefficients import (
    Coefficients,
    FamilyFit,
    from_priors,
    load,
    reach,
    shipped_path,
)
from autosched.cost.ops.families import is_known, read_features, work_of
from autosched.cost.ops.host import HOST_TRANSFER
from autosched.cost.ops.work import (
    ORDINARY_ERROR,
    Record,
    all_quantities,
    cycles_of,
    terms_of,
)
from autosched.errors import ProfileError
from autosched.schedule.outcomes import DeviceOp

ERROR_PER_DISTANCE = 0.15
"""Standard error added per factor e that an op's quantities lie outside the calibration data."""

FAR = log(2.0)
"""Beyond this distance, a factor of two outside the calibration data, a prediction extrapolates."""

COMMON = 0.5
"""Share of the variance of a class of ops that all of its ops have in common.

What networks held out of the calibration show: a quarter to a half of a class's squared error is
its mean's.
"""

UNKNOWN_ERROR = 1.0
"""Standard error, in log time, of an op without formulas: a factor of e either way."""

REMEMBERED_OPS = 1 << 16
"""Distinct ops whose times a model remembers; a network of a hundred layers has some 20,000."""


@dataclass(frozen=True)
class Prediction:
    """A predicted time.

    ``stderr_log`` is the standard error of log time; ``known`` is false for ops without formulas
    of their own, whose time is a generous guess from their bytes. ``terms`` are nanoseconds by
    coefficient and sum up to ``time_ns``. ``reach`` is how far the op lies outside what the
    coefficients were fitted on, as the logarithm of a factor; infinite if they were fitted on none
    of its kind.
    """

    time_ns: float
    stderr_log: float
    known: bool
    terms: Mapping[str, float]
    reach: float = 0.0

    @property
    def extrapolates(self) -> bool:
        """Whether the op lies far outside the calibration data."""
        return self.reach > FAR


class CostModel:
    """The device model of one architecture; safe to share, and fast for ops seen before."""

    def __init__(self, coefficients: Coefficients) -> None:
        self.coefficients = coefficients
        transfers = {HOST_TRANSFER: transfer_fit(coefficients.clock_ghz)}
        self._families = {**coefficients.families, **transfers}
        remembering = lru_cache(maxsize=REMEMBERED_OPS)
        self._judged = remembering(self._judge)
        self._judged_features = remembering(self._judge_features)

    @classmethod
    def load(cls, arch: str, path: Path | str | None = None) -> "CostModel":
        """Load coefficients: the shipped ones of ``arch``, or those of a file.

        Raises:
            ProfileError: if the architecture is unknown, or the file unusable or for another one.
        """
        if arch not in CLOCK_GHZ:
            known = ", ".join(CLOCK_GHZ)
            raise ProfileError(f"no cost model for architecture {arch!r}; there are {known}")
        shipped = shipped_path(arch)
        if path is None and not shipped.exists():
            return cls(from_priors(arch, CLOCK_GHZ[arch]))
        coefficients = load(shipped if path is None else path)
        if coefficients.arch != arch:
            raise ProfileError(
                f"{path}: coefficients for {coefficients.arch}, not {arch}; "
                "calibrate with a profile of this architecture"
            )
        return cls(coefficients)

    @property
    def version(self) -> str:
        """Name of the coefficients, such as ``wormhole_b0-1-ab12cd``."""
        return self.coefficients.version

    @property
    def remembered(self) -> int:
        """Number of distinct ops whose times are at hand."""
        return self._judged.cache_info().currsize

    def predict(self, op: DeviceOp) -> Prediction:
        """Predict one op with its uncertainty and terms."""
        return self.predict_features(read_features(_untimed(op)), is_known(op))

    def predict_features(self, features: Record, known: bool = True) -> Prediction:
        """Predict from typed features."""
        work = work_of(features)
        fit = self._families[work.family]
        scale = 1.0 / self.coefficients.clock_ghz
        distance = reach(all_quantities(work), fit) if fit.rows and known else inf
        return Prediction(
            time_ns=cycles_of(work, fit.values) * scale,
            stderr_log=_stderr(distance, fit) if known else UNKNOWN_ERROR,
            known=known,
            terms={name: cycles * scale for name, cycles in terms_of(work, fit.values).items()},
            reach=distance,
        )

    def estimate(self, ops: Iterable[DeviceOp]) -> tuple[DeviceOp, ...]:
        """Return the ops with ``time_ns`` filled in."""
        return tuple(_timed(op, self.time_ns(op)) for op in ops)

    def time_ns(self, op: DeviceOp) -> float:
        """Return the predicted time alone; of equal ops it is computed once."""
        return self._judged(_untimed(op)).time_ns

    def stderr_log(self, ops: Iterable[DeviceOp]) -> float:
        """Return the standard error of the log of the ops' summed time, their errors independent.

        A long op counts more: it is the relative error of the sum.
        """
        total, variance = 0.0, 0.0
        for op in ops:
            judged = self._judged(_untimed(op))
            total += judged.time_ns
            variance += (judged.time_ns * judged.stderr_log) ** 2
        return sqrt(variance) / total if total else 0.0

    def total_std_error(self, ops: Iterable[DeviceOp]) -> float:
        """Return the standard error of the log of the ops' summed time, for a whole network.

        Errors of one class of ops are alike (``COMMON``), so they do not average out as those of
        :meth:`stderr_log` do; those of different classes are independent.
        """
        total, single = 0.0, 0.0
        by_family: dict[str, float] = {}
        for op in ops:
            judged = self._judged(_untimed(op))
            error_ns = judged.time_ns * judged.stderr_log
            total += judged.time_ns
            single += error_ns**2
            by_family[judged.family] = by_family.get(judged.family, 0.0) + error_ns
        common = sum(error**2 for error in by_family.values())
        return sqrt(COMMON * common + (1.0 - COMMON) * single) / total if total else 0.0

    def outside_share(self, ops: Iterable[DeviceOp]) -> float:
        """Return the share of the ops' summed time that lies far outside the calibration data."""
        total, outside = 0.0, 0.0
        for op in ops:
            prediction = self.predict(op)
            total += prediction.time_ns
            outside += prediction.time_ns * prediction.extrapolates
        return outside / total if total else 0.0

    def _judge(self, op: DeviceOp) -> "_Judged":
        return self._judged_features(read_features(op), is_known(op))

    def _judge_features(self, features: Record, known: bool) -> "_Judged":
        found = self.predict_features(features, known)
        return _Judged(found.time_ns, found.stderr_log, work_of(features).family)


@dataclass(frozen=True)
class _Judged:
    """What is remembered of an op: its time, the standard error of its log, and its family."""

    time_ns: float
    stderr_log: float
    family: str


def _timed(op: DeviceOp, time_ns: float) -> DeviceOp:
    return _changed(op, time_ns=time_ns)


def _untimed(op: DeviceOp) -> DeviceOp:
    """Drop what does not matter for the features, so that equal work is read once."""
    return _changed(op, time_ns=None, layer="") if op.time_ns is not None or op.layer else op


def _changed(op: DeviceOp, **fields: float | str | None) -> DeviceOp:
    """Return a changed copy, without the checks of ``dataclasses.replace``: it is called often."""
    copy = object.__new__(DeviceOp)
    copy.__dict__.update(op.__dict__, **fields)
    return copy


def _stderr(distance: float, fit: FamilyFit) -> float:
    if distance == inf:
        return hypot(ORDINARY_ERROR, fit.error)
    return hypot(fit.error, ERROR_PER_DISTANCE * distance)


_PAYLOAD = 0.8
_START_NS = 20_000.0
_ERROR = 1.0  # of log time: a factor of e either way


def transfer_fit(clock_ghz: float) -> FamilyFit:
    """Return the coefficients of transfers, which no calibration changes."""
    values = {"start": _START_NS * clock_ghz, "link_ns": clock_ghz / _PAYLOAD}
    return FamilyFit(values, _ERROR)
