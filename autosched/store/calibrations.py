"""Calibrations: coefficients of the cost model, and times of cards that some were learned from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import select

from autosched.schedule.outcomes import AloneTime, Rejection
from autosched.schedule.serialization import digest
from autosched.store import models
from autosched.store.codec import pack, unpack
from autosched.store.database import Store, insert_missing
from autosched.store.database_errors import check_entity
from autosched.store.probes import DeviceKey, ProbeKey
from autosched.store.studies import check_stored_name


@dataclass(frozen=True)
class CalibrationRecord:
    """Fitted coefficients of one architecture and ttnn version, as plain JSON."""

    arch: str
    ttnn_version: str
    name: str
    coefficients: Mapping[str, Any]
    created_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def fingerprint(self) -> str:
        """Identify the coefficients; equal ones have equal fingerprints."""
        return digest(dict(self.coefficients))


def save_calibration(store: Store, calibration: CalibrationRecord) -> None:
    """Keep a calibration; the same one again changes nothing, another is kept beside it.

    Raises:
        StudyError: if its name is too long.
        StoreError: if the database refuses.
    """
    check_stored_name(calibration.name, "calibration")
    values = {
        **vars(calibration),
        "coefficients": dict(calibration.coefficients),
        "fingerprint": calibration.fingerprint,
    }
    with store.writing() as session:
        insert_missing(session, models.CalibrationRow, [values])


def list_calibrations(
    store: Store, arch: str | None = None, ttnn_version: str | None = None
) -> list[CalibrationRecord]:
    """Return the calibrations of an architecture and ttnn version (None: any), newest first.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(models.CalibrationRow).order_by(
        models.CalibrationRow.created_at.desc(), models.CalibrationRow.id.desc()
    )
    if arch is not None:
        query = query.where(models.CalibrationRow.arch == arch)
    if ttnn_version is not None:
        query = query.where(models.CalibrationRow.ttnn_version == ttnn_version)
    with store.reading() as session:
        return [_from_row(row, store.describe()) for row in session.scalars(query)]


def latest_calibration(
    store: Store, arch: str, ttnn_version: str | None = None
) -> CalibrationRecord | None:
    """Return the newest calibration of an architecture, or None.

    Raises:
        StoreError: if the database refuses.
    """
    return next(iter(list_calibrations(store, arch, ttnn_version)), None)


def _from_row(row: models.CalibrationRow, place: str) -> CalibrationRecord:
    check_entity(row, place)
    return CalibrationRecord(row.arch, row.ttnn_version, row.name, row.coefficients, row.created_at)


MEASUREMENT_KEY = (
    "board",
    "ttnn_version",
    "firmware",
    "layer_signature",
    "config_digest",
    "inputs_digest",
    "revision",
)
"""What is unique of a stored measurement."""


@dataclass(frozen=True)
class MeasurementRecord:
    """What a card said of a layer or reshard alone; ``chosen_by`` is the cost model that asked.

    The key is that of a probe on silicon.
    """

    key: ProbeKey
    chosen_by: str
    outcome: AloneTime | Rejection


def save_measurement(store: Store, measurement: MeasurementRecord) -> None:
    """Keep a measurement; one of the same key stays as it is.

    Raises:
        StoreError: if the database refuses.
    """
    key, outcome = measurement.key, measurement.outcome
    row = {
        "board": key.device.board,
        "ttnn_version": key.device.ttnn_version,
        "firmware": key.device.firmware,
        "layer_signature": key.layer_signature,
        "config_digest": key.config_digest,
        "inputs_digest": key.inputs_digest,
        "revision": key.revision,
        "chosen_by": measurement.chosen_by,
        "rejection": outcome.kind.value if isinstance(outcome, Rejection) else None,
        "outcome": pack(outcome),
        "created_at": datetime.now(timezone.utc),
    }
    with store.writing() as session:
        insert_missing(session, models.MeasurementRow, [row])


def load_measurements(
    store: Store, device: DeviceKey, revisions: Collection[str]
) -> list[MeasurementRecord]:
    """Return all measurements of a card by one of some revisions, in the order they were taken.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    row = models.MeasurementRow
    query = select(row).where(
        row.board == device.board,
        row.ttnn_version == device.ttnn_version,
        row.firmware == device.firmware,
        row.revision.in_(revisions),
    )
    with store.reading() as session:
        place = store.describe()
        found = session.scalars(query.order_by(row.created_at, row.id))
        return [_measurement(item, device, place) for item in found]


def known_times(
    store: Store, device: DeviceKey, revisions: Collection[str]
) -> dict[ProbeKey, AloneTime]:
    """Return the times among them that are above zero, by their keys.

    Raises:
        StoreError: as :func:`load_measurements`.
    """
    return {
        record.key: record.outcome
        for record in load_measurements(store, device, revisions)
        if isinstance(record.outcome, AloneTime) and record.outcome.time_us > 0.0
    }


def _measurement(row: models.MeasurementRow, device: DeviceKey, place: str) -> MeasurementRecord:
    check_entity(row, place)
    where = f"{place}: {row.__tablename__} {row.id}"
    target = AloneTime if row.rejection is None else Rejection
    return MeasurementRecord(
        ProbeKey(row.layer_signature, row.config_digest, row.inputs_digest, device, row.revision),
        row.chosen_by,
        unpack(target, row.outcome, where),
    )
