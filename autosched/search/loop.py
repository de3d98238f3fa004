"""The search loop: which schedule runs next, and why the search ends.

ttnn's default is the first trial of a study, a schedule to start from the next one, then the best
of a first look at few candidates; from then on a sampler proposes schedules of all candidates.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import Device
from autosched.errors import SearchError, TimeUpError
from autosched.network.graph import Network
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.probing.lower_bound import Proof, prove
from autosched.probing.probe_book import TRANSIENT, Phase, ProbeBook, ProbeCounts
from autosched.probing.problem_builder import build_problem
from autosched.probing.restrictions import Restriction
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.samplers.registry import make_sampler
from autosched.search.settings import Settings
from autosched.search.trial import run_repaired, run_trial
from autosched.space.defaults import default_schedule
from autosched.space.efforts import FIRST_LOOK, QUICK, Effort
from autosched.store.database import Store
from autosched.store.studies import StudyRecord
from autosched.store.trials import (
    DEFAULT_SAMPLER,
    GIVEN_SAMPLER,
    TrialRecord,
    add_trial,
    best_of,
    list_trials,
)

_JOINT = "joint"
_PROOF_LIMIT_S = 20.0
_REPEATS = 50


class StopReason(Enum):
    """Why a search ended; the value is what a person reads."""

    BOUND = "bound reached"
    TRIALS = "trials run"
    TIME = "time up"
    EXHAUSTED = "all proposals tried"
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


@dataclass
class Run:
    """One search of a study.

    Trials run on ``device``; ``book`` answers probes, and where it only ranks candidates,
    ``measured`` answers for the best of them. ``joint`` and ``proof`` are None until all is probed,
    ``stopped`` until the search has ended.
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
    joint: JointProblem | None = None
    proof: Proof | None = None
    stopped: StopReason | None = None

    @property
    def trials(self) -> list[TrialRecord]:
        """All finished trials by number, without their device ops."""
        return list_trials(self.store, self.record)

    @property
    def given(self) -> list[Schedule]:
        """The schedules that the study was given to start from."""
        given = [trial for trial in self.trials if trial.sampler == GIVEN_SAMPLER]
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
            study=self.record.name,
        )

    def enter(self, phase: Phase, done: int = 0, total: int = 0, detail: str = "") -> None:
        """Tell the observer how far a phase is."""
        self.observer.on_phase(phase, done, total, detail, self.book.counts)


class Proposals:
    """What a sampler proposes of one joint problem; no schedule twice."""

    def __init__(
        self,
        joint: JointProblem,
        sampler: str,
        seed: int | None,
        trials: Iterable[TrialRecord] = (),
    ) -> None:
        self.joint = joint
        self.sampler = sampler
        self._proposer = make_sampler(sampler, joint, seed)
        self._known: dict[str, TrialRecord] = {}
        for record in trials:
            selection = None if record.schedule is None else joint.find(record.schedule)
            if selection is not None and record.schedule is not None:
                # The one that ran may have been repaired.
                proposed = joint.schedule(selection, record.schedule.provenance)
                self.tell(selection, proposed, record)

    def next(
        self, provenance: Provenance, budget: Budget = UNLIMITED
    ) -> tuple[Selection, Schedule] | None:
        """Return a joint choice that has not been tried, and its schedule; None if none comes.

        A sampler that repeats itself is told once more what is known, a bounded number of times.
        """
        for _ in range(_REPEATS):
            selection = None if budget.is_up else self._proposer.propose(budget)
            if selection is None:
                return None
            schedule = self.joint.schedule(selection, provenance)
            known = self._known.get(schedule.fingerprint())
            if known is None:
                return selection, schedule
            self._proposer.tell(selection, known)
        return None

    def tell(self, selection: Selection, schedule: Schedule, record: TrialRecord) -> None:
        """Let the sampler learn from a trial of a proposed schedule."""
        self._known[schedule.fingerprint()] = record
        if record.schedule is not None:
            # Repaired, it may be what another proposal is from the start.
            self._known.setdefault(record.schedule.fingerprint(), record)
        self._proposer.tell(selection, record)


def optimize(run: Run, trials: int | None, start: Schedule | None = None) -> None:
    """Search until there is a reason to stop, which :attr:`Run.stopped` then is.

    Up to ``trials`` trials run; None: as many as the effort has, or until one reaches the bound.

    Raises:
        SearchError: if a layer has no candidate, or no schedule fits.
    """
    limit = run.settings.effort.trials if trials is None else trials
    try:
        limit -= run_default(run)
        limit -= run_given(run, start)
        limit -= first_look(run, limit)
        run.stopped = search(run, limit, stops_at_bound=trials is None)
    except TimeUpError:
        run.stopped = StopReason.TIME
    except KeyboardInterrupt:
        run.stopped = StopReason.INTERRUPTED
        raise


def run_default(run: Run) -> int:
    """Run ttnn's default schedule if the study has no such trial; return how many trials ran.

    One that hung or crashed is tried again when the study goes on.
    """
    if any(
        trial.sampler == DEFAULT_SAMPLER
        and (trial.rejection is None or trial.rejection.kind not in TRANSIENT)
        for trial in run.trials
    ):
        return 0
    run.enter(Phase.DEFAULT)
    finish(run, run_trial(run.device, run.book, run.default, DEFAULT_SAMPLER, run.budget))
    return 1


def run_given(run: Run, schedule: Schedule | None) -> int:
    """Run a schedule to start from, unless the study has such a trial; return how many ran.

    The device may reject it: what it accepts of its layers is still worth a try.
    """
    if schedule is None or schedule.fingerprint() in {item.fingerprint() for item in run.given}:
        return 0
    run.enter(Phase.GIVEN)
    run.joint = None
    own = replace(schedule, provenance=run.provenance)
    finish(run, run_trial(run.device, run.book, own, GIVEN_SAMPLER, run.budget))
    return 1


def first_look(run: Run, limit: int) -> int:
    """Run the best of a few candidates a layer; return how many trials that took.

    A new study soon has a good schedule then, also if its time is up before all is probed.
    """
    begun = any(trial.sampler != DEFAULT_SAMPLER for trial in run.trials)
    if begun or limit < 2 or run.settings.effort.name == QUICK:
        return 0  # at effort quick, a first look is most of the search
    if run.book.has_stored(run.network.layer_signature(layer) for layer in run.network):
        return 0  # what is stored is read as a whole soon enough
    run.enter(Phase.FIRST_LOOK)
    try:
        joint = probed(run, FIRST_LOOK, run.settings.restrictions)
        return int(run_asked(run, informed(run, joint, _JOINT)))
    except SearchError:
        return 0  # with all candidates, the network may fit after all
    except TimeUpError:
        run.budget.check()
        return 0  # the solver's own time for a proposal


def search(run: Run, limit: int, *, stops_at_bound: bool) -> StopReason:
    """Probe all candidates, prove the bound, and run what the sampler proposes."""
    joint = prepared(run)
    run.enter(Phase.PROVING)
    run.proof = proven(run, joint)
    run.observer.on_bound(run.proof)
    proposals = informed(run, joint, run.settings.sampler)
    for done in range(limit):
        run.enter(Phase.SEARCHING, done, limit)
        if run.budget.is_up:
            return StopReason.TIME
        if stops_at_bound and reached(run, run.proof):
            return StopReason.BOUND
        if not run_asked(run, proposals):
            return StopReason.TIME if run.budget.is_up else StopReason.EXHAUSTED
    run.enter(Phase.SEARCHING, max(limit, 0), max(limit, 0))
    return StopReason.BOUND if stops_at_bound and reached(run, run.proof) else StopReason.TRIALS


def prepared(run: Run) -> JointProblem:
    """Return the joint problem of all candidates, probed where it is not yet."""
    if run.joint is not None:
        return run.joint
    joint = probed(run, run.settings.effort, run.settings.restrictions)
    if not run.budget.is_up:  # otherwise its bound may rest on what there was no time to probe
        run.joint = joint
    return joint


def probed(
    run: Run, effort: Effort, rules: Sequence[Restriction], *, silent: bool = False
) -> JointProblem:
    """Probe the layers and reshards of the network and return the joint problem."""
    return build_problem(
        run.network,
        run.settings.formats,
        run.board,
        effort,
        run.book,
        run.measured,
        known=() if effort is FIRST_LOOK else [run.default, *run.given],
        rules=rules,
        progress=(lambda *_: None) if silent else run.enter,
        budget=run.budget,
    )


def proven(run: Run, joint: JointProblem) -> Proof:
    """Prove the lower bound; where nothing fits, say which restriction is to blame."""
    try:
        return prove(joint, _PROOF_LIMIT_S, run.budget)
    except SearchError as error:
        run.budget.check()
        reason = error
    helpful = [str(rule) for rule in run.settings.restrictions if _fits_without(run, rule)]
    if not helpful:
        raise reason
    raise SearchError(f"{reason}. It becomes feasible without {' or without '.join(helpful)}")


def _fits_without(run: Run, rule: Restriction) -> bool:
    others = [item for item in run.settings.restrictions if item is not rule]
    try:
        prove(probed(run, run.settings.effort, others, silent=True), _PROOF_LIMIT_S, run.budget)
    except SearchError:
        return False
    return True


def informed(run: Run, joint: JointProblem, sampler: str) -> Proposals:
    """Return what a sampler proposes that knows every stored trial of these tables."""
    trials = list_trials(run.store, run.record, with_ops=True)
    return Proposals(joint, sampler, run.settings.seed + len(trials), trials)


def run_asked(run: Run, proposals: Proposals) -> bool:
    """Run the next proposal, store it and tell the sampler; return whether there was one."""
    found = proposals.next(run.provenance, run.budget)
    if found is None:
        return False
    selection, schedule = found
    stored = finish(
        run,
        run_repaired(
            run.device, run.book, proposals.joint, schedule, proposals.sampler, run.budget
        ),
    )
    proposals.tell(selection, schedule, stored)
    return True


def finish(run: Run, trial: TrialRecord) -> TrialRecord:
    """Store a trial and tell whoever watches; return it with its number."""
    stored = add_trial(run.store, run.record, trial)
    if run.mirror is not None:
        run.mirror.add(stored)
    run.observer.on_trial(stored, best_of(run.store, run.record))
    return stored


def reached(run: Run, proof: Proof) -> bool:
    """Whether the best trial is as good as the bound."""
    best = best_of(run.store, run.record)
    return best is not None and proof.is_reached(best.latency_us)
