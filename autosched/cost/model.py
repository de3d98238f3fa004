"""Predicted kernel times of device ops."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import hypot, inf, sqrt
from pathlib import Path

import numpy as np

from autosched.boards import CLOCK_GHZ
from autosched.cost.coefficients import (
    Coefficients,
    FamilyFit,
    from_priors,
    load,
    shipped_path,
)
from autosched.cost.ops.families import RESOURCES, is_known, read_features, work_of
from autosched.cost.ops.host import HOST_TRANSFER
from autosched.cost.ops.work import (
    ORDINARY_ERROR,
    PEAKS,
    Engine,
    Record,
    Resource,
    cycles_of,
    terms_of,
)
from autosched.cost.uncertainty import (
    COMMON,
    OF_A_LAYER,
    Doubt,
    Family,
    Part,
    chance_below_zero,
    variance_ns,
)
from autosched.errors import ProfileError
from autosched.schedule.outcomes import DeviceOp

FAR = 1.0
"""What coefficients leave open of an op lies far outside beyond so many of its family's misfits."""

UNKNOWN_ERROR = 1.0
"""Standard error, in log time, of an op without formulas: a factor of e either way."""

REMEMBERED_OPS = 1 << 16
"""Distinct ops whose times a model remembers; a network of a hundred layers has some 20,000."""


@dataclass(frozen=True)
class Prediction:
    """A predicted time.

    ``stderr_log`` is the standard error of log time; ``known`` is false for ops without formulas
    of their own, whose time is a generous guess from their bytes. ``terms`` are nanoseconds by
    coefficient and sum up to ``time_ns``. ``outside`` is how far the op lies outside what the
    coefficients were fitted on: the part of the standard error that they leave open, in misfits of
    its family's formulas; infinite if they were fitted on none of its kind. ``split`` are the terms
    by resource (:class:`ops.work.Resource`). ``utilisation`` is by engine
    (:class:`ops.work.Engine`) the share of the time that it would need at its peak.
    ``provenance`` is from where its terms are known, by source, weighted by their time.
    """

    time_ns: float
    stderr_log: float
    known: bool
    terms: Mapping[str, float]
    outside: float = 0.0
    split: Mapping[str, float] = field(default_factory=dict)
    utilisation: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, float] = field(default_factory=dict)

    @property
    def extrapolates(self) -> bool:
        """Whether the op lies far outside the calibration data."""
        return self.outside > FAR


@dataclass(frozen=True)
class Spending:
    """What the estimated time of some ops goes to, and how much of it each engine is needed.

    Microseconds by resource, the longest first, and shares by engine; see :class:`Prediction`.
    """

    split_us: Mapping[str, float]
    utilisation: Mapping[str, float]

    @property
    def limit(self) -> str:
        """What takes most of the time with its share, such as "reader 62 %"; "" of no time."""
        total = sum(self.split_us.values())
        name, time_us = next(iter(self.split_us.items()), ("", 0.0))
        return f"{name} {100 * time_us / total:.0f} %" if total else ""

    def columns(self) -> dict[str, str]:
        """Return it as columns of a profiler report."""
        split = {one: 1e3 * self.split_us.get(one, 0.0) for one in Resource}
        busy = {one: self.utilisation.get(one, 0.0) for one in Engine}
        return {
            "LIMITED BY": self.limit,
            **{f"{one.value.upper()} [ns]": f"{time_ns:.0f}" for one, time_ns in split.items()},
            **{f"{one.value.upper()} UTILISATION": f"{share:.3f}" for one, share in busy.items()},
        }


def spending(predictions: Iterable[Prediction]) -> Spending:
    """Return what several ops' times go to together."""
    split: dict[str, float] = {}
    busy: dict[str, float] = {}
    total = 0.0
    for found in predictions:
        total += found.time_ns
        for name, time_ns in found.split.items():
            split[name] = split.get(name, 0.0) + time_ns / 1e3
        for name, share in found.utilisation.items():
            busy[name] = busy.get(name, 0.0) + share * found.time_ns
    ordered = dict(sorted(split.items(), key=lambda item: -item[1]))
    return Spending(ordered, {name: part / total for name, part in busy.items()})


class CostModel:
    """The device model of one architecture; safe to share, and fast for ops seen before."""

    def __init__(self, coefficients: Coefficients) -> None:
        self.coefficients = coefficients
        transfers = {HOST_TRANSFER: transfer_fit(coefficients.clock_ghz)}
        fits = {**coefficients.families, **transfers}
        self._families = {name: Family(name, fit) for name, fit in fits.items()}
        remembering = lru_cache(maxsize=REMEMBERED_OPS)
        self._timed = remembering(self._time)
        self._timed_features = remembering(self._time_features)
        self._doubted = remembering(self._doubt)
        self._doubted_features = remembering(self._doubt_features)

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
        return self._timed.cache_info().currsize

    def predict(self, op: DeviceOp) -> Prediction:
        """Predict one op with its uncertainty and terms."""
        return self.predict_features(read_features(untimed(op)), is_known(op))

    def predict_features(self, features: Record, known: bool = True) -> Prediction:
        """Predict from typed features."""
        work = work_of(features)
        values = self._families[work.family].values
        scale = 1.0 / self.coefficients.clock_ghz
        doubt = self._doubted_features(features, known)
        known_from = self.coefficients.families.get(work.family)
        time_ns = self._timed_features(features)
        terms = {name: part * scale for name, part in terms_of(work, values).items()}
        peaks = PEAKS[self.coefficients.arch]
        return Prediction(
            time_ns=time_ns,
            stderr_log=doubt.stderr_log,
            known=known,
            terms=terms,
            outside=_outside(doubt),
            split=_split(work.family, terms),
            provenance={} if known_from is None else _provenance(terms, known_from),
            utilisation={
                engine.value: need * peaks[engine] * scale / time_ns
                for engine, need in work.needs.items()
            },
        )

    def estimate(self, ops: Iterable[DeviceOp]) -> tuple[DeviceOp, ...]:
        """Return the ops with ``time_ns`` filled in."""
        return tuple(_timed(op, self.time_ns(op)) for op in ops)

    def time_ns(self, op: DeviceOp) -> float:
        """Return the predicted time alone; of equal ops it is computed once."""
        return self._timed(untimed(op))

    def stderr_log(self, ops: Iterable[DeviceOp]) -> float:
        """Return the standard error of the log of the ops' summed time, their misfits independent.

        A long op counts more: it is the relative error of the sum.
        """
        return self._relative_error(ops, 0.0)

    def total_std_error(self, ops: Iterable[DeviceOp]) -> float:
        """Return the standard error of the log of the ops' summed time, for a whole network.

        Errors of one class of ops are alike (``COMMON``), so they do not average out as those of
        :meth:`stderr_log` do; those of different classes are independent.
        """
        return self._relative_error(ops, COMMON)

    def _relative_error(self, ops: Iterable[DeviceOp], common: float) -> float:
        parts = [self._part(op) for op in ops]
        total = sum(part.time_ns for part in parts)
        return sqrt(variance_ns(parts, common, 0.0)) / total if total else 0.0

    def probability_faster(self, ops: Iterable[DeviceOp], others: Iterable[DeviceOp]) -> float:
        """Return how likely it is that ops take less time than others, by this model's errors.

        What both have cancels. What is not known of coefficients that both lean on cancels as far
        as both do; of the misfits, a family has ``COMMON`` in common, and a layer ``OF_A_LAYER``.
        """
        counts = Counter(map(_placed, ops))
        counts.subtract(map(_placed, others))
        parts = [self._part(op, count) for op, count in counts.items() if count]
        mean = sum(part.time_ns for part in parts)
        return chance_below_zero(mean, variance_ns(parts, COMMON, OF_A_LAYER))

    def risk_ns(self, ops: Iterable[DeviceOp]) -> float:
        """Return what the coefficients leave open of each op's time, in nanoseconds, summed up.

        Misfits do not count: they are alike whatever is chosen. Of ops whose family was never
        fitted, or that have no formulas, the whole error does.
        """
        parts = (self._part(op) for op in ops)
        return sum(part.time_ns * _open_error(part.doubt) for part in parts)

    def outside_share(self, ops: Iterable[DeviceOp]) -> float:
        """Return the share of the ops' summed time that lies far outside the calibration data."""
        total, outside = 0.0, 0.0
        for op in ops:
            part = self._part(op)
            total += part.time_ns
            outside += part.time_ns * (_outside(part.doubt) > FAR)
        return outside / total if total else 0.0

    def _part(self, op: DeviceOp, count: int = 1) -> Part:
        plain = untimed(op)
        return Part(count * self._timed(plain), op.layer, self._doubted(plain))

    def _time(self, op: DeviceOp) -> float:
        return self._timed_features(read_features(op))

    def _time_features(self, features: Record) -> float:
        work = work_of(features)
        return cycles_of(work, self._families[work.family].values) / self.coefficients.clock_ghz

    def _doubt(self, op: DeviceOp) -> Doubt:
        return self._doubted_features(read_features(op), is_known(op))

    def _doubt_features(self, features: Record, known: bool) -> Doubt:
        work = work_of(features)
        family = self._families[work.family]
        if not known:
            return Doubt(work.family, UNKNOWN_ERROR, _NOTHING, inf)
        if not family.is_fitted:
            return Doubt(work.family, hypot(ORDINARY_ERROR, family.error), _NOTHING, inf)
        leaning = family.leaning(work, cycles_of(work, family.values))
        return Doubt(work.family, family.error, leaning, float(np.sqrt(leaning @ leaning)))


_NOTHING = np.zeros(0)


def _outside(doubt: Doubt) -> float:
    """Return what coefficients leave open of an op, in misfits of its family."""
    return doubt.from_coefficients / doubt.misfit


def _open_error(doubt: Doubt) -> float:
    return doubt.misfit if doubt.from_coefficients == inf else doubt.from_coefficients


def _timed(op: DeviceOp, time_ns: float) -> DeviceOp:
    return _changed(op, time_ns=time_ns)


def _placed(op: DeviceOp) -> DeviceOp:
    """Drop an op's time, not its layer."""
    return _changed(op, time_ns=None) if op.time_ns is not None else op


def untimed(op: DeviceOp) -> DeviceOp:
    """Drop what does not matter for the features, so that equal work is read once."""
    return _changed(op, time_ns=None, layer="") if op.time_ns is not None or op.layer else op


def _changed(op: DeviceOp, **fields: float | str | None) -> DeviceOp:
    """Return a changed copy, without the checks of ``dataclasses.replace``: it is called often."""
    copy = object.__new__(DeviceOp)
    copy.__dict__.update(op.__dict__, **fields)
    return copy


def _split(family: str, terms: Mapping[str, float]) -> dict[str, float]:
    """Return times by resource, the longest first."""
    found: dict[str, float] = {}
    for name, time_ns in terms.items():
        resource = RESOURCES[family][name].value
        found[resource] = found.get(resource, 0.0) + time_ns
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _provenance(terms: Mapping[str, float], fit: FamilyFit) -> dict[str, float]:
    """Return the shares of what is known by source; they sum up to one, or there are none."""
    found: dict[str, float] = {}
    for name, time_ns in terms.items():
        for source, share in fit.provenance.get(name, {}).items():
            found[source] = found.get(source, 0.0) + share * time_ns
    total = sum(found.values())
    return {source: part / total for source, part in found.items()} if total else {}


_PAYLOAD = 0.8
_START_NS = 20_000.0
_ERROR = 1.0  # of log time: a factor of e either way


def transfer_fit(clock_ghz: float) -> FamilyFit:
    """Return the coefficients of transfers, which no calibration changes."""
    values = {"start": _START_NS * clock_ghz, "link_ns": clock_ghz / _PAYLOAD}
    return FamilyFit(values, _ERROR)
