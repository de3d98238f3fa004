"""What changes between two versions of ttnn, or two calibrations, record by record.

The same question, of the same layer, configuration and layouts, may have been answered under both:
then the two answers are compared. What a card timed is compared as it was timed; everything else is
estimated, by the calibration of each side.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from autosched.cost.model import CostModel
from autosched.cost.model_choice import choose_cost_model, named_model
from autosched.errors import StudyError
from autosched.probing.probe_book import total_us
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection, TimeKind
from autosched.schedule.serialization import to_plain
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, ProbeKey, all_probes, stored_devices

NOTICED = 0.02
"""A time that differs by less of itself is called the same: two runs of a card differ by that."""


class Went(Enum):
    """How an answer changed; the value is what a person reads."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "the same"
    INVALID = "rejected now"
    VALID = "accepted now"
    REJECTED = "rejected by both"


@dataclass(frozen=True)
class DriftSide:
    """What is compared: probes of a device, estimated by a model; ``title`` is what was asked."""

    title: str
    device: DeviceKey
    cost: CostModel

    def to_plain(self) -> dict[str, str]:
        """Return JSON types."""
        return {
            "title": self.title,
            "ttnn_version": self.device.ttnn_version,
            "firmware": self.device.firmware,
            "cost_model": self.cost.version,
        }


@dataclass(frozen=True)
class Answered:
    """An answer: a time in microseconds with its kind, or a rejection."""

    time_us: float | None
    kind: TimeKind | None
    rejection: Rejection | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types."""
        if self.rejection is not None:
            return {"rejection": self.rejection.kind.value, "message": self.rejection.message}
        return {"time_us": self.time_us, "kind": self.kind and self.kind.value}


@dataclass(frozen=True)
class Drifted:
    """One question with its answers on both sides."""

    layer_signature: str
    config: LayerConfig
    before: Answered
    after: Answered

    @property
    def ratio(self) -> float | None:
        """The time after over the time before, None where either has none."""
        if self.before.time_us and self.after.time_us:
            return self.after.time_us / self.before.time_us
        return None

    @property
    def went(self) -> Went:
        """How the answer changed."""
        if self.before.rejection and self.after.rejection:
            return Went.REJECTED
        if self.after.rejection:
            return Went.INVALID
        if self.before.rejection:
            return Went.VALID
        ratio = self.ratio or 1.0
        if abs(ratio - 1.0) <= NOTICED:
            return Went.SAME
        return Went.SLOWER if ratio > 1.0 else Went.FASTER

    def to_plain(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "layer_signature": self.layer_signature,
            "configuration": to_plain(self.config),
            "went": self.went.value,
            "before": self.before.to_plain(),
            "after": self.after.to_plain(),
        }


@dataclass(frozen=True)
class Drift:
    """All that was answered on both sides, and how many questions on one of them alone.

    ``unreadable`` rows were written by another version of autosched.
    """

    before: DriftSide
    after: DriftSide
    records: tuple[Drifted, ...]
    only_before: int
    only_after: int
    unreadable: int = 0

    def of(self, went: Went) -> list[Drifted]:
        """Return the records that changed so, those that changed most first."""
        found = [record for record in self.records if record.went is went]
        return sorted(found, key=lambda record: -abs(math.log(record.ratio or 1.0)))

    @property
    def counts(self) -> dict[Went, int]:
        """How many records changed how."""
        found = dict.fromkeys(Went, 0)
        for record in self.records:
            found[record.went] += 1
        return found


def find_side(store: Store, title: str, today: DeviceKey, arch: str) -> DriftSide:
    """Return what a person means by ``title``: a version of ttnn with probes, or a calibration.

    A calibration is "shipped", the name it was kept by, or a .json file; it estimates the probes of
    ``today``'s device. A card's firmware may follow the version of ttnn, as in 0.81.1/19.6.0.0; it
    has to where there are probes of several.

    Raises:
        StudyError: if it is neither, or the firmware is not clear.
        ProfileError: if the file of a calibration cannot be used.
    """
    board, kind = today.board, today.device_kind
    stored = stored_devices(store, board, kind)
    meant = [key for key in stored if title in (key.versions, key.ttnn_version)]
    exact = [key for key in meant if title == key.versions]
    if len(exact or meant) == 1:
        (key,) = exact or meant
        return DriftSide(title, key, choose_cost_model(store, arch, key.ttnn_version).model)
    there = ", ".join(key.versions for key in stored) or "none"
    if meant:
        raise StudyError(
            f"there are probes of {board} ({kind}) with ttnn {title} and several versions of "
            f"firmware in {store.describe()}; name one of {there}"
        )
    model = named_model(store, arch, title)
    if model is None:
        raise StudyError(
            f"{title!r} is neither a version of ttnn with probes of {board} ({kind}) in "
            f"{store.describe()} (there: {there}), nor a calibration (shipped, a name that "
            "calibrate --save kept, or a .json file)"
        )
    return DriftSide(title, today, model)


def drift_between(store: Store, before: DriftSide, after: DriftSide) -> Drift:
    """Compare the answers of two sides.

    Raises:
        StoreError: if the database refuses.
    """
    first = all_probes(store, before.device)
    second = first if before.device == after.device else all_probes(store, after.device)
    theirs, ours = _by_question(first.probes), _by_question(second.probes)
    records = tuple(
        Drifted(
            question[0],
            probe.config,
            _answered(probe.outcome, before.cost),
            _answered(ours[question].outcome, after.cost),
        )
        for question, probe in theirs.items()
        if question in ours
    )
    unreadable = first.unreadable + (0 if second is first else second.unreadable)
    return Drift(
        before,
        after,
        records,
        len(theirs) - len(records),
        len(ours) - len(records),
        unreadable,
    )


def _by_question(probes: Iterable[Any]) -> Mapping[tuple[str, str, str], Any]:
    return {_question(probe.key): probe for probe in probes}


def _question(key: ProbeKey) -> tuple[str, str, str]:
    return key.layer_signature, key.config_digest, key.inputs_digest


def _answered(outcome: ProbeOutcome | Rejection, cost: CostModel) -> Answered:
    if isinstance(outcome, Rejection):
        return Answered(None, None, outcome)
    if outcome.time_us is not None:
        return Answered(outcome.time_us, TimeKind.MEASURED)
    return Answered(total_us(cost.estimate(outcome.ops)), TimeKind.ESTIMATED)
