"""Bringing what another database remembers into this one.

Nothing that is of use here is changed, and merging the same database again adds nothing. A probe,
execution or measurement is the same under the same key, a calibration with the same coefficients,
a study with the same network, device and moment of creation, a trial of it with the same schedule
and moment, a submission with the same network, machine and moment.
What is stale comes along: it is what trials rest on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from autosched.errors import StoreError
from autosched.store import models
from autosched.store import models as schema
from autosched.store.address import file_url, parse_url
from autosched.store.calibrations import MEASUREMENT_KEY
from autosched.store.codec import check_packed
from autosched.store.database import PLACE, Store, insert_missing, open_store
from autosched.store.database_errors import check_row
from autosched.store.executions import EXECUTION_KEY
from autosched.store.probes import KEY_COLUMNS
from autosched.store.studies import LONGEST_NAME

_Row = dict[str, Any]
_ROWS = 200
_CALIBRATION_KEY = ("arch", "ttnn_version", "name", "fingerprint")
_STUDY_KEY = (
    "network",
    "network_signature",
    "board",
    "device_kind",
    "ttnn_version",
    "firmware",
    "batch",
    "created_at",
)
_TRIAL_KEY = ("started_at", "fingerprint", "sampler")
_SUBMISSION_KEY = ("network", "board", "host", "created_at")
_NOT_ENDED = frozenset({"waiting", "running"})


@dataclass(frozen=True)
class Tally:
    """How many rows came, and how many were here already."""

    added: int = 0
    known: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.added + other.added, self.known + other.known)


@dataclass(frozen=True)
class MergedStudy:
    """A study of the other database: its name there and here, and its trials.

    ``is_new`` tells that this database did not have it.
    """

    name: str
    name_here: str
    is_new: bool
    trials: Tally


@dataclass(frozen=True)
class Merged:
    """What a merge came to; ``unfinished`` submissions wait or run there, and did not come."""

    probes: Tally
    calibrations: Tally
    studies: tuple[MergedStudy, ...]
    executions: Tally = Tally()
    measurements: Tally = Tally()
    sensitivities: Tally = Tally()
    networks: Tally = Tally()
    submissions: Tally = Tally()
    unfinished: int = 0


def open_other(place: str) -> Store:
    """Open the database to merge from, named by its URL or as a SQLite file.

    An older schema is brought up to date, as by every command that opens a database.

    Raises:
        StoreError: if it is not there, cannot be used, is newer, or autosched never used it.
    """
    # A plain path may be absent; what is neither is a URL that was meant.
    is_url = "://" in place and not Path(place).is_file()
    address = parse_url(place if is_url else file_url(Path(place).absolute()))
    if address.path is not None and not address.path.is_file():
        raise StoreError(f"{address} is not there; name the file or URL of the other database")
    url = address.url.render_as_string(hide_password=False)
    with Store(address) as looked_at, looked_at.connection("BEGIN") as connection:
        is_ours = inspect(connection).has_table(schema.VERSION_TABLE)
    if not is_ours:
        raise StoreError(
            f"{address} is no database of autosched: it has none of its tables. Name one that "
            "'autosched run --storage' made"
        )
    return open_store(url)


def merge_databases(source: Store, target: Store, *, with_queue: bool = False) -> Merged:
    """Copy all that ``target`` lacks, all or nothing.

    A study whose name is taken here by another one gets a number after it. Trials of a study that
    is here already are numbered after those it has. Of what was submitted to a service that comes
    which has ended: services of both would run the rest. ``with_queue`` copies the rest, too, with
    the numbers that it has, into a database without any.

    Raises:
        StoreError: if the two are one database, or either refuses.
    """
    if source.url == target.url:
        raise StoreError(f"{target.describe()} is the database itself; name another one to merge")
    with source.reading() as theirs, target.writing() as ours:
        studies = tuple(_studies(theirs, ours))
        names = {study.name: study.name_here for study in studies}
        return Merged(
            _copied(theirs, ours, models.ProbeRow, KEY_COLUMNS),
            _copied(theirs, ours, models.CalibrationRow, _CALIBRATION_KEY),
            studies,
            _copied(theirs, ours, models.ExecutionRow, EXECUTION_KEY),
            _copied(theirs, ours, models.MeasurementRow, MEASUREMENT_KEY),
            _copied(theirs, ours, models.SensitivityRow, ("subject", "layer")),
            _copied(theirs, ours, models.NetworkRow, ("signature",)),
            *_submissions(theirs, ours, names, with_queue=with_queue),
        )


def known_probes(session: Session) -> set[tuple[Any, ...]]:
    """Return the keys of all stored probes."""
    return _keys(session, models.ProbeRow, KEY_COLUMNS)


def add_probes(session: Session, rows: Sequence[_Row], known: set[tuple[Any, ...]]) -> Tally:
    """Store rows of probes that are not among the ``known``; what is stored becomes known."""
    missing = [row for row in rows if _key(row, KEY_COLUMNS) not in known]
    known.update(_key(row, KEY_COLUMNS) for row in missing)
    if missing:
        insert_missing(session, models.ProbeRow, missing)
    return Tally(len(missing), len(rows) - len(missing))


def _copied(
    theirs: Session, ours: Session, table: type[models.Base], names: Sequence[str]
) -> Tally:
    """Copy the rows of a table whose key, the columns ``names``, is not here yet."""
    known = _keys(ours, table, names)
    before = len(known)
    there = 0
    for rows in _batches(theirs, table):
        missing = [row for row in rows if _key(row, names) not in known]
        known.update(_key(row, names) for row in missing)
        there += len(rows)
        if missing:
            insert_missing(ours, table, missing)
    added = len(known) - before
    return Tally(added, there - added)


def _studies(theirs: Session, ours: Session) -> Iterator[MergedStudy]:
    here = {
        _key(row, _STUDY_KEY): (row["id"], row["name"])
        for row in _rows(ours, models.StudyRow, "id")
    }
    for row in _rows(theirs, models.StudyRow, "id"):
        found = here.get(_key(row, _STUDY_KEY))
        study_id, name = found or _new_study(ours, row)
        trials = _trials(theirs, ours, row["id"], study_id)
        _verifications(theirs, ours, row["id"], study_id)
        yield MergedStudy(row["name"], name, found is None, trials)


def _new_study(ours: Session, row: _Row) -> tuple[int, str]:
    name = _free_name(ours, row["name"])
    study = models.StudyRow(**{**_without_id(row), "name": name})
    ours.add(study)
    ours.flush()
    return study.id, name


def _free_name(ours: Session, wanted: str) -> str:
    """Return a study's name, with a number after it where another study here has it."""
    taken = set(ours.scalars(select(models.StudyRow.name)))
    name, number = wanted, 1
    while name in taken or len(name) > LONGEST_NAME:
        number += 1
        suffix = f"-{number}"
        name = wanted[: LONGEST_NAME - len(suffix)] + suffix
    return name


def _trials(theirs: Session, ours: Session, their_id: int, our_id: int) -> Tally:
    trial = models.TrialRow
    # As add_trial does, so that another process cannot take the same numbers.
    ours.execute(select(models.StudyRow.id).where(models.StudyRow.id == our_id).with_for_update())
    columns = [getattr(trial, name) for name in _TRIAL_KEY]
    known = {
        tuple(row) for row in ours.execute(select(*columns).where(trial.study_id == our_id)).all()
    }
    numbers = set(ours.scalars(select(trial.number).where(trial.study_id == our_id)))
    next_number = max(numbers, default=-1) + 1
    tally = Tally()
    for row in _rows(theirs, trial, "number", trial.study_id == their_id):
        if _key(row, _TRIAL_KEY) in known:
            tally = Tally(tally.added, tally.known + 1)
            continue
        number = row["number"] if not numbers else next_number
        next_number = max(next_number, number) + 1
        values = {**_without_id(row), "study_id": our_id, "number": number}
        insert_missing(ours, trial, [values])
        tally = Tally(tally.added + 1, tally.known)
    return tally


def _verifications(theirs: Session, ours: Session, their_id: int, our_id: int) -> None:
    table = models.VerificationRow
    rows = [
        {**_without_id(row), "study_id": our_id}
        for row in _rows(theirs, table, "id", table.study_id == their_id)
    ]
    if rows:
        insert_missing(ours, table, rows)


def _submissions(
    theirs: Session, ours: Session, names: Mapping[str, str], *, with_queue: bool
) -> tuple[Tally, int]:
    """Copy submissions under what their studies are called here; return how many stay behind, too.

    ``names`` are those of studies there and here.
    """
    table = models.SubmissionRow
    known = _keys(ours, table, _SUBMISSION_KEY)
    tally, left = Tally(), 0
    for row in _rows(theirs, table, "id"):
        if _key(row, _SUBMISSION_KEY) in known:
            tally += Tally(known=1)
        elif row["status"] in _NOT_ENDED and not with_queue:
            left += 1
        else:
            # What failed before its study began is not to be shown as another's.
            name = names.get(row["study"]) or _free_name(ours, row["study"])
            values = row if with_queue else _without_id(row)
            insert_missing(ours, table, [{**values, "study": name}])
            tally += Tally(added=1)
    return tally, left


def _keys(session: Session, table: type[models.Base], names: Sequence[str]) -> set[tuple[Any, ...]]:
    columns = [getattr(table, name) for name in names]
    return {tuple(row) for row in session.execute(select(*columns)).all()}


def _key(row: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _batches(session: Session, table: type[models.Base]) -> Iterator[list[_Row]]:
    """Yield all rows in the order they were stored, without their ids."""
    columns = table.__table__.columns
    result = session.execute(
        select(*columns).order_by(columns["id"]).execution_options(yield_per=_ROWS)
    )
    for part in result.mappings().partitions(_ROWS):
        yield [_without_id(_checked(session, table, row)) for row in part]


def _rows(
    session: Session, table: type[models.Base], order: str, *conditions: Any
) -> Iterator[_Row]:
    columns = table.__table__.columns
    query = select(*columns).where(*conditions).order_by(columns[order])
    for row in session.execute(query.execution_options(yield_per=_ROWS)).mappings():
        yield _checked(session, table, row)


def _checked(session: Session, table: type[models.Base], row: Mapping[Any, Any]) -> _Row:
    """Return a row, unless it is damaged: that is not to be spread."""
    place = session.info[PLACE]
    check_row(table, row, place)
    for value in row.values():
        if isinstance(value, bytes):
            check_packed(value, f"{place}: {table.__tablename__} {row['id']}")
    return dict(row)


def _without_id(row: Mapping[str, Any]) -> _Row:
    return {name: value for name, value in row.items() if name != "id"}
