"""One search of a study: what it works with, who watches it, and why it ended."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from autosched.boards import Board, find_board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import Device
from autosched.network.graph import Network
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import Phase, ProbeBook, ProbeCounts
from autosched.schedule.outcomes import RejectionKind, Soaked
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.settings import Settings
from autosched.space.layer_formats import default_schedule
from autosched.store.database import Store
from autosched.store.executions import (
    ExecutionRecord,
    Verification,
    find_verification,
    save_verification,
)
from autosched.store.studies import StudyRecord
from autosched.store.trials import (
    DEFAULT_SAMPLER,
    GIVEN_SAMPLER,
    TrialRecord,
    add_trial,
    best_of,
    fastest_of,
    list_trials,
)

# To find the best takes longer the more trials there are.
_BEST_AGE_S = 5.0


class StopReason(Enum):
    """Why a search ended; the value is what a person reads."""

    BOUND = "bound reached"
    TRIALS = "trials run"
    TIME = "time up"
    EXHAUSTED = "all proposals tried"
    NO_CHOICE = "nothing to choose from"
    FLOOR = "as fast as the floor allows, as far as it was tried"
    FRONT = "from the fastest to the most exact"
    INTERRUPTED = "interrupted"


class Observer(Protocol):
    """Receives the progress of a search; every method may do nothing."""

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        """The search is in a phase, of which ``done`` of ``total`` is done (0: nobody knows).

        ``detail`` is the layer that comes next, or "".
        """

    def on_bound(self, proof: Proof) -> None:
        """The solver proved how fast a schedule of the probed choices can be at best."""

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """A trial has been stored."""

    def on_warning(self, text: str) -> None:
        """Something beside the search went wrong; the search has its result all the same."""


class SilentObserver:
    """Watches nothing."""

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        """Do nothing."""

    def on_bound(self, proof: Proof) -> None:
        """Do nothing."""

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """Do nothing."""

    def on_warning(self, text: str) -> None:
        """Do nothing."""


class Mirror(Protocol):
    """Shows finished trials elsewhere."""

    def add(self, trial: TrialRecord) -> None:
        """Show one trial."""

    def renew(
        self, trials: Iterable[TrialRecord], recall: Callable[[int], TrialRecord] | None = None
    ) -> None:
        """Show all trials anew; ``recall`` returns, by its number, one without its schedule."""


class AccuracyFloor(Protocol):
    """Says how exact schedules are."""

    @property
    def floors(self) -> str:
        """What is asked of them, in words."""

    @property
    def allowed(self) -> float:
        """What the PCC of an output may lack of 1."""

    def share(self, found: ExecutionRecord) -> float:
        """Return how much is lost of what the floors allow; 1 is just exact enough."""

    def judged(self, trial: TrialRecord) -> tuple[TrialRecord, Verification | None]:
        """Return a trial, rejected if it is not exact enough, and what was found of it."""

    def ahead(self, schedule: Schedule) -> AbstractContextManager[None]:
        """Find out how exact a schedule is beside what is done in the block."""


@dataclass
class Run:
    """One search of a study.

    Trials run on ``device``; ``book`` answers probes, and where it only ranks candidates,
    ``measured`` answers for the best of them. ``joint`` and ``proof`` are None until all is probed,
    ``stopped`` until the search has ended. Where formats are searched, no choice of the probed
    candidates takes less than ``floor_bound_us`` that loses no more than the floor allows, by
    errors that are added up, and scaled to what the emulation of the fastest came to.
    """

    store: Store
    record: StudyRecord
    network: Network
    settings: Settings
    board: Board
    device: Device
    book: ProbeBook
    measured: ProbeBook | None = None
    budget: Budget = UNLIMITED
    observer: Observer = field(default_factory=SilentObserver)
    mirror: Mirror | None = None
    accuracy: "AccuracyFloor | None" = None
    joint: JointProblem | None = None
    proof: Proof | None = None
    floor_bound_us: float | None = None
    stopped: StopReason | None = None
    soaked: Soaked | None = None
    _best: TrialRecord | None = field(default=None, init=False)
    _fastest: TrialRecord | None = field(default=None, init=False)
    _best_at: float | None = field(default=None, init=False)

    @property
    def trials(self) -> list[TrialRecord]:
        """All finished trials by number, without their schedules and device ops."""
        return list_trials(self.store, self.record, with_schedules=False)

    @property
    def defaults(self) -> list[TrialRecord]:
        """The finished trials of ttnn's default schedule, without schedules and device ops."""
        return list_trials(self.store, self.record, with_schedules=False, sampler=DEFAULT_SAMPLER)

    @property
    def given(self) -> list[Schedule]:
        """The schedules that the study was given to start from."""
        given = list_trials(self.store, self.record, sampler=GIVEN_SAMPLER)
        return [trial.schedule for trial in given if trial.schedule is not None]

    @property
    def default(self) -> Schedule:
        """Ttnn's default schedule."""
        record = self.record
        formats = self.settings.formats
        return default_schedule(self.network, record.board, record.ttnn_version, formats)

    @property
    def provenance(self) -> Provenance:
        """Where this study's schedules come from."""
        return Provenance(
            network=self.record.network,
            network_signature=self.record.network_signature,
            board=self.record.board,
            ttnn_version=self.record.ttnn_version,
            batch=self.record.batch,
            grid=find_board(self.record.board).grid,
            pack_images=self.network.packing.images,
            study=self.record.name,
        )

    def enter(self, phase: Phase, done: int = 0, total: int = 0, detail: str = "") -> None:
        """Tell the observer how far a phase is."""
        self.observer.on_phase(phase, done, total, detail, self.book.counts)

    def judging(self, schedule: Schedule) -> AbstractContextManager[None]:
        """Judge the accuracy of a schedule while the mock device runs it, if there is a floor.

        Beside a card, that would take the cores of its host from what is timed.
        """
        if self.accuracy is None or self.device.kind != "mock":
            return nullcontext()
        return self.accuracy.ahead(schedule)

    def finish(self, trial: TrialRecord) -> TrialRecord:
        """Store a trial and tell whoever watches; return it with its number.

        Where the study has a floor, its accuracy is judged first.
        """
        stored = add_trial(self.store, self.record, self.judged(trial))
        if self.mirror is not None:
            self.mirror.add(stored)
        if stored.rejection is None or self._best is None:
            self._best_at = None
        self.observer.on_trial(stored, self.best)
        return stored

    def judged(self, trial: TrialRecord) -> TrialRecord:
        """Return a trial, rejected if it is below the study's floor; its emulation is kept."""
        if self.accuracy is None:
            return trial
        trial, found = self.accuracy.judged(trial)
        if found is not None:
            save_verification(self.store, self.record, found)
        return trial

    def emulation_of(self, trial: TrialRecord) -> ExecutionRecord | None:
        """Return what the emulation of a stored trial's schedule came to, if there was one."""
        found = find_verification(self.store, self.record, trial.fingerprint, emulated=True)
        return None if found is None else found.result

    def is_to_judge(self, trial: TrialRecord) -> bool:
        """Whether a stored trial that ran has no emulation of today's code, which a floor asks."""
        ran = trial.rejection is None or trial.rejection.kind is RejectionKind.ACCURACY
        return self.accuracy is not None and ran and self.emulation_of(trial) is None

    @property
    def best(self) -> TrialRecord | None:
        """The best trial with its device ops; one of another process's shows soon after."""
        self._look()
        return self._best

    @property
    def fastest(self) -> TrialRecord | None:
        """The fastest trial: the best one, or what that is hardly slower than."""
        self._look()
        return self._fastest

    def forget_best(self) -> None:
        """Look for the best trial anew: one has been rejected since."""
        self._best_at = None

    def _look(self) -> None:
        if self._best_at is None or time.monotonic() - self._best_at > _BEST_AGE_S:
            self._fastest = fastest_of(self.store, self.record)
            self._best = best_of(self.store, self.record)
            self._best_at = time.monotonic()

    @property
    def is_at_bound(self) -> bool:
        """Whether the fastest trial is as good as the proven bound."""
        fastest = self.fastest
        return (
            fastest is not None
            and self.proof is not None
            and self.proof.is_reached(fastest.latency_us)
        )
