"""Learning from a card, for one network: what is asked, what comes of it, and what it changes.

Candidates are those that are best by the coefficients of before, by some draws of what these leave
open, and by what was learned since. A batch of times is chosen (:mod:`..learning.decisions`), taken
and stored one by one; the coefficients are learned anew from all times of the card that are known,
whichever network they were taken for, until there are as many as wanted, or nothing is expected to
be lost any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import sqrt
from typing import Protocol

import numpy as np

from autosched.budget import UNLIMITED, Budget
from autosched.cost.coefficients import Coefficients
from autosched.cost.learned import learned_coefficients
from autosched.cost.learning import Learner, Measured
from autosched.cost.uncertainty import chance_below_zero
from autosched.device.interface import Stopwatch
from autosched.device.revisions import current_revisions
from autosched.errors import TimeUpError
from autosched.learning.decisions import NOISE_LOG, Decision, choose, decide, summed_rows
from autosched.learning.timetable import Candidates, LearningTask, Piece, Spent, Timetable
from autosched.probing.candidates import Choice
from autosched.probing.probe_book import Phase, reshard_signature
from autosched.schedule.outcomes import INCONCLUSIVE, AloneTime, Rejection, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.solver.evaluate import Assignment
from autosched.store.calibrations import MeasurementRecord, load_measurements, save_measurement
from autosched.store.probes import ProbeKey

TIMES_AT_ONCE = 5
"""How many times are taken before the coefficients are learned anew."""

SETTLED_SHARE = 5e-4
"""Share of the schedule's time that may still be lost on average when no more is asked."""

# How wide the draws are whose best candidates are looked at before anything is asked: a card may
# be other than those calibrated on by more than these differ among each other.
_WIDTHS = (1.0, 1.0, 2.0, 2.0)


class LearningEnd(Enum):
    """Why no more was asked; the value is what a person reads."""

    ALL = "all times taken"
    SETTLED = "hardly anything left to lose"
    NOTHING = "nothing left to ask"
    TIME = "time up"


class Listener(Protocol):
    """Receives the progress of learning."""

    def on_phase(self, phase: Phase, done: int, total: int, detail: str) -> None:
        """Something is under way, of which ``done`` of ``total`` is done (0: nobody knows)."""

    def on_decision(self, decision: Decision, taken: int) -> None:
        """It was worked out what is best by what is known after ``taken`` times."""

    def on_answer(self, piece: Piece, estimated_us: float, answer: AloneTime | Rejection) -> None:
        """The card has answered, and its answer is stored."""


@dataclass(frozen=True)
class Took:
    """What a schedule or a layer takes, in microseconds, with its standard error."""

    time_us: float
    error_us: float


@dataclass(frozen=True)
class ChangedLayer:
    """A layer that is configured otherwise by what was learned.

    ``was`` and ``now`` are what is chosen for it. Times are of the layer alone: ``thought`` is what
    the choice of before was thought to take, ``was_takes`` and ``now_takes`` what both choices take
    by now; they are measured or estimated, as their kinds say.
    """

    name: str
    was: Choice
    now: Choice
    thought: Took
    was_takes: Took
    was_kind: TimeKind
    now_takes: Took
    now_kind: TimeKind


@dataclass(frozen=True)
class Lesson:
    """What was learned, and what it changes.

    ``taken`` times are new, ``known`` were stored before; ``rejected`` is what the card did not
    run. ``thought`` is the schedule of before by the coefficients of before, ``before`` the same by
    what was learned, ``after`` the schedule that is best by what was learned.
    ``schedule`` is that one. ``expected_loss_us`` are what is lost on average by not knowing
    better, before and after. ``errors_log`` have log(estimated / measured) of each time by the
    coefficients of before, and by those that were learned of it.
    """

    coefficients: Coefficients
    taken: int
    known: int
    rejected: int
    ended: LearningEnd
    thought: Took
    before: Took
    after: Took
    probability_faster: float
    expected_loss_us: tuple[float, float]
    errors_log: tuple[tuple[float, ...], tuple[float, ...]]
    changed: tuple[ChangedLayer, ...]
    conversions_changed: bool
    schedule: Schedule


def learn(
    task: LearningTask,
    stopwatch: Stopwatch,
    wanted: int,
    listener: Listener,
    budget: Budget = UNLIMITED,
) -> Lesson:
    """Ask a card for up to ``wanted`` times that matter for a network, and learn from them.

    Those that were stored for it count. Interrupted at any moment, all answers are stored.

    Raises:
        SearchError: if a layer has no candidate, or no schedule fits.
    """
    session = _Session(task, stopwatch, listener)
    session.begin(budget)
    ended = session.ask(wanted, budget)
    return session.lesson(ended)


class _Session:
    def __init__(self, task: LearningTask, stopwatch: Stopwatch, listener: Listener) -> None:
        self._task = task
        self._stopwatch = stopwatch
        self._listener = listener
        self._learner = Learner(task.book.cost.coefficients)
        self._answers: dict[ProbeKey, AloneTime | Rejection] = {}
        self._own: set[ProbeKey] = set()
        self._taken = 0
        self._candidates = Candidates(task, listener.on_phase)
        self._first: Decision | None = None
        self._decision: Decision

    def begin(self, budget: Budget) -> None:
        """Read what the card has answered before, and work out what is best by all that."""
        task = self._task
        shapes = {reshard_signature(layer.shape) for layer in task.network}
        signatures = {*map(task.network.layer_signature, task.network), *shapes}
        stored = load_measurements(task.store, task.card, current_revisions())
        for record in stored:
            self._answers[record.key] = record.outcome
            if record.key.layer_signature in signatures:
                self._own.add(record.key)
        nothing = self._learner.learn([])
        self._candidates.add(nothing.model(), budget)
        for seed, width in enumerate(_WIDTHS):
            self._candidates.add(nothing.model(seed, width), budget)
        self._first = decide(self._candidates.timetable(self._answers), nothing, budget=budget)
        self._decide(budget)

    @property
    def _measured(self) -> list[Measured]:
        return [
            one
            for key, answer in self._answers.items()
            if isinstance(answer, AloneTime)
            for one in _measured(key.layer_signature, answer)
        ]

    def _decide(self, budget: Budget) -> None:
        measured = self._measured
        belief = self._learner.learn(measured)
        if measured:
            self._candidates.add(belief.model(), budget)
            self._candidates.add(belief.model(len(measured)), budget)
        timetable = self._candidates.timetable(self._answers)
        self._decision = decide(timetable, belief, seed=len(measured), budget=budget)
        self._listener.on_decision(self._decision, len(self._own))

    def ask(self, wanted: int, budget: Budget) -> LearningEnd:
        """Ask for times, batch by batch, until there is a reason to stop."""
        try:
            while len(self._own) < wanted:
                decision = self._decision
                if decision.expected_loss_us < SETTLED_SHARE * decision.best.cost_us and self._own:
                    return LearningEnd.SETTLED
                places = [place for place in decision.telling if self._is_unknown(place)]
                chosen = choose(decision, places, min(TIMES_AT_ONCE, wanted - len(self._own)))
                if not chosen:
                    return LearningEnd.NOTHING
                for place in chosen:
                    self._take(place, wanted, budget)
                self._decide(budget)
        except TimeUpError:
            self._decide(UNLIMITED)
            return LearningEnd.TIME
        return LearningEnd.ALL

    def _is_unknown(self, place: int) -> bool:
        piece = self._decision.timetable.pieces[place]
        return piece.is_of_the_device and self._key(piece) not in self._answers

    def _key(self, piece: Piece) -> ProbeKey:
        return self._candidates.key(piece.signature, piece.request)

    def _take(self, place: int, wanted: int, budget: Budget) -> None:
        piece = self._decision.timetable.pieces[place]
        self._listener.on_phase(Phase.TIMING, len(self._own), wanted, piece.layer)
        answer = self._stopwatch.time_alone(piece.request, budget)
        key = self._key(piece)
        if not isinstance(answer, Rejection) or answer.kind not in INCONCLUSIVE:
            cost = self._task.book.cost.version
            save_measurement(self._task.store, MeasurementRecord(key, cost, answer))
        else:
            budget.check()
        self._answers[key] = answer
        self._own.add(key)
        self._taken += 1
        self._listener.on_answer(piece, float(self._decision.times_us[place]), answer)

    def lesson(self, ended: LearningEnd) -> Lesson:
        """Return what was learned, and what it changes."""
        decision, first = self._decision, self._first
        assert first is not None  # noqa: S101 - begun
        nothing = self._learner.learn([])
        thinking = decide(decision.timetable, nothing, draws=0)
        measured = self._measured
        own = [answer for key, answer in self._answers.items() if key in self._own]
        faster = _sum(decision, _difference(decision, decision.best, thinking.best))
        board, version = self._task.board.name, self._task.ttnn_version
        source = f"{len(measured)} times taken alone on {board}, ttnn {version}"
        return Lesson(
            coefficients=learned_coefficients(self._learner.base, decision.belief, source, version),
            taken=self._taken,
            known=len(self._own) - self._taken,
            rejected=sum(isinstance(answer, Rejection) for answer in own),
            ended=ended,
            thought=_sum(thinking, decision.timetable.spent(thinking.best)),
            before=_sum(decision, decision.timetable.spent(thinking.best)),
            after=_sum(decision, decision.timetable.spent(decision.best)),
            probability_faster=chance_below_zero(faster.time_us, faster.error_us**2),
            expected_loss_us=(first.expected_loss_us, decision.expected_loss_us),
            errors_log=(
                tuple(map(nothing.error_log, measured)),
                tuple(map(decision.belief.error_log, measured)),
            ),
            changed=tuple(self._changed(thinking, decision)),
            conversions_changed=_conversions(decision.timetable, thinking.best)
            != _conversions(decision.timetable, decision.best),
            schedule=self._schedule(decision),
        )

    def _schedule(self, decision: Decision) -> Schedule:
        task, joint = self._task, decision.timetable.joint
        moved = [(move.tensor, move.after) for move in decision.best.moves]
        provenance = Provenance(
            network=task.network.name,
            network_signature=task.network.signature,
            board=task.board.name,
            ttnn_version=task.ttnn_version,
            batch=task.network.batch,
            grid=task.board.grid,
            pack_images=task.network.packing.images,
        )
        return joint.schedule(joint.selection(decision.best.candidates, moved), provenance)

    def _changed(self, thinking: Decision, decision: Decision) -> Iterable[ChangedLayer]:
        timetable = decision.timetable
        pairs = zip(thinking.best.candidates, decision.best.candidates, strict=True)
        for number, (before, after) in enumerate(pairs):
            if before == after:
                continue
            old, new = timetable.candidate(number, before), timetable.candidate(number, after)
            yield ChangedLayer(
                timetable.joint.network.layers[number].name,
                timetable.choice(number, before),
                timetable.choice(number, after),
                _sum(thinking, Spent([old])),
                *self._known(decision, old),
                *self._known(decision, new),
            )

    def _known(self, decision: Decision, place: int) -> tuple[Took, TimeKind]:
        """Return the measured time of a piece, or the estimated one."""
        answer = self._answers.get(self._key(decision.timetable.pieces[place]))
        if isinstance(answer, AloneTime):
            return Took(answer.time_us, answer.error_us), TimeKind.MEASURED
        return _sum(decision, Spent([place])), TimeKind.ESTIMATED


def _measured(signature: str, answer: AloneTime) -> Iterable[Measured]:
    """Yield the times of an answer: of each op where the card's profiler ran, else of all."""
    if answer.time_us <= 0.0:
        return
    noise_log = max(answer.error_us / answer.time_us, NOISE_LOG)
    if all(op.time_ns is not None for op in answer.ops):
        for op in answer.ops:
            if op.time_ns:
                yield Measured((op,), signature, op.time_ns, noise_log)
    else:
        yield Measured(answer.ops, signature, answer.time_us * 1e3, noise_log)


def _difference(decision: Decision, one: Assignment, other: Assignment) -> Spent:
    found = Spent(decision.timetable.spent(one))
    found.subtract(decision.timetable.spent(other))
    return found


def _sum(decision: Decision, spent: Spent) -> Took:
    """Return what some pieces take together, by what is known, and how sure that is."""
    times_us = decision.times_us
    total_us = float(sum(times_us[place] * count for place, count in spent.items()))
    rows = summed_rows([spent], times_us) @ decision.features
    variance = float(decision.belief.covariance(rows)[0, 0])
    return Took(total_us, sqrt(max(variance, 0.0)))


def _conversions(timetable: Timetable, chosen: Assignment) -> list[tuple[int, int]]:
    places = (place for place, _ in timetable.placed(chosen))
    return sorted((one, two) for one, two in places if one != two)


def median_error(errors_log: Sequence[float]) -> float:
    """Return the median of relative errors, 0 of none."""
    return float(np.median(np.abs(np.expm1(errors_log)))) if errors_log else 0.0
