"""Finished trials as an Optuna study in the same database, for optuna-dashboard.

Our own tables are the truth; the mirror has the value, the constraint and a few summary figures of
each trial. Optuna needs tens of milliseconds for a trial, so a thread of its own writes them.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event, Lock
from types import TracebackType
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from autosched.budget import UNLIMITED, Budget
from autosched.errors import StoreError
from autosched.store.address import parse_url
from autosched.store.database import LOCK_TIMEOUT_S, Store
from autosched.store.database_errors import explain_database_error
from autosched.store.studies import delete_study
from autosched.store.trials import TrialRecord

NUMBER = "trial"
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
    """Writes trials to the Optuna study ``name`` behind the search's back.

    Leaving its context writes all that is left, as far as the ``budget`` lasts, and raises nothing:
    ``trouble`` says what kept it from writing. An exception from within does not wait. What is
    missing is written when the study is opened again.
    """

    def __init__(self, url: str, name: str, budget: Budget = UNLIMITED) -> None:
        self.trouble: StoreError | None = None
        self._budget = budget
        self._url = url
        self._name = name
        self._study: optuna.Study | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="optuna-mirror")
        self._pending: list[Future[None]] = []
        self._abandoned = Event()

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

    def catch_up(self, trials: Iterable[TrialRecord]) -> None:
        """Write what an earlier run stored but did not mirror."""
        self._pending.append(self._thread.submit(self._catch_up, list(trials)))

    def add(self, trial: TrialRecord) -> None:
        """Write one trial, soon."""
        self._pending.append(self._thread.submit(self._add, trial))

    def close(self) -> None:
        """Write all that is left, or what the budget leaves time for.

        Raises:
            StoreError: if the database refuses. Our own tables have the trials all the same; the
                mirror catches up when the study is opened again.
        """
        if math.isfinite(self._budget.deadline_s):
            wait(self._pending, self._budget.left_s + _PATIENCE_S)
            self.abandon()
        self._thread.shutdown(wait=True)
        pending, self._pending = self._pending, []
        try:
            for future in pending:
                future.result()
        except Exception as error:  # whatever Optuna raises, the trials are stored
            raise explained(error, self._url, "Optuna cannot mirror the trials") from error

    def abandon(self) -> None:
        """Leave what is not written yet to the next time the study is opened."""
        self._abandoned.set()
        for future in self._pending:
            future.cancel()
        self._pending = [future for future in self._pending if not future.cancelled()]

    def _opened(self) -> optuna.Study:
        if self._study is None:
            storage = optuna.storages.RDBStorage(self._url, engine_kwargs=self._engine_kwargs())
            with quiet_optuna():
                self._study = optuna.create_study(
                    storage=storage,
                    study_name=self._name,
                    load_if_exists=True,
                    direction="minimize",
                )
        return self._study

    def _engine_kwargs(self) -> dict[str, Any]:
        """Let SQLite wait for other writers as long as our own connections do."""
        is_file = parse_url(self._url).path is not None
        return {"connect_args": {"timeout": LOCK_TIMEOUT_S}} if is_file else {}

    def _catch_up(self, trials: list[TrialRecord]) -> None:
        there = {
            trial.user_attrs.get(NUMBER) for trial in self._opened().get_trials(deepcopy=False)
        }
        for trial in trials:
            if self._abandoned.is_set():
                return
            if trial.number not in there:
                self._add(trial)

    def _add(self, trial: TrialRecord) -> None:
        self._opened().add_trial(frozen(trial))


def explained(error: Exception, url: str, what: str) -> StoreError:
    """Return what Optuna raised as our own error; ``what`` says what it could not do."""
    address = parse_url(url)
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    if not isinstance(cause, SQLAlchemyError):
        return StoreError(f"{address}: {what}: {error}")
    return explain_database_error(cause, str(address), address.path, LOCK_TIMEOUT_S)


def frozen(trial: TrialRecord) -> FrozenTrial:
    """Return the Optuna form of a stored trial; a rejected one has failed."""
    attributes = {
        NUMBER: trial.number,
        "sampler": trial.sampler,
        "latency_kind": trial.latency_kind and trial.latency_kind.value,
        "peak_l1_bytes": trial.peak_l1_bytes,
        "reshards": len(trial.schedule.reshards) if trial.schedule else None,
    }
    if trial.rejection is not None:
        attributes["rejection"] = f"{trial.rejection.kind}: {trial.rejection.layer}"
        return create_trial(state=TrialState.FAIL, user_attrs=attributes)
    return create_trial(
        state=TrialState.COMPLETE,
        value=trial.latency_us,
        user_attrs=attributes,
        system_attrs={_CONSTRAINTS: [0.0]},
    )


def forget_study(store: Store, name: str) -> None:
    """Delete a study, its trials and its mirror; probes stay, as other studies use them.

    Raises:
        StudyError: if there is none.
        StoreError: if the database refuses.
    """
    delete_study(store, name)
    try:
        # A study that was never searched has no mirror.
        with quiet_optuna(), suppress(KeyError):
            optuna.delete_study(study_name=name, storage=store.url)
    # Optuna raises RuntimeError for tables of another version of it.
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:
        what = f"study {name!r} is deleted, but Optuna cannot delete its mirror"
        raise explained(error, store.url, what) from error
