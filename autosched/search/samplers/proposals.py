"""What a sampler proposes of one joint problem, each schedule once."""

from collections import Counter
from collections.abc import Sequence

from autosched.budget import UNLIMITED, Budget
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import INCONCLUSIVE, RejectionKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.samplers.registry import make_sampler
from autosched.store.trials import TrialRecord

_REPEATS = 50
# A machine that was short of memory, or a card that was reset, says nothing of a schedule; what is
# lost twice, in as many runs, is taken to be its own fault.
_LOSSES = 2


class Proposals:
    """What a sampler proposes of one joint problem; no schedule twice."""

    def __init__(
        self,
        joint: JointProblem,
        sampler: str,
        seed: int | None,
        trials: Sequence[TrialRecord] = (),
    ) -> None:
        self.joint = joint
        self.sampler = sampler
        self._proposer = make_sampler(sampler, joint, seed)
        self._known: dict[str, TrialRecord] = {}
        for record in _conclusive(trials):
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
