"""Forgetting what is damaged, and what was turned down where no configuration was at fault.

A full disk or a broken compiler may have been remembered as what a device says of a configuration.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.orm import aliased

from autosched.errors import StoreError
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import (
    LOSSES,
    AloneTime,
    DeviceOp,
    ProbeOutcome,
    Rejection,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TensorLayout
from autosched.store import models
from autosched.store.codec import read_plain, unpack
from autosched.store.database import Store
from autosched.store.database_errors import check_row
from autosched.store.optuna_mirror import forget_mirrors
from autosched.store.probes import KEY_COLUMNS, DeviceKey
from autosched.store.trials import check_trial

_ROWS = 200
_LOST = tuple(kind.value for kind in LOSSES)


@dataclass(frozen=True)
class Turned:
    """What was turned down, by what is said of it; None where anything may be.

    ``kinds`` are values of :class:`~autosched.schedule.outcomes.RejectionKind` and of
    :class:`~autosched.schedule.outcomes.Verdict`, ``since`` the moment it was stored or later;
    executions are of the ``arch`` of a board.
    """

    kinds: Collection[str]
    since: datetime | None = None
    board: str | None = None
    arch: str | None = None


@dataclass(frozen=True)
class Purged:
    """How many of each there are."""

    probes: int = 0
    executions: int = 0
    trials: int = 0


def count_turned_down(store: Store, what: Turned) -> Purged:
    """Return how many probes, executions and trials were turned down so.

    Raises:
        StoreError: if the database refuses.
    """
    with store.connection("BEGIN") as connection:
        return Purged(
            *(
                connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
                for table, conditions in _conditions(connection, what)
            )
        )


def purge_turned_down(store: Store, what: Turned) -> Purged:
    """Delete the probes, executions and trials that were turned down so; return how many.

    Trials are among them because a study tries no schedule twice, and learns from what failed.
    The mirrors of their studies go with them: new trials may get the numbers of deleted ones.

    Raises:
        StoreError: if the database refuses.
    """
    with store.connection("BEGIN IMMEDIATE") as connection:
        tables = list(_conditions(connection, what))
        studies = _names(connection, *tables[-1][1])
        purged = Purged(
            *(
                connection.execute(delete(table).where(*conditions)).rowcount
                for table, conditions in tables
            )
        )
    _forget_mirrors(store, studies)
    return purged


def _names(connection: Connection, *conditions: ColumnElement[bool]) -> set[str]:
    """Return the names of the studies that have such trials."""
    having = select(models.TrialRow.study_id).where(*conditions)
    return set(
        connection.scalars(select(models.StudyRow.name).where(models.StudyRow.id.in_(having)))
    )


def _forget_mirrors(store: Store, studies: Collection[str]) -> None:
    if studies:
        forget_mirrors(
            store, studies, "the rows are deleted, but Optuna cannot delete the mirrors of studies"
        )


def _conditions(
    connection: Connection, what: Turned
) -> Iterator[tuple[type[models.Base], list[ColumnElement[bool]]]]:
    """Yield the tables in the order of :class:`Purged`, with what holds for their rows."""
    probe, execution, trial = models.ProbeRow, models.ExecutionRow, models.TrialRow
    yield (
        probe,
        _all(
            probe.rejection.in_(what.kinds),
            _since(probe.created_at, what),
            None if what.board is None else probe.board == what.board,
        ),
    )
    yield (
        execution,
        _all(
            execution.verdict.in_(what.kinds),
            _since(execution.created_at, what),
            None if what.arch is None else execution.arch == what.arch,
        ),
    )
    yield (
        trial,
        _all(
            trial.rejection_kind.in_(what.kinds),
            _since(trial.started_at, what),
            None if what.board is None else trial.study_id.in_(_studies(connection, what.board)),
        ),
    )


def _all(*conditions: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [condition for condition in conditions if condition is not None]


def _since(column: Any, what: Turned) -> ColumnElement[bool] | None:
    return None if what.since is None else column >= what.since


def _studies(connection: Connection, board: str) -> list[int]:
    return list(
        connection.scalars(select(models.StudyRow.id).where(models.StudyRow.board == board))
    )


@dataclass(frozen=True)
class Quarantined:
    """A configuration that hung or crashed a device twice, with what was seen then."""

    number: int
    layer_signature: str
    config: LayerConfig
    device: DeviceKey
    rejection: Rejection
    created_at: datetime


_QUESTION = tuple(name for name in KEY_COLUMNS if name != "revision")


def find_quarantined(store: Store, board: str | None = None) -> list[Quarantined]:
    """Return what no search asks of a device any more, the oldest first; only of a ``board``.

    What other code was answered since is in none.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    row, later = models.ProbeRow, aliased(models.ProbeRow)
    newer = select(later.id).where(_is_same_question(row, later), later.id > row.id)
    query = select(row).where(row.rejection.in_(_LOST), ~newer.exists()).order_by(row.id)
    if board is not None:
        query = query.where(row.board == board)
    place = store.describe()
    found = []
    with store.reading() as session:
        for probe in session.scalars(query):
            where = f"{place}: autosched_probe {probe.id}"
            found.append(
                Quarantined(
                    probe.id,
                    probe.layer_signature,
                    read_plain(LayerConfig, probe.config, where),
                    DeviceKey(probe.board, probe.device_kind, probe.ttnn_version, probe.firmware),
                    unpack(Rejection, probe.outcome, where),
                    probe.created_at,
                )
            )
    return found


def lift_quarantine(store: Store, numbers: Collection[int]) -> int:
    """Forget that some configurations hung or crashed, so that they are asked again.

    Raises:
        StoreError: if the database refuses.
    """
    row, named = models.ProbeRow, aliased(models.ProbeRow)
    meant = named.id.in_(numbers) & named.rejection.in_(_LOST)
    # Former code may have lost a device with the same configuration.
    alike = select(named.id).where(meant, _is_same_question(row, named)).exists()
    with store.connection("BEGIN IMMEDIATE") as connection:
        count = connection.scalar(select(func.count()).select_from(named).where(meant)) or 0
        connection.execute(delete(row).where(row.rejection.in_(_LOST), alike))
        return count


def _is_same_question(row: type[models.ProbeRow], other: Any) -> ColumnElement[bool]:
    return and_(*(getattr(other, name) == getattr(row, name) for name in _QUESTION))


_TABLES: tuple[type[models.Base], ...] = (
    models.ProbeRow,
    models.ExecutionRow,
    models.CalibrationRow,
    models.MeasurementRow,
    models.TrialRow,
    models.VerificationRow,
    models.SensitivityRow,
    models.NetworkRow,
    models.SubmissionRow,
)


@dataclass(frozen=True)
class Damaged:
    """The ids of rows of a table: of those that cannot be read, and of others without a study."""

    unreadable: list[int]
    orphans: list[int]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.unreadable) + len(self.orphans)


def find_damaged(store: Store) -> dict[str, Damaged]:
    """Return the rows of each table that cannot be read, or whose study is gone.

    Rows of studies are not among them: they go with their trials, one by one.

    Raises:
        StoreError: if the database refuses.
    """
    with store.connection("BEGIN") as connection:
        return {table.__tablename__: _damaged(connection, table) for table in _TABLES}


def purge_damaged(store: Store, found: Mapping[str, Damaged]) -> None:
    """Delete what :func:`find_damaged` found, and nothing as an orphan that has a study by now.

    As in :func:`purge_turned_down`, mirrors go with trials.

    Raises:
        StoreError: if the database refuses.
    """
    trials = found[models.TrialRow.__tablename__].unreadable
    studies: set[str] = set()
    with store.connection("BEGIN IMMEDIATE") as connection:
        for start in range(0, len(trials), _ROWS):
            part = trials[start : start + _ROWS]
            studies |= _names(connection, models.TrialRow.id.in_(part))
        for table in _TABLES:
            own = table.__table__.columns["id"] == bindparam("number")
            rows = found[table.__tablename__]
            if rows.unreadable:
                _delete_each(connection, delete(table).where(own), rows.unreadable)
            if rows.orphans:
                _delete_each(connection, delete(table).where(own, _is_orphan(table)), rows.orphans)
    _forget_mirrors(store, studies)


def _delete_each(connection: Connection, statement: Delete, ids: list[int]) -> None:
    connection.execute(statement, [{"number": number} for number in ids])


def _damaged(connection: Connection, table: type[models.Base]) -> Damaged:
    columns = table.__table__.columns
    query = select(*columns).execution_options(yield_per=_ROWS)
    rows = connection.execute(query).mappings()
    unreadable = [row["id"] for row in rows if not _is_readable(table, row)]
    if "study_id" not in columns:
        return Damaged(unreadable, [])
    # One statement sees studies and rows of one moment; PostgreSQL's next one sees newer rows.
    orphans = set(connection.scalars(select(columns["id"]).where(_is_orphan(table))))
    return Damaged(unreadable, sorted(orphans.difference(unreadable)))


def _is_orphan(table: type[models.Base]) -> ColumnElement[bool]:
    return table.__table__.columns["study_id"].not_in(select(models.StudyRow.id))


def _is_readable(table: type[models.Base], row: RowMapping) -> bool:
    try:
        check_row(table, row, "")
        if table is models.ProbeRow:
            read_plain(LayerConfig, row["config"], "")
            read_plain(tuple[TensorLayout, ...], row["input_layouts"], "")
            unpack(ProbeOutcome if row["rejection"] is None else Rejection, row["outcome"], "")
        if table is models.MeasurementRow:
            unpack(AloneTime if row["rejection"] is None else Rejection, row["outcome"], "")
        if table is models.TrialRow:
            check_trial(row, "")
            unpack(Schedule, row["schedule"], "")
            unpack(tuple[DeviceOp, ...], row["ops"], "")
    except StoreError:
        return False
    return True
