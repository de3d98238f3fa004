"""A study: the search for the best schedule of one network on one device, kept in a database."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING

from autosched.boards import Board, find_board
from autosched.budget import Budget
from autosched.cost.model_choice import ChosenModel, choose_cost_model
from autosched.device.interface import Device
from autosched.device.pool import mock_devices_of, open_pool
from autosched.device.revisions import current_revisions
from autosched.errors import StudyError
from autosched.network.graph import Network
from autosched.network.multiplications import heaviest_layers
from autosched.probing.execution_judge import load_judge
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof, relative_gap
from autosched.probing.probe_book import ProbeBook, ProbeCounts
from autosched.schedule.schedule import Schedule
from autosched.search import loop
from autosched.search.run import AccuracyFloor, Observer, Run, SilentObserver, StopReason
from autosched.search.settings import Settings
from autosched.search.trial import parameters, run_trial
from autosched.store.calibrations import known_times
from autosched.store.database import Store
from autosched.store.executions import find_verification, with_verification
from autosched.store.optuna_mirror import Objectives, OptunaMirror
from autosched.store.studies import StudyRecord
from autosched.store.trials import (
    TrialRecord,
    add_trial,
    best_of,
    cost_models,
    default_trial,
    get_trial,
    list_trials,
    with_provenance,
)

if TYPE_CHECKING:
    from autosched.schedule.outcomes import Soaked
    from autosched.search.format_errors import ErrorModel


_NEW_NAME = "Give a new search a name of its own with --study NAME; it reuses the probes"
_COMPARED_LAYERS = 6  # optuna-dashboard has a column and a bar for each
_CATCHES_UP = "optuna-dashboard shows them when the study goes on"


class Study:
    """Searches the best schedule of a network; every finished trial and probe is stored at once.

    Use it as a context manager, or call :meth:`close`: it owns a worker process. ``stopped`` says
    why its last search ended, None before one has; :attr:`floor_bound_us` is that of
    :class:`~autosched.search.run.Run`.
    """

    def __init__(
        self,
        store: Store,
        record: StudyRecord,
        network: Network,
        settings: Settings,
        device: Device | None = None,
        *,
        jobs: int | None = None,
    ) -> None:
        self._closing = ExitStack()
        self.record = record
        self.network = network
        self.settings = settings
        self.board: Board = find_board(record.board)
        before = _estimated_with(store, record)
        self.cost_choice = choose_cost_model(store, self.board.arch, record.ttnn_version, before)
        _check_comparable(record, before, self.cost_choice)
        self.cost = self.cost_choice.model
        self.proof: Proof | None = None
        self.floor_bound_us: float | None = None
        self.stopped: StopReason | None = None
        self.soaked: Soaked | None = None
        self._store = store
        self._device = device or open_pool(self.board, settings.device, settings.timing, jobs)
        self._device.load(network)
        self._judge = load_judge(
            store,
            network,
            self.board.arch,
            record.ttnn_version,
            uses_rules=not settings.allow_known_faults,
        )
        self._book = self._book_of(self._device)
        self._measured: ProbeBook | None = None
        self._scout: Device | None = None
        if self._device.kind == "silicon":
            # The mock device ranks the candidates, the card measures the best of them.
            self._measured = self._book
            self._measured.timed = known_times(store, record.device, current_revisions())
            self._scout = mock_devices_of(self._device, jobs)
            self._book = self._book_of(self._scout)
        self._joint: JointProblem | None = None

    @cached_property
    def _accuracy(self) -> AccuracyFloor | None:
        floors = self.settings.min_pcc, self.settings.min_metric
        if floors == (None, None):
            return None
        from autosched.search.accuracy import AccuracyJudge  # noqa: PLC0415 - it loads torch

        return AccuracyJudge(self.network, self.board.grid[0], *floors)

    def _objectives(self) -> Objectives | None:
        """Return what Optuna compares the trials of a front by, None where latency is all."""
        if not self.settings.front:
            return None

        def values(trial: TrialRecord) -> tuple[float, float]:
            found = find_verification(self._store, self.record, trial.fingerprint, emulated=True)
            pcc = None if found is None else found.result.pcc
            return trial.latency_us or math.inf, -1.0 if pcc is None else pcc

        return Objectives({"latency_us": "minimize", "PCC (emulated)": "maximize"}, values)

    def _book_of(self, device: Device) -> ProbeBook:
        record = self.record
        key = record.device if device.kind == record.device_kind else record.scout
        return ProbeBook(self._store, device, key, self.cost, self._judge)

    @property
    def name(self) -> str:
        """The study's name in its database."""
        return self.record.name

    @property
    def probe_counts(self) -> ProbeCounts:
        """How many probes this process ran and reused, and what was rejected."""
        return self._book.counts

    @property
    def bound_us(self) -> float | None:
        """The proven lower bound of the probed choices, None as long as not all are probed."""
        return None if self.proof is None else self.proof.bound_us

    @property
    def trials(self) -> list[TrialRecord]:
        """All finished trials by number, without their device ops."""
        return list_trials(self._store, self.record)

    @property
    def summaries(self) -> list[TrialRecord]:
        """All finished trials by number, without their schedules and device ops."""
        return list_trials(self._store, self.record, with_schedules=False)

    @property
    def best(self) -> TrialRecord | None:
        """The best trial, with its device ops; its schedule carries the full provenance.

        It is the fastest one; of estimates, one that risks less and is hardly slower
        (:mod:`autosched.search.risk`).
        """
        found = best_of(self._store, self.record)
        if found is None:
            return None
        best = with_provenance(found, self.record)
        if best.schedule is None:
            return best
        schedule = with_verification(self._store, self.record, best.schedule)
        return replace(best, schedule=schedule)

    def _repr_html_(self) -> str:
        """Return how far the study is, for a notebook."""
        best, trials = self.best, self.summaries
        rows = {
            "network": f"{self.record.network}, batch {self.record.batch}",
            "board": f"{self.record.board} ({self.record.device_kind}), "
            f"ttnn {self.record.ttnn_version}",
            "trials": f"{len(trials)}, {sum(t.rejection is not None for t in trials)} rejected",
            "best": "none yet",
        }
        if best is not None and best.latency_us is not None:
            rows["best"] = f"{best.latency_us:,.1f} µs ({best.latency_kind}), trial {best.number}"
            rows["gain"] = _gain(default_trial(trials), best)
            rows["its kernels"] = best.schedule.provenance.verified if best.schedule else ""
        if self.proof is not None:
            rows["proven bound"] = f"{self.proof.bound_us:,.1f} µs ({self.proof.kind})"
            gap = relative_gap(None if best is None else best.latency_us, self.proof.bound_us)
            if gap is not None and gap >= 0:
                rows["proven bound"] += f", gap {gap:.1%}"
        cells = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(cell)}</td></tr>"
            for name, cell in rows.items()
        )
        return f"<table><caption>Study {escape(self.name)}</caption>{cells}</table>"

    def trial(self, number: int) -> TrialRecord:
        """Return one finished trial with its schedule and device ops.

        Raises:
            StudyError: if there is none of this number.
        """
        return get_trial(self._store, self.record, number)

    def close(self) -> None:
        """End the worker process, then do what :meth:`on_close` was given."""
        self._device.close()
        if self._scout is not None:
            self._scout.close()
        self._closing.close()

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have something done after the worker process has ended."""
        self._closing.callback(callback)

    def __enter__(self) -> "Study":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def optimize(
        self,
        trials: int | None = None,
        timeout_s: float | None = None,
        observer: Observer | None = None,
        start: Schedule | None = None,
    ) -> TrialRecord | None:
        """Run up to ``trials`` trials (default: the effort's) or until ``timeout_s`` have passed.

        ttnn's default schedule is the first trial of a new study, and counts as one. A schedule to
        ``start`` from is the next one, and what it chose joins the candidates for good. Without
        ``trials`` the search also ends when a trial reaches the proven lower bound of the probed
        tables. Interrupted at any moment, it has stored every finished trial and probe.
        :attr:`stopped` says why it ended, :attr:`soaked` what replaying the best on a card
        came to; a time limit is kept within 2 s or one answer of the
        device.

        Raises:
            SearchError: if a layer has no candidate, or no schedule fits.
        """
        budget = Budget.of(timeout_s)
        compared = partial(parameters, layers=heaviest_layers(self.network, _COMPARED_LAYERS))
        mirror = OptunaMirror(self._store.url, self.name, budget, compared, self._objectives())
        run = replace(self._new_run(observer), budget=budget, mirror=mirror)
        try:
            with mirror:
                mirror.catch_up(run.trials, partial(get_trial, self._store, self.record))
                loop.optimize(run, trials, start)
        finally:
            self._joint, self.proof, self.stopped = run.joint, run.proof or self.proof, run.stopped
            self.soaked = run.soaked
            self.floor_bound_us = run.floor_bound_us or self.floor_bound_us
        if mirror.trouble is not None:
            run.observer.on_warning(f"{mirror.trouble}. The trials are stored; {_CATCHES_UP}")
        return self.best

    def prepare(self, observer: Observer | None = None) -> JointProblem:
        """Probe the layers and reshards of the network and return the joint problem."""
        self._joint = loop.prepared(self._new_run(observer))
        return self._joint

    def errors(self, observer: Observer | None = None) -> "ErrorModel":
        """Return what formats cost the outputs: each layer's is measured once, and kept."""
        from autosched.search.format_errors import measured_errors  # noqa: PLC0415 - it loads torch

        return measured_errors(self._new_run(observer))

    def ignore_known_wrong(self) -> None:
        """Count what is known to go wrong among the candidates, too."""
        for book in filter(None, (self._book, self._measured)):
            book.judge = None

    def ask_store_alone(self) -> None:
        """Take probes from the database only: a search that needs another one is a StoreError."""
        self._book.is_strict = True

    def run(self, schedule: Schedule, sampler: str) -> TrialRecord:
        """Run one schedule as a trial of this study, and store it."""
        record = run_trial(self._device, self._book, schedule, sampler)
        return add_trial(self._store, self.record, record)

    def _new_run(self, observer: Observer | None) -> Run:
        return Run(
            self._store,
            self.record,
            self.network,
            self.settings,
            self.board,
            self._device,
            self._book,
            self._measured,
            observer=observer or SilentObserver(),
            accuracy=self._accuracy,
            joint=self._joint,
        )


def _gain(default: TrialRecord | None, best: TrialRecord) -> str:
    """Return what the best trial gains over ttnn's default, with both times and their kind."""
    if default is None or default.latency_us is None or not best.latency_us:
        return "unknown: ttnn's default does not run"
    told = f"{default.latency_us:,.1f} µs ({default.latency_kind})"
    return f"{default.latency_us / best.latency_us:.2f}x over ttnn's default, which takes {told}"


def _estimated_with(store: Store, record: StudyRecord) -> str:
    """Return the version of the cost model of a study's trials, "" if it estimated none.

    Raises:
        StudyError: if they are of several: their times do not compare.
    """
    versions = cost_models(store, record)
    if len(versions) > 1:
        raise StudyError(
            f"the trials of study {record.name!r} were estimated by several cost models "
            f"({', '.join(versions)}), whose times do not compare. {_NEW_NAME}"
        )
    return versions[0] if versions else ""


def _check_comparable(record: StudyRecord, before: str, chosen: ChosenModel) -> None:
    """Raise StudyError if new estimates would be set beside those of another cost model."""
    if before not in ("", chosen.model.version):
        raise StudyError(
            f"the trials of study {record.name!r} were estimated by cost model {before}, which is "
            f"neither in its database nor shipped any more; times by {chosen.model.version} do not "
            f"compare with them. {_NEW_NAME}"
        )
