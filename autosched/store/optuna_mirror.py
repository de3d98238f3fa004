"""Finished trials as an Optuna study in the same database, for optuna-dashboard.

Our own tables are the truth; the mirror has the value, the constraint and a few summary figures of
each trial. Optuna needs tens of milliseconds for a trial, so a thread of its own writes them.

A mirror is told from a user's own Optuna study by an attribute, whatever both are called.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock
from types import TracebackType
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from autosched.budget import UNLIMITED, Budget
from autosched.errors import StoreError
from autosched.schedule.schedule import Schedule
from autosched.store.address import parse_url
from autosched.store.database import LOCK_TIMEOUT_S, Store
from autosched.store.database_errors import explain_database_error
from autosched.store.optuna_tables import opened_optuna
from autosched.store.studies import delete_study
from autosched.store.trials import TrialRecord

Parameters = Callable[[Schedule], tuple[dict[str, Any], dict[str, BaseDistribution]]]
"""What of a schedule Optuna is to compare, and what values each may have: alike for all."""


@dataclass(frozen=True)
class Objectives:
    """What a study of several aims minimises or maximises: (name, direction), and each trial's."""

    directions: Mapping[str, Literal["minimize", "maximize"]]
    values: Callable[[TrialRecord], Sequence[float]]


NUMBER = "trial"
MIRROR_PREFIX = "autosched:"
"""What the name of a new mirror begins with; the study's name follows."""
_ATTRIBUTES = frozenset({NUMBER, "sampler", "latency_kind", "peak_l1_bytes", "reshards"})
_REJECTION = "rejection"
_MARK = "autosched_study"  # the attribute of a mirror: the name of the study it is of
_DONE = "mirrored"  # the attribute of a mirror: up to which number it has all trials
_LATENCY = "latency_us"
_CONSTRAINTS = "constraints"  # the system attribute under which Optuna's samplers keep theirs
# A limited search still waits so long for its last trials to be mirrored.
_PATIENCE_S = 1.0


class _Quiet:
    """How many want Optuna quiet, and how talkative it was before."""

    lock = Lock()
    count = 0
    before = 0


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from logging what it creates while the body runs, in whatever threads."""
    with _Quiet.lock:
        if not _Quiet.count:
            _Quiet.before = optuna.logging.get_verbosity()
            optuna.logging.set_verbosity(optuna.logging.ERROR)
        _Quiet.count += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.count -= 1
            if not _Quiet.count:
                optuna.logging.set_verbosity(_Quiet.before)


class OptunaMirror:
    """Writes trials of the study ``name`` to an Optuna study behind the search's back.

    Leaving its context writes all that is left, as far as the ``budget`` lasts, and raises nothing:
    ``trouble`` says what kept it from writing. After the first trouble it writes no more. An
    exception from within does not wait. What is missing is written when the study is opened again.
    ``parameters`` says what of a schedule Optuna is to compare, ``objectives`` by what trials are
    (default: their latency).
    """

    def __init__(
        self,
        url: str,
        name: str,
        budget: Budget = UNLIMITED,
        parameters: Parameters | None = None,
        objectives: Objectives | None = None,
    ) -> None:
        self.trouble: StoreError | None = None
        self._parameters = parameters
        self._objectives = objectives
        self._budget = budget
        self._url = url
        self._name = name
        self._study: _MirroredStudy | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="optuna-mirror")
        self._pending: list[Future[None]] = []
        self._abandoned = Event()
        self._failure: Exception | None = None

    def __enter__(self) -> "OptunaMirror":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abandon()
        try:
            self.close()
        except StoreError as trouble:
            self.trouble = trouble

    def catch_up(
        self, trials: Iterable[TrialRecord], recall: Callable[[int], TrialRecord] | None = None
    ) -> None:
        """Write what an earlier run stored but did not mirror.

        ``recall`` returns, by its number, one that comes without its schedule.
        """
        self._submit(partial(self._catch_up, list(trials), recall))

    def add(self, trial: TrialRecord) -> None:
        """Write one trial, soon."""
        self._submit(partial(self._add, trial))

    def renew(
        self, trials: Iterable[TrialRecord], recall: Callable[[int], TrialRecord] | None = None
    ) -> None:
        """Write all trials anew, since some were rejected after they had been mirrored.

        Optuna lets nobody change a trial that has ended. ``recall`` is as in :meth:`catch_up`.
        """
        self._submit(partial(self._renew, list(trials), recall))

    def close(self) -> None:
        """Write all that is left, or what the budget leaves time for.

        Raises:
            StoreError: if the database refuses. Our own tables have the trials all the same; the
                mirror catches up when the study is opened again.
        """
        if math.isfinite(self._budget.deadline_s):
            wait(self._pending, self._budget.left_s + _PATIENCE_S)
            self.abandon()
        self._thread.submit(self._note_progress)
        self._thread.shutdown(wait=True)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise explained(failure, self._url, "Optuna cannot mirror the trials") from failure

    def abandon(self) -> None:
        """Leave what is not written yet to the next time the study is opened."""
        self._abandoned.set()
        for future in self._pending:
            future.cancel()

    def _submit(self, write: Callable[[], None]) -> None:
        self._pending = [future for future in self._pending if not future.done()]
        self._pending.append(self._thread.submit(self._attempt, write))

    def _attempt(self, write: Callable[[], None]) -> None:
        if self._abandoned.is_set():
            return
        try:
            write()
        except Exception as error:  # whatever Optuna raises, the trials are stored
            # What is wrong with one is wrong with the next, each after the time a lock takes.
            self._failure = error
            self._abandoned.set()

    def _opened(self) -> "_MirroredStudy":
        if self._study is None:
            with quiet_optuna(), opened_optuna(self._url, LOCK_TIMEOUT_S) as storage:
                self._study = _mirror(storage, self._name, self._parameters, self._objectives)
        return self._study

    def _catch_up(
        self, trials: list[TrialRecord], recall: Callable[[int], TrialRecord] | None
    ) -> None:
        study = self._opened()
        new = [trial for trial in trials if trial.number is None or trial.number >= study.done]
        there = study.numbers() if new else set()
        for trial in new:
            if self._abandoned.is_set():
                return
            if trial.number not in there:
                study.add(_whole(trial, recall))
                there.add(trial.number)
        while study.done in there:
            study.done += 1

    def _renew(
        self, trials: list[TrialRecord], recall: Callable[[int], TrialRecord] | None
    ) -> None:
        with quiet_optuna(), opened_optuna(self._url, LOCK_TIMEOUT_S) as storage:
            mirror = find_mirror(storage, self._name)
            if mirror is not None:
                optuna.delete_study(study_name=mirror, storage=storage)
        self._study = None
        self._catch_up(trials, recall)

    def _add(self, trial: TrialRecord) -> None:
        self._opened().add(trial)

    def _note_progress(self) -> None:
        if self._study is None or self._failure is not None:
            return
        try:
            self._study.note_progress()
        except Exception as error:  # as above
            self._failure = error


def _whole(trial: TrialRecord, recall: Callable[[int], TrialRecord] | None) -> TrialRecord:
    if trial.schedule is not None or trial.number is None or recall is None:
        return trial
    return recall(trial.number)


class _MirroredStudy:
    """A mirror in Optuna's storage; what is written is not kept in memory, as Optuna would.

    Trials of numbers below ``done`` are all there. That is noted in the study, so that not all of
    Optuna's trials have to be read to know.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        parameters: Parameters | None,
        objectives: Objectives | None,
    ) -> None:
        self._storage = storage
        self._id = study_id
        self._parameters = parameters
        self._objectives = objectives
        self._noted = int(storage.get_study_user_attrs(study_id).get(_DONE, 0))
        self.done = self._noted

    def numbers(self) -> set[Any]:
        """Return the numbers of the trials that are there."""
        trials = self._storage.get_all_trials(self._id, deepcopy=False)
        return {trial.user_attrs.get(NUMBER) for trial in trials}

    def add(self, trial: TrialRecord) -> None:
        """Write a trial."""
        values = None
        if self._objectives is not None and trial.rejection is None:
            values = self._objectives.values(trial)
        self._storage.create_new_trial(self._id, frozen(trial, self._parameters, values))
        if trial.number == self.done:
            self.done += 1

    def note_progress(self) -> None:
        """Write down up to where all trials are there."""
        if self.done != self._noted:
            self._storage.set_study_user_attr(self._id, _DONE, self.done)
            self._noted = self.done


def _mirror(
    storage: BaseStorage,
    name: str,
    parameters: Parameters | None,
    objectives: Objectives | None,
) -> _MirroredStudy:
    """Return the mirror of a study, made where there is none; nobody else is making it."""
    called = find_mirror(storage, name)
    if called is None:
        called = _free_name(storage, MIRROR_PREFIX + name)
        aims = (objectives or Objectives({_LATENCY: "minimize"}, lambda _: ())).directions
        made = optuna.create_study(
            storage=storage, study_name=called, directions=list(aims.values())
        )
        if objectives is not None:
            made.set_metric_names(list(aims))
    study_id = storage.get_study_id_from_name(called)
    if storage.get_study_user_attrs(study_id).get(_MARK) != name:
        storage.set_study_user_attr(study_id, _MARK, name)
    return _MirroredStudy(storage, study_id, parameters, objectives)


def find_mirror(storage: BaseStorage, name: str) -> str | None:
    """Return what the mirror of a study is called, None where it has none.

    One that an earlier version made has no mark, and is called as the study is.
    """
    studies = {study.study_name: study for study in storage.get_all_studies()}
    for called, study in studies.items():
        if study.user_attrs.get(_MARK) == name:
            return called
    for called in (MIRROR_PREFIX + name, name):
        if called in studies and _MARK not in studies[called].user_attrs:
            trials = storage.get_all_trials(storage.get_study_id_from_name(called), deepcopy=False)
            if _is_made_here(trials):
                return called
    return None


def _is_made_here(trials: list[FrozenTrial]) -> bool:
    """Whether all trials, and there are some, have what :func:`frozen` gives them and no more."""
    ours = (
        _ATTRIBUTES <= trial.user_attrs.keys() <= {*_ATTRIBUTES, _REJECTION}
        and not trial.params
        and not trial.intermediate_values
        for trial in trials
    )
    return bool(trials) and all(ours)


def _free_name(storage: BaseStorage, name: str) -> str:
    taken = {study.study_name for study in storage.get_all_studies()}
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def explained(error: Exception, url: str, what: str) -> StoreError:
    """Return what Optuna raised as our own error; ``what`` says what it could not do."""
    address = parse_url(url)
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    if not isinstance(cause, SQLAlchemyError):
        return StoreError(f"{address}: {what}: {error}")
    return explain_database_error(cause, str(address), address.path, LOCK_TIMEOUT_S)


def frozen(
    trial: TrialRecord,
    parameters: Parameters | None = None,
    compared: Sequence[float] | None = None,
) -> FrozenTrial:
    """Return the Optuna form of a stored trial; a rejected one has failed.

    ``compared`` is what it is compared by, its latency where there are none.
    """
    attributes = {
        NUMBER: trial.number,
        "sampler": trial.sampler,
        "latency_kind": trial.latency_kind and trial.latency_kind.value,
        "peak_l1_bytes": trial.peak_l1_bytes,
        "reshards": len(trial.schedule.reshards) if trial.schedule else None,
    }
    chosen: dict[str, Any] = {}
    if parameters is not None and trial.schedule is not None:
        values, distributions = parameters(trial.schedule)
        chosen = {"params": values, "distributions": distributions}
    if trial.rejection is not None:
        attributes[_REJECTION] = f"{trial.rejection.kind}: {trial.rejection.layer}"
        return create_trial(state=TrialState.FAIL, user_attrs=attributes, **chosen)
    assert trial.latency_us is not None  # noqa: S101 - it ran
    return create_trial(
        **chosen,
        state=TrialState.COMPLETE,
        values=[trial.latency_us] if compared is None else list(compared),
        user_attrs=attributes,
        system_attrs={_CONSTRAINTS: [0.0]},
    )


def forget_study(store: Store, name: str) -> None:
    """Delete a study, its trials and its mirror; probes stay, as other studies use them.

    An Optuna study that is no mirror stays, whatever it is called.

    Raises:
        StudyError: if there is none.
        StoreError: if the database refuses.
    """
    delete_study(store, name)
    what = f"study {name!r} is deleted, but Optuna cannot delete its mirror"
    forget_mirrors(store, [name], what)


def forget_mirrors(store: Store, names: Iterable[str], otherwise: str) -> None:
    """Delete the mirrors of studies; one whose study goes on is made again then, and whole.

    Raises:
        StoreError: if the database refuses; ``otherwise`` is what it says then.
    """
    try:
        with quiet_optuna(), opened_optuna(store.url, LOCK_TIMEOUT_S) as storage:
            for name in names:
                mirror = find_mirror(storage, name)
                if mirror is not None:  # a study that was never searched has none
                    optuna.delete_study(study_name=mirror, storage=storage)
    # Optuna raises RuntimeError for tables of another version of it.
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:
        raise explained(error, store.url, otherwise) from error
