"""Studies: one search over one network on one device."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from autosched.errors import StoreError, StudyError
from autosched.schedule.outcomes import TimeKind
from autosched.store import models
from autosched.store.codec import pack, unpack_plain
from autosched.store.database import Store, insert_missing
from autosched.store.database_errors import check_entity, check_row, damaged
from autosched.store.probes import DeviceKey

LONGEST_NAME = 255
"""How many characters a name may have. PostgreSQL keeps no more; SQLite would."""


def check_stored_name(name: str, what: str = "study") -> None:
    """Refuse a new name that not every database keeps as it is.

    Raises:
        StudyError: saying why.
    """
    if len(name) > LONGEST_NAME:
        raise StudyError(
            f"the name of the {what}, {name[:20]}..., has {len(name):,} characters; name it with "
            f"at most {LONGEST_NAME}"
        )
    _check_text(name, what)


def _check_text(name: str, what: str = "study") -> None:
    """Refuse a name that no database can be asked for; a former version kept longer ones."""
    if "\0" in name or not _is_text(name):
        raise StudyError(f"{name!r} cannot be the name of a {what}: it is no text in UTF-8")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class StudyRecord:
    """What a study was started with.

    ``device_kind`` is "mock" or "silicon", ``firmware`` the card's, ``settings`` plain JSON
    (sampler, effort, formats, seed, network file), ``id`` None until it is stored.
    """

    name: str
    network: str
    network_signature: str
    board: str
    device_kind: str
    ttnn_version: str
    batch: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=_now)
    firmware: str = ""
    id: int | None = None

    @property
    def device(self) -> DeviceKey:
        """What its probes are stored under."""
        return DeviceKey(self.board, self.device_kind, self.ttnn_version, self.firmware)

    @property
    def scout(self) -> DeviceKey:
        """What those are stored under that rank its candidates: a mock device's, always."""
        return DeviceKey(self.board, "mock", self.ttnn_version)


@dataclass(frozen=True)
class StudySummary:
    """A study in a list: its trials, how many of them ran, and the best of those."""

    study: StudyRecord
    trials: int = 0
    complete: int = 0
    best_latency_us: float | None = None
    best_latency_kind: TimeKind | None = None


def add_study(store: Store, study: StudyRecord) -> StudyRecord:
    """Keep a new study and return it with its id.

    Raises:
        StudyError: if there is a study of this name, or it is too long.
        StoreError: if the database refuses.
    """
    check_stored_name(study.name)
    row = models.StudyRow(**{**vars(study), "settings": dict(study.settings)})
    with store.writing() as session:
        if _named(session, study.name) is not None:
            raise _taken(store, study.name)
        session.add(row)
        try:
            session.flush()
        except IntegrityError as error:  # another process, since the look above
            raise _taken(store, study.name) from error
    return replace(study, id=row.id)


def get_study(store: Store, name: str) -> StudyRecord:
    """Return the study of a name.

    Raises:
        StudyError: if there is none; the message names those that are alike.
        StoreError: if the database refuses.
    """
    study = find_study(store, name)
    if study is None:
        with store.reading() as session:
            names = list(session.scalars(select(models.StudyRow.name)))
        raise StudyError(_unknown(store, name, names))
    return study


def find_study(store: Store, name: str) -> StudyRecord | None:
    """Return the study of a name, or None.

    Raises:
        StudyError: if no study can have the name.
        StoreError: if the database refuses.
    """
    _check_text(name)
    with store.reading() as session:
        row = _named(session, name)
        return None if row is None else _from_row(row, store.describe())


def save_network(store: Store, signature: str, plain: Mapping[str, Any]) -> None:
    """Keep a network's layers as plain values under its signature, unless they are there.

    Raises:
        StoreError: if the database refuses.
    """
    row = {"signature": signature, "layers": pack(plain), "created_at": _now()}
    with store.writing() as session:
        insert_missing(session, models.NetworkRow, [row])


def find_network(store: Store, signature: str) -> Any | None:
    """Return the plain values of the network of a signature, None if nobody kept them.

    Raises:
        StoreError: if the database refuses, or the row is damaged.
    """
    with store.reading() as session:
        row = session.scalar(
            select(models.NetworkRow).where(models.NetworkRow.signature == signature)
        )
        if row is None:
            return None
        check_entity(row, store.describe())
        return unpack_plain(row.layers, f"{store.describe()}: autosched_network {row.id}")


def list_studies(store: Store) -> list[StudySummary]:
    """Return all studies with their counts of trials, the oldest first.

    The best is the fastest measured trial, or the fastest estimated one where none is measured.

    Raises:
        StoreError: if the database refuses.
    """
    trial = models.TrialRow
    tallies = select(
        trial.study_id,
        trial.state,
        trial.latency_kind,
        func.count(),
        func.min(trial.latency_us),
        func.max(trial.latency_us),
    ).group_by(trial.study_id, trial.state, trial.latency_kind)
    with store.reading() as session:
        rows = session.scalars(select(models.StudyRow).order_by(models.StudyRow.id))
        place = store.describe()
        summaries = {row.id: StudySummary(_from_row(row, place)) for row in rows}
        for study_id, state, kind, count, best_us, worst_us in session.execute(tallies):
            for latency_us in (best_us, worst_us):
                found = {"state": state, "latency_kind": kind, "latency_us": latency_us}
                _check_tally(session, study_id, found, study_id in summaries, place)
            summaries[study_id] = _add_tally(summaries[study_id], state, kind, count, best_us)
    return list(summaries.values())


def delete_study(store: Store, name: str) -> None:
    """Forget a study and its trials; probes stay, as other studies use them.

    Raises:
        StudyError: if there is none.
        StoreError: if the database refuses.
    """
    study_id = find_study_id(store, name)
    with store.writing() as session:
        session.execute(
            delete(models.VerificationRow).where(models.VerificationRow.study_id == study_id)
        )
        session.execute(delete(models.TrialRow).where(models.TrialRow.study_id == study_id))
        session.execute(delete(models.StudyRow).where(models.StudyRow.id == study_id))


def find_study_id(store: Store, name: str) -> int:
    """Return the id of a study, also of one whose row is damaged.

    Raises:
        StudyError: if there is none.
        StoreError: if the database refuses.
    """
    _check_text(name)
    with store.reading() as session:
        found = session.scalar(select(models.StudyRow.id).where(models.StudyRow.name == name))
    return get_study(store, name).id or 0 if found is None else found


def _named(session: Session, name: str) -> models.StudyRow | None:
    return session.scalar(select(models.StudyRow).where(models.StudyRow.name == name))


def _from_row(row: models.StudyRow, place: str) -> StudyRecord:
    check_entity(row, place)
    names = StudyRecord.__dataclass_fields__
    return StudyRecord(**{name: getattr(row, name) for name in names})


def _check_tally(
    session: Session, study_id: int, found: Mapping[str, Any], has_study: bool, place: str
) -> None:
    """Name a damaged row, if there is one among those that a tally is of."""
    trial = models.TrialRow
    query = select(
        trial.id, trial.state, trial.latency_kind, trial.latency_us, trial.rejection_kind
    ).where(trial.study_id == study_id)
    if not has_study:
        number = session.scalar(select(func.min(trial.id)).where(trial.study_id == study_id))
        raise damaged(f"{place}: autosched_trial {number}", f"there is no study {study_id}")
    try:
        check_row(trial, found, place)
        is_fine = found["state"] != "complete" or None not in found.values()
    except StoreError:
        is_fine = False
    if not is_fine:
        for row in session.execute(query):
            check_row(trial, row._mapping, place)
            if row.state == "complete" and None in {row.latency_us, row.latency_kind}:
                raise damaged(f"{place}: autosched_trial {row.id}", "it has no latency")


def _add_tally(
    summary: StudySummary, state: str, kind: str | None, count: int, best_us: float | None
) -> StudySummary:
    summary = replace(summary, trials=summary.trials + count)
    if state != "complete":
        return summary
    summary = replace(summary, complete=summary.complete + count)
    if summary.best_latency_kind is TimeKind.MEASURED:
        return summary
    return replace(
        summary, best_latency_us=best_us, best_latency_kind=None if kind is None else TimeKind(kind)
    )


def _taken(store: Store, name: str) -> StudyError:
    return StudyError(
        f"there is a study {name!r} in {store.describe()} already; resume it, delete it, or "
        "choose another name"
    )


def _unknown(store: Store, name: str, names: list[str]) -> str:
    alike = difflib.get_close_matches(name, names, n=3)
    if alike:
        hint = f"did you mean {' or '.join(map(repr, alike))}?"
    elif names:
        hint = f"it has {', '.join(map(repr, sorted(names)[:5]))}"
    else:
        hint = "it has none yet"
    return f"there is no study {name!r} in {store.describe()}; {hint}"
