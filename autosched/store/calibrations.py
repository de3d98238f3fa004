"""Calibrations: coefficients of the cost model, fitted to profiles of real hardware."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import select

from autosched.schedule.serialization import digest
from autosched.store import models
from autosched.store.damage import check_entity
from autosched.store.database import Store, insert_missing
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
