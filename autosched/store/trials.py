"""Trials: whole-network runs of one schedule each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute

from autosched.errors import StudyError
from autosched.schedule.outcomes import DeviceOp, Rejection, RejectionKind, TimeKind
from autosched.schedule.schedule import Schedule
from autosched.store import models
from autosched.store.codec import collector_paused, pack, unpack
from autosched.store.database import Store
from autosched.store.database_errors import check_row, damaged
from autosched.store.executions import with_verification
from autosched.store.studies import StudyRecord, get_study

_Column = InstrumentedAttribute[Any]
_SUMMARY: tuple[_Column, ...] = (
    models.TrialRow.id,
    models.TrialRow.number,
    models.TrialRow.sampler,
    models.TrialRow.fingerprint,
    models.TrialRow.latency_us,
    models.TrialRow.latency_kind,
    models.TrialRow.latency_std_us,
    models.TrialRow.peak_l1_bytes,
    models.TrialRow.cost_model,
    models.TrialRow.rejection_kind,
    models.TrialRow.rejection_message,
    models.TrialRow.rejection_layer,
    models.TrialRow.started_at,
    models.TrialRow.duration_s,
)
COMPLETE = "complete"
REJECTED = "rejected"
# Built once: a trial's critical path has no time to compose statements.
_LOCK_STUDY = (
    select(models.StudyRow.id).where(models.StudyRow.id == bindparam("study_id")).with_for_update()
)
_NEWEST = select(func.max(models.TrialRow.number)).where(
    models.TrialRow.study_id == bindparam("study_id")
)
_INSERT = insert(models.TrialRow)


@dataclass(frozen=True)
class TrialRecord:
    """One finished trial.

    ``latency_us`` is of one inference of the whole batch, ``ops`` carry their ``time_ns`` where
    known. A trial with a ``rejection`` may have a latency, too (a schedule that ran and was not
    accurate enough). ``number`` counts from 0 in its study and is None until it is stored,
    ``fingerprint`` is the schedule's and filled in on storing. ``schedule`` is None, and ``ops``
    empty, where :func:`list_trials` left them out.
    """

    schedule: Schedule | None
    sampler: str
    started_at: datetime
    duration_s: float
    latency_us: float | None = None
    latency_kind: TimeKind | None = None
    latency_std_us: float | None = None
    peak_l1_bytes: int | None = None
    cost_model: str = ""
    rejection: Rejection | None = None
    ops: tuple[DeviceOp, ...] = ()
    fingerprint: str = ""
    number: int | None = None

    def __post_init__(self) -> None:
        if (self.latency_us is None) != (self.latency_kind is None):
            raise ValueError("a latency and its kind go together")
        if self.latency_us is None and self.rejection is None:
            raise ValueError("a trial has a latency or a rejection")

    @property
    def state(self) -> str:
        """Return "complete", or "rejected"."""
        return COMPLETE if self.rejection is None else REJECTED


def add_trial(store: Store, study: StudyRecord, trial: TrialRecord) -> TrialRecord:
    """Keep a finished trial and return it with its number, the study's next.

    When this returns, the trial outlives the process. Several processes may add to one study.

    Raises:
        ValueError: if the trial has no schedule.
        StudyError: if the study has been deleted.
        StoreError: if the database refuses.
    """
    if trial.schedule is None:
        raise ValueError("a trial is stored with its schedule")
    stored = replace(trial, fingerprint=trial.fingerprint or trial.schedule.fingerprint())
    values = {"study_id": study.id, **_to_values(stored)}
    with store.connection("BEGIN IMMEDIATE") as connection:
        # The lock on the study's row lets PostgreSQL's writers take turns; SQLite has only one.
        if connection.scalar(_LOCK_STUDY, values) is None:
            raise StudyError(f"the study {study.name!r} is no longer in {store.describe()}")
        newest = connection.scalar(_NEWEST, values)
        number = 0 if newest is None else newest + 1
        connection.execute(_INSERT, {**values, "number": number})
    return replace(stored, number=number)


def list_trials(
    store: Store,
    study: StudyRecord,
    *,
    with_schedules: bool = True,
    with_ops: bool = False,
    sampler: str | None = None,
    numbers: Collection[int] | None = None,
) -> list[TrialRecord]:
    """Return a study's trials by number; schedules and device ops only where asked for.

    Only those of a ``sampler``, or with one of some ``numbers``, where these are given.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    query = _select(study, with_schedules, with_ops).order_by(models.TrialRow.number)
    if sampler is not None:
        query = query.where(models.TrialRow.sampler == sampler)
    if numbers is not None:
        query = query.where(models.TrialRow.number.in_(numbers))
    with collector_paused():
        with store.reading() as session:
            rows = session.execute(query).all()
        return [_from_row(row, study, store.describe()) for row in rows]


def best_trial(
    store: Store, study: StudyRecord, leaving_out: Sequence[str] = ()
) -> TrialRecord | None:
    """Return a study's fastest complete trial with its schedule and ops, or None.

    Trials of the samplers in ``leaving_out`` do not count. Measured trials come before estimated
    ones, of equal trials the first.

    Raises:
        StoreError: if the database refuses, or the row is damaged.
    """
    estimated_last = case((models.TrialRow.latency_kind == TimeKind.MEASURED.value, 0), else_=1)
    query = (
        _select(study, with_schedules=True, with_ops=True)
        .where(models.TrialRow.state == COMPLETE, models.TrialRow.sampler.not_in(leaving_out))
        .order_by(estimated_last, models.TrialRow.latency_us, models.TrialRow.number)
        .limit(1)
    )
    with store.reading() as session:
        row = session.execute(query).first()
    return None if row is None else _from_row(row, study, store.describe())


def count_trials(store: Store, study_id: int) -> int:
    """Return how many trials a study has, whether they can be read or not.

    Raises:
        StoreError: if the database refuses.
    """
    count = select(func.count()).where(models.TrialRow.study_id == study_id)
    with store.reading() as session:
        return session.scalar(count) or 0


def cost_models(store: Store, study: StudyRecord) -> list[str]:
    """Return the versions of the cost models that estimated a study's trials, oldest first.

    Raises:
        StoreError: if the database refuses.
    """
    trial = models.TrialRow
    query = (
        select(trial.cost_model)
        .where(trial.study_id == study.id, trial.cost_model != "")
        .group_by(trial.cost_model)
        .order_by(func.min(trial.number))
    )
    with store.reading() as session:
        return list(session.scalars(query))


def get_trial(store: Store, study: StudyRecord, number: int) -> TrialRecord:
    """Return one trial with its schedule and ops.

    Raises:
        StudyError: if the study has no trial of this number.
        StoreError: if the database refuses, or the row is damaged.
    """
    query = _select(study, with_schedules=True, with_ops=True)
    with store.reading() as session:
        row = session.execute(query.where(models.TrialRow.number == number)).first()
    if row is None:
        raise StudyError(f"the study {study.name!r} has no trial {number}")
    return _from_row(row, study, store.describe())


def _select(study: StudyRecord, with_schedules: bool, with_ops: bool) -> Select[Any]:
    columns = list(_SUMMARY)
    if with_schedules:
        columns.append(models.TrialRow.schedule)
    if with_ops:
        columns.append(models.TrialRow.ops)
    return select(*columns).where(models.TrialRow.study_id == study.id)


def _to_values(trial: TrialRecord) -> dict[str, Any]:
    rejection = trial.rejection
    return {
        "state": trial.state,
        "sampler": trial.sampler,
        "fingerprint": trial.fingerprint,
        "latency_us": trial.latency_us,
        "latency_kind": trial.latency_kind and trial.latency_kind.value,
        "latency_std_us": trial.latency_std_us,
        "peak_l1_bytes": trial.peak_l1_bytes,
        "cost_model": trial.cost_model,
        "rejection_kind": rejection and rejection.kind.value,
        "rejection_message": rejection and rejection.message,
        "rejection_layer": rejection and rejection.layer,
        "started_at": trial.started_at,
        "duration_s": trial.duration_s,
        "schedule": pack(trial.schedule),
        "ops": pack(trial.ops),
    }


def _from_row(row: Row[Any], study: StudyRecord, place: str) -> TrialRecord:
    fields = row._mapping
    where = f"{place}: autosched_trial {row.id} (study {study.name!r}, trial {row.number})"
    check_row(models.TrialRow, fields, place)
    check_trial(fields, where)
    return TrialRecord(
        schedule=unpack(Schedule, row.schedule, where) if "schedule" in fields else None,
        sampler=row.sampler,
        started_at=row.started_at,
        duration_s=row.duration_s,
        latency_us=row.latency_us,
        latency_kind=TimeKind(row.latency_kind) if row.latency_kind else None,
        latency_std_us=row.latency_std_us,
        peak_l1_bytes=row.peak_l1_bytes,
        cost_model=row.cost_model,
        rejection=_rejection(row),
        ops=unpack(tuple[DeviceOp, ...], row.ops, where) if "ops" in fields else (),
        fingerprint=row.fingerprint,
        number=row.number,
    )


def check_trial(row: Mapping[Any, Any], where: str) -> None:
    """Make sure that the values of a trial, each legal, go together.

    Raises:
        StoreError: naming ``where``.
    """
    if row["rejection_kind"] is None and row["latency_us"] is None:
        raise damaged(where, "it has neither a latency nor a rejection")
    if (row["latency_us"] is None) != (not row["latency_kind"]):
        raise damaged(where, "a latency and its kind go together")


def _rejection(row: Row[Any]) -> Rejection | None:
    if row.rejection_kind is None:
        return None
    kind, message, layer = row.rejection_kind, row.rejection_message, row.rejection_layer
    return Rejection(RejectionKind(kind), message or "", layer or "")


def reject_trial(store: Store, study: StudyRecord, number: int, rejection: Rejection) -> None:
    """Note of a stored trial that it is rejected after all; its latency stays with it.

    Raises:
        StoreError: if the database refuses.
    """
    trial = models.TrialRow
    with store.connection("BEGIN IMMEDIATE") as connection:
        connection.execute(
            update(trial)
            .where(trial.study_id == study.id, trial.number == number)
            .values(
                state=REJECTED,
                rejection_kind=rejection.kind.value,
                rejection_message=rejection.message,
                rejection_layer=rejection.layer,
            )
        )


DEFAULT_SAMPLER = "default"
"""What trials of ttnn's default schedule carry in place of a sampler's name."""
GIVEN_SAMPLER = "given"
"""What trials of schedules carry that the user gave to start from."""
CAUTIOUS_SAMPLER = "cautious"
"""What trials carry of schedules that risk less than the fastest, and take hardly longer."""


def trial_of_schedule(store: Store, fingerprint: str) -> TrialRecord | None:
    """Return the newest trial that ran a schedule, of whatever study, with its ops; None if none.

    Raises:
        StoreError: if the database refuses, or the row is damaged.
    """
    trial, study = models.TrialRow, models.StudyRow
    query = (
        select(study.name, trial.number)
        .join(study, study.id == trial.study_id)
        .where(trial.fingerprint == fingerprint, trial.state == COMPLETE)
        .order_by(trial.id.desc())
        .limit(1)
    )
    with store.reading() as session:
        row = session.execute(query).first()
    return None if row is None else get_trial(store, get_study(store, row.name), row.number)


def finished_trial(
    store: Store, study: StudyRecord, number: int | None = None
) -> tuple[TrialRecord, Schedule]:
    """Return a trial (default: the fastest) and its schedule with its full provenance.

    Raises:
        StudyError: if there is no such trial, or none has run yet, or the device rejected it.
        StoreError: if the database refuses.
    """
    found = best_of(store, study) if number is None else get_trial(store, study, number)
    if found is None:
        raise StudyError(
            f"no trial of study {study.name!r} has run yet; go on with: autosched resume "
            f"{study.name}"
        )
    if found.rejection is not None:
        raise StudyError(
            f"trial {number} of study {study.name!r} was rejected by the device "
            f"({found.rejection.kind}); choose one of those that ran: autosched show {study.name}"
        )
    trial = with_provenance(found, study)
    assert trial.schedule is not None  # noqa: S101 - both queries read it
    schedule = with_verification(store, study, trial.schedule)
    return replace(trial, schedule=schedule), schedule


def best_of(store: Store, record: StudyRecord) -> TrialRecord | None:
    """Return a study's best trial with its device ops.

    That is the fastest one; among estimates, it is the newest cautious one, if that is slower by no
    more than the share that the study gives for less risk.
    """
    fastest = fastest_of(store, record)
    share = record.settings.get("risk", 0.0)
    if fastest is None or fastest.latency_us is None or not share:
        return fastest
    if fastest.latency_kind is not TimeKind.ESTIMATED:
        return fastest
    within = models.TrialRow.latency_us <= fastest.latency_us * (1.0 + share)
    query = (
        _select(record, with_schedules=True, with_ops=True)
        .where(models.TrialRow.state == COMPLETE, models.TrialRow.sampler == CAUTIOUS_SAMPLER)
        .where(models.TrialRow.latency_kind == TimeKind.ESTIMATED.value, within)
        .order_by(models.TrialRow.number.desc())
        .limit(1)
    )
    with store.reading() as session:
        row = session.execute(query).first()
    return fastest if row is None else _from_row(row, record, store.describe())


def fastest_of(store: Store, record: StudyRecord) -> TrialRecord | None:
    """Return a study's fastest trial with its device ops.

    Where candidates are pinned or forbidden, ttnn's default and schedules given to start from
    count only as long as nothing else has run: they may be against the restrictions.
    """
    if record.settings.get("pinned") or record.settings.get("forbidden"):
        found = best_trial(store, record, leaving_out=(DEFAULT_SAMPLER, GIVEN_SAMPLER))
        if found is not None:
            return found
    return best_trial(store, record)


def default_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the trial of ttnn's default schedule; the last one, where it had to be repeated."""
    return next((item for item in reversed(trials) if item.sampler == DEFAULT_SAMPLER), None)


def with_provenance(trial: TrialRecord, study: StudyRecord) -> TrialRecord:
    """Return a stored trial whose schedule says where it comes from."""
    if trial.schedule is None:
        return trial
    provenance = replace(
        trial.schedule.provenance,
        study=study.name,
        trial=trial.number,
        latency_us=trial.latency_us,
        latency_kind=trial.latency_kind,
        cost_model=trial.cost_model,
        date=trial.started_at.date().isoformat(),
    )
    return replace(trial, schedule=replace(trial.schedule, provenance=provenance))
