"""The samplers by the names that ``--sampler`` takes, and what they propose, each schedule once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from autosched.budget import UNLIMITED, Budget
from autosched.errors import NoScheduleError, SearchError
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import INCONCLUSIVE, RejectionKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.samplers.joint_sampler import JointSampler
from autosched.search.samplers.mutation import MutationSampler
from autosched.solver.stages import Floats
from autosched.store.trials import TrialRecord


class Proposer(Protocol):
    """Says which schedule of one joint problem is worth the next trial."""

    def propose(self, budget: Budget = UNLIMITED) -> Selection | None:
        """Return a joint choice, None if there is none left or the budget ends.

        It may be one that was told before; then it is told again, and the next one asked for.
        """

    def tell(self, selection: Selection, record: TrialRecord) -> None:
        """Learn what became of a joint choice, also of one that somebody else proposed."""


@dataclass(frozen=True)
class SamplerKind:
    """One entry: its name, what it does in a line, and how it is made."""

    name: str
    title: str
    make: Callable[[JointProblem, int | None], Proposer]


def _tpe(joint: JointProblem, seed: int | None) -> Proposer:
    from autosched.search.samplers.optuna_trials import tpe  # noqa: PLC0415 - loads optuna

    return tpe(joint, seed)


def _nsga2(joint: JointProblem, seed: int | None) -> Proposer:
    from autosched.search.samplers.optuna_trials import nsga2  # noqa: PLC0415 - as above

    return nsga2(joint, seed)


def _random(joint: JointProblem, seed: int | None) -> Proposer:
    from autosched.search.samplers.optuna_trials import uniform  # noqa: PLC0415 - as above

    return uniform(joint, seed)


SAMPLERS = {
    kind.name: kind
    for kind in (
        SamplerKind(
            "joint", "exact optimum of the probed tables, corrected by every trial", JointSampler
        ),
        SamplerKind(
            "mutation", "(1+1) evolution that changes adjacent layers together", MutationSampler
        ),
        SamplerKind("tpe", "Optuna's tree-structured Parzen estimator, multivariate", _tpe),
        SamplerKind("nsga2", "Optuna's NSGA-II", _nsga2),
        SamplerKind("random", "uniform over the tables", _random),
    )
}


def make_sampler(name: str, joint: JointProblem, seed: int | None) -> Proposer:
    """Return the sampler called ``name``.

    Raises:
        SearchError: if there is none; the message lists those there are.
    """
    check_sampler(name)
    return SAMPLERS[name].make(joint, seed)


def check_sampler(name: str) -> None:
    """Raise SearchError if there is no sampler called ``name``."""
    if name not in SAMPLERS:
        raise SearchError(f"unknown sampler {name!r}; it is one of {', '.join(SAMPLERS)}")


_REPEATS = 50
# A machine that was short of memory, or a card that was reset, says nothing of a schedule; what is
# lost twice, in as many runs, is taken to be its own fault.
_LOSSES = 2


class Proposals:
    """What a sampler proposes of one joint problem; no schedule twice.

    The sampler learns at once from those of the ``trials`` that come with their schedules. From one
    that comes without it learns when it proposes it again: then ``recall`` returns it whole, by its
    number. What has been learned is kept without schedules and device ops.
    """

    def __init__(
        self,
        joint: JointProblem,
        sampler: str,
        seed: int | None,
        trials: Sequence[TrialRecord] = (),
        recall: Callable[[int], TrialRecord] | None = None,
    ) -> None:
        self.joint = joint
        self.sampler = sampler
        self._recall = recall
        self._proposer = make_sampler(sampler, joint, seed)
        self._known: dict[str, TrialRecord] = {}
        self._unread: set[int] = set()
        for record in _conclusive(trials):
            if record.schedule is None:
                self._note_unread(record)
                continue
            selection = joint.find(record.schedule)
            if selection is not None:
                # The one that ran may have been repaired.
                proposed = joint.schedule(selection, record.schedule.provenance)
                self.tell(selection, proposed, record)

    def next(
        self, provenance: Provenance, budget: Budget = UNLIMITED
    ) -> tuple[Selection, Schedule] | None:
        """Return a joint choice that has not been tried, and its schedule; None if none comes.

        A sampler that repeats itself is told once more what is known, a bounded number of times.
        """
        repeats = 0
        while repeats < _REPEATS:
            selection = None if budget.is_up else self._proposer.propose(budget)
            if selection is None:
                return None
            schedule = self.joint.schedule(selection, provenance)
            known = self._known.get(schedule.fingerprint())
            if known is None:
                return selection, schedule
            if known.number in self._unread:
                known = self._read(known.number)
            else:
                repeats += 1
            self._proposer.tell(selection, known)
        return None

    def least_risky(
        self,
        risks_us: Sequence[Floats],
        limit_us: float,
        provenance: Provenance,
        budget: Budget = UNLIMITED,
    ) -> tuple[Selection, Schedule] | None:
        """Return the joint choice of least risk within a time, and its schedule.

        None if there is none that has not been tried, or the sampler does not solve for it.

        Raises:
            SearchError: as :meth:`JointSampler.least_risky`.
        """
        if not isinstance(self._proposer, JointSampler):
            return None
        selection = self._proposer.least_risky(risks_us, limit_us, budget)
        if selection is None:
            return None
        schedule = self.joint.schedule(selection, provenance)
        known = self._known.get(schedule.fingerprint())
        return None if known is not None else (selection, schedule)

    def penalised(
        self, penalties_us: Sequence[Floats], provenance: Provenance, budget: Budget = UNLIMITED
    ) -> tuple[Selection, Schedule, float] | None:
        """Return the optimum where candidates cost so much more, its schedule, and a lower bound.

        None if what was learned leaves none, or the sampler does not solve for it.

        Raises:
            SearchError: if time ends before there is one.
        """
        if not isinstance(self._proposer, JointSampler):
            return None
        try:
            selection, bound_us = self._proposer.penalised(penalties_us, budget)
        except NoScheduleError:
            return None
        return selection, self.joint.schedule(selection, provenance), bound_us

    def known(self, schedule: Schedule) -> TrialRecord | None:
        """Return the trial of a schedule, without it, if it has been tried."""
        return self._known.get(schedule.fingerprint())

    def tell(self, selection: Selection, schedule: Schedule, record: TrialRecord) -> None:
        """Let the sampler learn from a trial of a proposed schedule."""
        kept = replace(record, schedule=None, ops=())
        self._known[schedule.fingerprint()] = kept
        if record.schedule is not None:
            # Repaired, it may be what another proposal is from the start.
            self._known.setdefault(record.fingerprint or record.schedule.fingerprint(), kept)
        self._proposer.tell(selection, record)

    def _note_unread(self, record: TrialRecord) -> None:
        self._known.setdefault(record.fingerprint, record)
        if record.number is not None and self._recall is not None:
            self._unread.add(record.number)

    def _read(self, number: int | None) -> TrialRecord:
        assert number is not None  # noqa: S101 - only numbers are unread
        assert self._recall is not None  # noqa: S101 - otherwise none is
        self._unread.remove(number)
        return self._recall(number)


def telling_trials(trials: Sequence[TrialRecord], most: int) -> list[int]:
    """Return the numbers of the trials a sampler learns most from: the newest, then the best."""
    numbered = [(trial.number, trial) for trial in trials if trial.number is not None]
    newest = dict.fromkeys(number for number, _ in numbered[-(most - most // 3) :])
    complete = [
        (trial.latency_us, number)
        for number, trial in numbered
        if trial.rejection is None and trial.latency_us is not None and number not in newest
    ]
    best = [number for _, number in sorted(complete)[: most - len(newest)]]
    return sorted([*newest, *best])


def _conclusive(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that say something of their schedules: what was lost may be repeated.

    What was known to go wrong was so by what was known then, and by the lowering of then.
    """
    losses = Counter(trial.fingerprint for trial in trials if _is_lost(trial))
    return [
        trial
        for trial in trials
        if not _has(trial, RejectionKind.ACCURACY)
        and (not _is_lost(trial) or losses[trial.fingerprint] >= _LOSSES)
    ]


def _is_lost(trial: TrialRecord) -> bool:
    return _has(trial, *INCONCLUSIVE)


def _has(trial: TrialRecord, *kinds: RejectionKind) -> bool:
    return trial.rejection is not None and trial.rejection.kind in kinds
