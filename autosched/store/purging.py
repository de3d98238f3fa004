"""Forgetting what a device turned down, where it was not the configuration's fault.

A full disk or a broken compiler may have been remembered as what a device says of a configuration.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select

from autosched.store import models
from autosched.store.database import Store


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

    Raises:
        StoreError: if the database refuses.
    """
    with store.connection("BEGIN IMMEDIATE") as connection:
        return Purged(
            *(
                connection.execute(delete(table).where(*conditions)).rowcount
                for table, conditions in list(_conditions(connection, what))
            )
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
