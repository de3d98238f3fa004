"""Probes of one study: asked of the store first, of the device otherwise, and kept."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from autosched.budget import UNLIMITED, Budget
from autosched.cost.model import CostModel
from autosched.device.interface import (
    Device,
    ProbeRequest,
    Request,
    ReshardRequest,
    TensorShape,
    answers,
)
from autosched.device.revisions import current_revisions, reshard_revision, revision_of
from autosched.errors import StoreError
from autosched.network.graph import Layer
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.outcomes import (
    INCONCLUSIVE,
    LOSSES,
    AloneTime,
    DeviceOp,
    ProbeOutcome,
    Rejection,
    RejectionKind,
    RunOutcome,
    TimeKind,
    is_killed_from_outside,
    is_machine_failure,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest, to_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store.database import Store
from autosched.store.probes import (
    DeviceKey,
    ProbeKey,
    StoredProbe,
    delete_probes,
    load_probes,
    save_probes,
)

_REPEAT_NOISE = 0.01
_MOVE = "MoveDeviceOperation"
NEVER_EXECUTED = "never executed"
"""How candidates are counted that are left out as nothing of their kind was executed right."""
UNEXECUTED = Rejection(
    RejectionKind.ACCURACY, "nothing of its kind was executed; effort full offers it"
)


class Phase(Enum):
    """What a search is doing; the value is what a person reads."""

    DEFAULT = "ttnn's default"
    GIVEN = "the schedule given"
    FIRST_LOOK = "first look"
    LAYERS = "probing layers"
    RESHARDS = "probing reshards"
    ORDERING = "ordering the layers"
    SENSITIVITY = "what formats cost"
    FORMATS = "probing formats"
    PROVING = "proving the bound"
    SEARCHING = "trials"
    TIMING = "timing on the card"
    SOAKING = "replaying the best"


LayerProgress = Callable[[Layer, int, int], None]
"""Called with the layer that comes next, how many are done, and of how many."""
Progress = Callable[[Phase, int, int, str], None]
"""Called with a phase, how much of it is done, of how much (0: unknown), and what comes next."""


@dataclass
class ProbeCounts:
    """How many probes were run on the device, how many were known, and what was rejected.

    ``unclassified`` has the words of the rejections of that kind, and how often each was said.
    ``stale`` is how many are stored of these layers that are of no use today: other code answered
    them, or a machine that failed; ``other_versions`` how many are by other versions of ttnn or of
    a card's firmware; ``left_out`` how many go wrong on a card as far as is known, by the reason,
    or are of a kind that was never executed.
    """

    run: int = 0
    reused: int = 0
    stale: int = 0
    rejected: dict[RejectionKind, int] = field(default_factory=dict)
    unclassified: dict[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    other_versions: dict[str, int] = field(default_factory=dict)


class Judge(Protocol):
    """Knows which candidates and schedules go wrong on a card, though a device accepts them."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many candidates were turned down, by the reason."""

    def against_probe(
        self, request: Request, key: ProbeKey, outcome: ProbeOutcome
    ) -> Rejection | None:
        """Return the rejection of what a device accepted, None if nothing is known against it."""

    def against_run(self, schedule: Schedule, outcome: RunOutcome) -> Rejection | None:
        """Return the rejection of a schedule that ran, naming the layer or change of layout."""

    def against_ops(self, schedule: Schedule, ops: Iterable[DeviceOp]) -> Rejection | None:
        """Return the rejection of a schedule by the device ops of its run alone."""

    def suspects(self, schedule: Schedule) -> bool:
        """Whether a schedule may have a step that was executed wrong."""

    def is_executed(self, request: Request, key: ProbeKey, outcome: ProbeOutcome) -> bool:
        """Whether a candidate, or its kind, was executed right."""

    def unexecuted(self, schedule: Schedule, outcome: RunOutcome) -> tuple[str, ...]:
        """Return the layers and changes of layout of a run of whose kind none was executed."""


Ask = tuple[str, Request]
"""The signature of a layer (or :func:`reshard_signature`), and what is asked of the device."""


@dataclass(frozen=True)
class _Question:
    """A request with its place in the store; ``layouts`` are those it is given its inputs in."""

    key: ProbeKey
    config: LayerConfig
    layouts: tuple[TensorLayout, ...]
    request: Request


@dataclass(frozen=True)
class Probed:
    """A probe that ran: the outcome, and its time with its kind.

    ``stderr_log`` is the standard error of log time: the cost model's, or a card's repeat noise.
    ``move_us`` is what of the time ``ttnn.move`` takes; 0 where a card timed the whole layer.
    ``is_executed`` says whether something of its kind was executed right.
    """

    outcome: ProbeOutcome
    time_us: float
    kind: TimeKind
    stderr_log: float
    move_us: float = 0.0
    is_executed: bool = True


def total_us(ops: Iterable[DeviceOp]) -> float:
    """Return the sum of the ops' times in microseconds."""
    return sum(op.time_ns or 0.0 for op in ops) / 1e3


class ProbeBook:
    """Answers probe requests for one device, from memory, the store or the device itself.

    A new answer is written when it comes, which takes about half a millisecond: whatever ends the
    process loses the probes in flight at most. An answer of other code than today's is stale: it is
    asked for again, and stays. What its ``judge`` knows to go wrong on a card is a rejection, and
    stays what it is in the store; without one, nothing is. What is among the ``timed`` takes the
    time that a card took for it alone. ``counts`` says how many were run and reused; ``budget`` is
    that of :meth:`within`. Where it ``is_strict`` the device is not asked at all. Unless it
    ``offers_unexecuted``, a reshard of a kind that the judge says nobody has executed is a
    rejection, too.
    """

    def __init__(
        self,
        store: Store,
        device: Device,
        key: DeviceKey,
        cost: CostModel,
        judge: Judge | None = None,
    ) -> None:
        self.counts = ProbeCounts()
        self.cost = cost
        self.budget = UNLIMITED
        self.judge = judge
        self.offers_unexecuted = True
        self.is_strict = False
        self.timed: Mapping[ProbeKey, AloneTime] = {}
        self._store = store
        self._device = device
        self._key = key
        self._known: dict[ProbeKey, ProbeOutcome | Rejection] = {}
        self._stored: set[ProbeKey] = set()
        self._asked: set[ProbeKey] = set()
        self._loaded: set[str] = set()
        self._unexecuted: set[Hashable] = set()
        self._good: Request | None = None

    def load(self, signatures: Iterable[str]) -> None:
        """Read what the store knows of some layers, once.

        Failures of the machine that former versions stored as rejections are forgotten.
        """
        wanted = set(signatures) - self._loaded
        self._loaded |= wanted
        found = load_probes(self._store, wanted, self._key, current_revisions())
        self.counts.stale += found.stale
        for version, number in found.other_versions.items():
            known = self.counts.other_versions
            known[version] = known.get(version, 0) + number
        failures = {key for key, probe in found.probes.items() if _was_the_machine(probe.outcome)}
        if failures:
            delete_probes(self._store, failures)
            self.counts.stale += len(failures)
        for key, probe in found.probes.items():
            if key not in failures:
                self._known.setdefault(key, probe.outcome)
                self._stored.add(key)

    @contextmanager
    def within(self, budget: Budget) -> Iterator[None]:
        """Ask the device only as long as a budget lasts; then a question raises TimeUpError."""
        before, self.budget = self.budget, budget
        try:
            yield
        finally:
            self.budget = before

    def has_stored(self, signatures: Iterable[str]) -> bool:
        """Return whether the store knows something that is not stale of each of some layers."""
        self.load(signatures := set(signatures))
        return signatures <= {key.layer_signature for key in self._stored}

    def probe(self, signature: str, request: ProbeRequest) -> Probed | Rejection:
        """Return what a candidate did, running it if nobody has yet.

        Raises:
            TimeUpError: if the budget has ended.
        """
        return self.ask_all([(signature, request)])[0]

    def reshard(
        self, shape: TensorShape, source: TensorLayout, target: TensorLayout
    ) -> Probed | Rejection:
        """Return what bringing a tensor from one layout into another did.

        Raises:
            TimeUpError: if the budget has ended.
        """
        return self.ask_all([(reshard_signature(shape), ReshardRequest(shape, source, target))])[0]

    def ask_all(
        self,
        asks: Sequence[Ask],
        arrived: Callable[[int], object] = lambda _index: None,
    ) -> list[Probed | Rejection]:
        """Return what was asked, in that order, running together whatever nobody has yet.

        ``arrived`` is called with the place of each ask that the device has just answered, once
        the answer is written.

        What hangs or crashes a device is asked for once more; only what does so twice is
        remembered, a crash only if the device then answers what it answered before: a machine
        that fails speaks against nothing.

        Raises:
            TimeUpError: if the budget is up before all answers are there; those that are, are
                written.
            StoreError: if the book is strict and the store lacks an answer.
        """
        self.budget.check()
        questions = [self._question(signature, request) for signature, request in asks]
        unknown: dict[ProbeKey, int] = {}
        for index, question in enumerate(questions):
            if question.key not in self._known:
                unknown.setdefault(question.key, index)
        places = list(unknown.values())
        if places and self.is_strict:
            self._miss(questions[places[0]], len(places))
        if lost := self._ask_device(questions, places, arrived, keeps_losses=False):
            self._ask_device(questions, lost, arrived, keeps_losses=True)
        return [self._answer(question) for question in questions]

    def _ask_device(
        self,
        questions: Sequence[_Question],
        places: Sequence[int],
        arrived: Callable[[int], object],
        *,
        keeps_losses: bool,
    ) -> list[int]:
        """Ask the questions at some places, keep the answers, and return those that cost a device.

        A machine that was too busy is no fact about a candidate: the first loss is not kept.
        """
        lost = []
        requests = [questions[place].request for place in places]
        with closing(answers(self._device, requests, self.budget)) as answered:
            for number, outcome in answered:
                place = places[number]
                if _is_loss(outcome) and not keeps_losses:
                    self.budget.check()
                    lost.append(place)
                    continue
                self._keep(questions[place], outcome)
                arrived(place)
        return lost

    def _miss(self, first: _Question, count: int) -> None:
        device, request = self._key, first.request
        stale = f" ({self.counts.stale} are stale)" if self.counts.stale else ""
        what = type(request.op).__name__ if isinstance(request, ProbeRequest) else "a reshard"
        raise StoreError(
            f"--strict: {count} of the next probes of {device} are not in "
            f"{self._store.describe()}{stale}; the first is of {what} to "
            f"{'x'.join(map(str, request.shape))}. Without --strict the device is "
            "asked; autosched db import brings probes of others"
        )

    def key_of(self, signature: str, request: Request) -> ProbeKey:
        """Return the key under which the store has what a request did."""
        return self._question(signature, request).key

    def estimate(self, ops: tuple[DeviceOp, ...]) -> tuple[DeviceOp, ...]:
        """Return ops with a time each: as measured, or by the cost model."""
        if all(op.time_ns is not None for op in ops):
            return ops
        return self.cost.estimate(ops)

    def _question(self, signature: str, request: Request) -> _Question:
        if isinstance(request, ReshardRequest):
            config = FixedConfig(output=request.target, method="reshard")
            key = ProbeKey.of(signature, config, (request.source,), self._key, reshard_revision())
            return _Question(key, config, (request.source,), request)
        given = request.input_layouts
        layouts = request.sources if given is None else given
        key = ProbeKey.of(
            signature, request.config, layouts, self._key, revision_of(type(request.op))
        )
        if given is None:
            key = replace(key, inputs_digest=digest(["native", key.inputs_digest]))
        return _Question(key, request.config, layouts, request)

    def _keep(self, asked: _Question, outcome: ProbeOutcome | Rejection) -> None:
        kind = outcome.kind if isinstance(outcome, Rejection) else None
        if kind in INCONCLUSIVE:
            # Where the time is up, this may be no more than an answer cut short.
            self.budget.check()
        if isinstance(outcome, ProbeOutcome):
            self._good = asked.request
        if kind is not RejectionKind.UNCLASSIFIED and self._speaks_against(outcome):
            probe = StoredProbe(asked.key, asked.config, asked.layouts, outcome)
            save_probes(self._store, [probe])
        self._known[asked.key] = outcome
        self._note(asked.key)

    def _speaks_against(self, outcome: ProbeOutcome | Rejection) -> bool:
        """Whether an answer is one of the configuration, and not of a machine that failed.

        A crash is, if the device then answers once more what it has answered before.
        """
        if not isinstance(outcome, Rejection) or outcome.kind is not RejectionKind.CRASH:
            return True
        if is_killed_from_outside(outcome) or is_machine_failure(outcome.message):
            return False
        if self._good is None:
            return False
        ((_place, again),) = answers(self._device, [self._good], self.budget)
        return isinstance(again, ProbeOutcome)

    def _note(self, key: ProbeKey) -> None:
        """Count a probe at its first use."""
        if key not in self._asked:
            self._asked.add(key)
            self._count(key, self._known[key])

    def _answer(self, asked: _Question) -> Probed | Rejection:
        self._note(asked.key)
        outcome = self._known[asked.key]
        if isinstance(outcome, Rejection):
            return outcome
        against = self._against(asked, outcome)
        if against is not None:
            return against
        is_executed = self._is_executed(asked, outcome)
        timed = self.timed.get(asked.key)
        time_us = outcome.time_us if timed is None else timed.time_us
        if time_us is not None:
            return Probed(
                outcome, time_us, TimeKind.MEASURED, _REPEAT_NOISE, is_executed=is_executed
            )
        ops = self.estimate(outcome.ops)
        return Probed(
            outcome,
            total_us(ops),
            TimeKind.ESTIMATED,
            self.cost.stderr_log(outcome.ops),
            total_us(op for op in ops if op.code == _MOVE),
            is_executed,
        )

    def _against(self, asked: _Question, outcome: ProbeOutcome) -> Rejection | None:
        if self.judge is None:
            return None
        found = self.judge.against_probe(asked.request, asked.key, outcome)
        if found is not None:
            self._count_left_out()
            return found
        is_reshard = isinstance(asked.request, ReshardRequest)
        if is_reshard and not self.offers_unexecuted and not self._is_executed(asked, outcome):
            self.leave_out([asked.key])
            return UNEXECUTED
        return None

    def _is_executed(self, asked: _Question, outcome: ProbeOutcome) -> bool:
        return self.judge is None or self.judge.is_executed(asked.request, asked.key, outcome)

    def leave_out(self, unexecuted: Iterable[Hashable]) -> None:
        """Count what is not offered, each once, since nothing of its kind was executed right."""
        self._unexecuted |= set(unexecuted)
        self._count_left_out()

    def _count_left_out(self) -> None:
        known = {} if self.judge is None else self.judge.left_out
        own = {NEVER_EXECUTED: len(self._unexecuted)} if self._unexecuted else {}
        self.counts.left_out = {**known, **own}

    def _count(self, key: ProbeKey, outcome: ProbeOutcome | Rejection) -> None:
        if key in self._stored:
            self.counts.reused += 1
        else:
            self.counts.run += 1
        if isinstance(outcome, Rejection):
            rejected = self.counts.rejected
            rejected[outcome.kind] = rejected.get(outcome.kind, 0) + 1
            if outcome.kind is RejectionKind.UNCLASSIFIED:
                said = self.counts.unclassified
                said[outcome.message] = said.get(outcome.message, 0) + 1


def _is_loss(outcome: ProbeOutcome | Rejection) -> bool:
    return isinstance(outcome, Rejection) and outcome.kind in LOSSES


def _was_the_machine(outcome: ProbeOutcome | Rejection) -> bool:
    """Whether a failure of the machine was stored as a rejection, as former versions did."""
    return (
        isinstance(outcome, Rejection)
        and outcome.kind is RejectionKind.INVALID
        and is_machine_failure(outcome.message)
    )


def reshard_signature(shape: TensorShape) -> str:
    """Identify the tensors of one shape whose reshards share their probes."""
    return digest({"reshard": to_plain(shape)})
