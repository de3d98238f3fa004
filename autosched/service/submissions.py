"""The queue as rows of the database; each step is a conditional update that one service wins."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from autosched.store import models
from autosched.store.database import Store
from autosched.store.database_errors import check_entity


class State(str, Enum):
    """Where a submission is: it waits, runs, or has ended in one of three ways."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def __str__(self) -> str:
        """Return the word itself."""
        return self.value


ENDED = frozenset({State.FINISHED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True)
class Submission:
    """One submitted study, as :class:`autosched.store.models.SubmissionRow` has it."""

    network: str
    board: str
    study: str
    options: Mapping[str, Any]
    host: str
    created_at: datetime
    status: State = State.WAITING
    owner: str | None = None
    cancel_asked: bool = False
    trials_before: int | None = None
    run_s: float = 0.0
    message: str = ""
    result: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    id: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.status in ENDED


def now() -> datetime:
    """Return the moment, in UTC."""
    return datetime.now(timezone.utc)


_Row = models.SubmissionRow


def add_submission(store: Store, new: Submission, stem: str) -> Submission:
    """Keep a new submission, and return it with its id.

    One without a study's name gets one of its own, after the network's ``stem``.

    Raises:
        StoreError: if the database refuses.
    """
    values = {**vars(new), "options": dict(new.options), "status": new.status.value}
    del values["id"]
    with store.writing() as session:
        row = _Row(**values)
        session.add(row)
        session.flush()
        if not row.study:
            row.study = _free_name(session, f"{_plain(stem)}-{row.board}-{row.id}")
        session.flush()
        return _from_row(row, store.describe())


def _plain(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem)[:80].lstrip("_.-") or "network"


def _free_name(session: Session, wanted: str) -> str:
    name, number = wanted, 1
    while session.scalar(select(models.StudyRow.id).where(models.StudyRow.name == name)):
        number += 1
        name = f"{wanted}-{number}"
    return name


def find_submission(store: Store, number: int) -> Submission | None:
    """Return the submission of an id, or None.

    Raises:
        StoreError: if the database refuses, or the row is damaged.
    """
    with store.reading() as session:
        row = session.get(_Row, number)
        return None if row is None else _from_row(row, store.describe())


def list_submissions(
    store: Store, status: State | None = None, limit: int = 100, before: int | None = None
) -> list[Submission]:
    """Return submissions, the newest first; only those in a state, or of lower ids than one.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    query = select(_Row).order_by(_Row.id.desc()).limit(limit)
    if status is not None:
        query = query.where(_Row.status == status.value)
    if before is not None:
        query = query.where(_Row.id < before)
    with store.reading() as session:
        return [_from_row(row, store.describe()) for row in session.scalars(query)]


def count_waiting(store: Store) -> int:
    """Return how many submissions wait.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(func.count()).where(_Row.status == State.WAITING.value)
    with store.reading() as session:
        return session.scalar(query) or 0


def unfinished(store: Store) -> set[int]:
    """Return the submissions that wait or run.

    Raises:
        StoreError: if the database refuses.
    """
    ended = [state.value for state in ENDED]
    with store.reading() as session:
        return set(session.scalars(select(_Row.id).where(_Row.status.not_in(ended))))


def newest_ended(store: Store, number: int) -> set[int]:
    """Return the newest submissions that have ended, so many of them.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(_Row.id).where(_Row.status.in_([state.value for state in ENDED]))
    with store.reading() as session:
        return set(session.scalars(query.order_by(_Row.id.desc()).limit(number)))


def claim_next(
    store: Store, board: str, owner: str, is_ours: Callable[[Submission], bool]
) -> Submission | None:
    """Take the oldest submission that waits for a board and ``is_ours``, or return None.

    Of several services that see it, the one whose update finds it waiting has it.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(_Row).where(_Row.status == State.WAITING.value, _Row.board == board)
    with store.reading() as session:
        rows = session.scalars(query.order_by(_Row.id)).all()
        waiting = [_from_row(row, store.describe()) for row in rows]
    for item in waiting:
        if not is_ours(item):
            continue
        began = item.started_at or now()
        named = {"status": State.RUNNING.value, "owner": owner, "started_at": began, "message": ""}
        if _update(store, named, _Row.id == item.id, _Row.status == State.WAITING.value):
            return replace(item, status=State.RUNNING, owner=owner, started_at=began, message="")
    return None


def note_beginning(store: Store, item: Submission, trials: int) -> None:
    """Note how many trials the study had when the submission began, unless that is known.

    Raises:
        StoreError: if the database refuses.
    """
    _update(store, {"trials_before": trials}, _Row.id == item.id, _Row.trials_before.is_(None))


def note_running(store: Store, item: Submission, ran_s: float) -> bool:
    """Note how long a running submission of ours runs; return whether it still is ours.

    Raises:
        StoreError: if the database refuses.
    """
    return _update(store, {"run_s": item.run_s + ran_s}, *_still_ours(item)) > 0


def release(store: Store, item: Submission, message: str, ran_s: float) -> bool:
    """Let a running submission of ours wait again, for whoever goes on with it.

    Raises:
        StoreError: if the database refuses.
    """
    named = {
        "status": State.WAITING.value,
        "owner": None,
        "run_s": item.run_s + ran_s,
        "message": message,
    }
    return _update(store, named, *_still_ours(item)) > 0


def end(
    store: Store,
    item: Submission,
    status: State,
    *,
    message: str = "",
    result: Mapping[str, Any] | None = None,
    ran_s: float = 0.0,
) -> bool:
    """Note what became of a running submission of ours; return whether it still was ours.

    Raises:
        StoreError: if the database refuses.
    """
    named = {
        "status": status.value,
        "owner": None,
        "message": message,
        "result": None if result is None else dict(result),
        "run_s": item.run_s + ran_s,
        "ended_at": now(),
    }
    return _update(store, named, *_still_ours(item)) > 0


def ask_to_cancel(store: Store, number: int) -> Submission | None:
    """Cancel what waits at once, and ask whoever runs it to; return how it is then, None if gone.

    Raises:
        StoreError: if the database refuses.
    """
    at_once = {
        "status": State.CANCELLED.value,
        "cancel_asked": True,
        "ended_at": now(),
        "message": "cancelled while it waited",
    }
    if not _update(store, at_once, _Row.id == number, _Row.status == State.WAITING.value):
        running = _Row.status == State.RUNNING.value
        _update(store, {"cancel_asked": True}, _Row.id == number, running)
    return find_submission(store, number)


def owners_of_running(store: Store, board: str) -> set[str]:
    """Return the services that run what is of a board.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(_Row.owner).where(_Row.status == State.RUNNING.value, _Row.board == board)
    with store.reading() as session:
        return {owner for owner in session.scalars(query) if owner is not None}


def take_back(store: Store, owner: str) -> int:
    """Let wait again what a service ran that is gone; return how many that are.

    Raises:
        StoreError: if the database refuses.
    """
    gone = (_Row.owner == owner, _Row.status == State.RUNNING.value)
    ended = {
        "status": State.CANCELLED.value,
        "owner": None,
        "ended_at": now(),
        "message": "cancelled; every finished trial is stored",
    }
    again = {
        "status": State.WAITING.value,
        "owner": None,
        "message": "its service is gone; it goes on where it was",
    }
    return _update(store, ended, *gone, _Row.cancel_asked.is_(True)) + _update(store, again, *gone)


def _still_ours(item: Submission) -> tuple[Any, ...]:
    running = _Row.status == State.RUNNING.value
    return _Row.id == item.id, running, _Row.owner == item.owner


def _update(store: Store, values: Mapping[str, Any], *conditions: Any) -> int:
    with store.connection("BEGIN IMMEDIATE") as connection:
        return connection.execute(update(_Row).where(*conditions).values(**values)).rowcount


def _from_row(row: models.SubmissionRow, place: str) -> Submission:
    check_entity(row, place)
    values = {name: getattr(row, name) for name in Submission.__dataclass_fields__}
    return Submission(**{**values, "status": State(row.status)})
