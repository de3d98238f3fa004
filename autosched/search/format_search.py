"""Formats in the search: the fastest schedule that is exact enough, as its emulation says.

Formats are candidates like layouts, and the joint problem is solved within a budget of error
(:mod:`autosched.search.format_solver`). Then the schedule itself is emulated
(:mod:`autosched.search.accuracy`): where adding up errors promised too much, or too little, the
budget is corrected and the problem solved again.
"""

import math
from dataclasses import dataclass, replace

from autosched.errors import FloorError
from autosched.probing.joint_problem import JointProblem
from autosched.probing.probe_book import Phase
from autosched.search.format_errors import ErrorModel, missed_floor
from autosched.search.format_solver import FormatChoice, FormatSolver
from autosched.search.run import Run
from autosched.search.samplers.proposals import Proposals
from autosched.search.trial import run_repaired
from autosched.store.trials import TrialRecord

_ROUNDS = 8
# What a schedule may take more than its bound and end the search: other schedules that lose as much
# by added errors may lose less, or more.
_GAP = 0.005
_CLOSE = 1.02
_JUST = 1e-3
# Of what would just do: two errors are seldom quite in proportion.
_CORRECTED = 0.95
# Large errors add up to less than their sum: how much flatter a loss may grow than predicted.
_FLATTEST = 0.25
# Nearer losses say nothing of that: their errors cancel out in other ways.
_APART = 0.85
_EXACT = 1e-9
# As a share of what a front's floor allows: as exact as can be.
_MOST_EXACT = 1e-6


@dataclass(frozen=True)
class _Ran:
    """A choice that ran, and its loss as emulated: as if all the floors were one of the PCC.

    ``latency_us`` is infinite where it was not accepted.
    """

    choice: FormatChoice
    loss: float
    latency_us: float

    def bound_us(self, allowed: float) -> float:
        """Return what no choice takes less than whose errors add up to what may be lost."""
        return self.choice.bound_us(allowed / self.loss)

    def is_enough(self, allowed: float) -> bool:
        """Whether it loses no more than that, and hardly anything that does is faster."""
        return self.loss <= allowed and self.latency_us <= (1 + _GAP) * self.bound_us(allowed)


def run_exact_enough(
    run: Run, joint: JointProblem, errors: ErrorModel, proposals: Proposals, limit: int
) -> None:
    """Run the fastest schedules that meet the floors, as predicted; no more than ``limit``.

    Raises:
        FloorError: if none of these meets them; it names the most exact and the layers to blame.
        SearchError: if no schedule fits.
        TimeUpError: if the budget ends.
    """
    assert run.accuracy is not None  # noqa: S101 - formats are searched with a floor
    allowed = run.accuracy.allowed
    budgets, rounds = _Budgets(allowed), min(limit, _ROUNDS)
    budget: float | None = allowed
    seen: set[str] = set()
    ran: list[_Ran] = []
    solver = FormatSolver(run, joint, errors, proposals)
    for done in range(rounds):
        run.enter(Phase.SEARCHING, done, rounds)
        found = None if budget is None else solver.solve(budget)
        if found is None:
            break
        if found.schedule.fingerprint() in seen:
            budget = budgets.below()
            continue
        seen.add(found.schedule.fingerprint())
        latest = _emulated(run, joint, found, proposals)
        if latest is None:
            continue  # the device rejects it, which the next solution knows
        ran.append(latest)
        if latest.is_enough(allowed):
            break
        if latest.loss > allowed and found.loss > budgets.last:  # there is nothing more exact
            break
        budget = budgets.corrected(found.loss, latest.loss)
    exact = [item for item in ran if item.loss <= allowed]
    fastest = min(exact, key=lambda item: item.latency_us, default=None)
    if fastest is not None and fastest.latency_us < math.inf:
        run.floor_bound_us = fastest.bound_us(allowed)
    if limit > 0 and not exact:
        most_exact = min(ran, key=lambda item: item.loss, default=None)
        lost = math.inf if most_exact is None else most_exact.loss
        selection = None if most_exact is None else most_exact.choice.selection
        raise FloorError(missed_floor(run, joint, errors, selection), lost)


def run_front(
    run: Run, joint: JointProblem, errors: ErrorModel, proposals: Proposals, limit: int
) -> None:
    """Run schedules from the fastest that the floor allows to the most exact one.

    Up to ``limit`` of them, those that ran before among them: first both ends, then between the two
    neighbours whose errors are furthest apart.

    Raises:
        FloorError: if no schedule meets the floor.
        SearchError: if no schedule fits.
        TimeUpError: if the budget ends.
    """
    assert run.accuracy is not None  # noqa: S101 - a front has a floor
    try:
        run_exact_enough(run, joint, errors, proposals, limit)
    except FloorError:
        if run.best is None:
            raise
    solver = FormatSolver(run, joint, errors, proposals)
    tried: dict[str, float] = {}

    def add(budget: float) -> float | None:
        """Return the predicted loss of the schedule of a budget, None if it is one of before."""
        found = solver.solve(budget)
        if found is None or found.schedule.fingerprint() in tried:
            return None
        tried[found.schedule.fingerprint()] = found.loss
        _judged(run, joint, found, proposals)
        return found.loss

    ends = [add(run.accuracy.allowed * share) for share in (1.0, _MOST_EXACT)]
    gaps = [sorted(loss_ for loss_ in ends if loss_)] if None not in ends else []
    while gaps and len(tried) < limit:
        run.enter(Phase.SEARCHING, len(tried), limit)
        low, high = gaps.pop(gaps.index(max(gaps, key=lambda gap: gap[1] / gap[0])))
        # That of the middle may be one of the two, and another one still nearer to the higher loss.
        middle = add(math.sqrt(low * high)) or add(high * (1 - _JUST))
        if middle is not None and low < middle < high:
            gaps += [[low, middle], [middle, high]]


class _Budgets:
    """Budgets of errors that are added up, corrected by what their schedules lose.

    Errors cancel out in one choice and not in the next: of two that are near each other, the one
    that is predicted to lose less may lose more, and a line through them leads astray.
    """

    def __init__(self, allowed: float) -> None:
        self._allowed = allowed
        self._losses: list[tuple[float, float]] = []
        self._last_below = math.inf
        self.last = allowed

    def corrected(self, predicted: float, actual: float) -> float | None:
        """Return the next budget, after a schedule lost ``actual`` of what was predicted.

        It lies between the predicted loss that was exact enough and the one that was not; None
        where there is no room between them.
        """
        self._losses.append((predicted, actual))
        budget = self._in_proportion()
        too_much, enough = self._too_much, self._enough
        if enough is not None and too_much < _CLOSE * enough:
            return None
        if enough is not None and too_much < math.inf and not enough < budget < too_much:
            budget = math.sqrt(enough * too_much)
        self.last = budget
        return budget

    def below(self) -> float | None:
        """Return a budget just below what was not exact enough; None if it was the last one, too.

        It is for where the corrected one leads to a schedule of before.
        """
        too_much = self._too_much
        if self._enough is None or too_much >= self._last_below:
            return None
        self._last_below = too_much
        self.last = too_much * (1 - _JUST)
        return self.last

    @property
    def _too_much(self) -> float:
        """The least loss predicted of what was not exact enough."""
        lost = (predicted for predicted, actual in self._losses if actual > self._allowed)
        return min(lost, default=math.inf)

    @property
    def _enough(self) -> float | None:
        """The highest loss below that, predicted of what was exact enough."""
        lost = (predicted for predicted, actual in self._losses if actual <= self._allowed)
        return max((predicted for predicted in lost if predicted < self._too_much), default=None)

    def _in_proportion(self) -> float:
        """Return which predicted loss may come to what is wanted."""
        predicted, actual = self._losses[-1]
        slope = 1.0
        if len(self._losses) > 1:
            low, high = sorted(self._losses[-2:])
            if 0 < low[0] < _APART * high[0] and low[1] < high[1]:
                slope = math.log(high[1] / low[1]) / math.log(high[0] / low[0])
        wanted = _CORRECTED * self._allowed
        return float(predicted * (wanted / actual) ** (1.0 / min(max(slope, _FLATTEST), 1.0)))


def _emulated(
    run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals
) -> _Ran | None:
    trial = _judged(run, joint, found, proposals)
    emulated = run.emulation_of(trial)
    if emulated is None:
        return None
    assert run.accuracy is not None  # noqa: S101 - formats are searched with a floor
    loss = max(run.accuracy.share(emulated) * run.accuracy.allowed, _EXACT)
    return _Ran(found, loss, math.inf if trial.rejection else trial.latency_us or math.inf)


def _judged(
    run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals
) -> TrialRecord:
    """Return the trial of a choice, run where none is stored that today's emulation judged."""
    known = proposals.known(found.schedule)
    if known is not None and not run.is_to_judge(known):
        return known
    return _run(run, joint, found, proposals)


def _run(run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals) -> TrialRecord:
    with run.judging(found.schedule):
        record = run_repaired(
            run.device, run.book, joint, found.schedule, proposals.sampler, run.budget
        )
    stored = run.finish(record)
    # What it takes does not depend on how exact it is.
    proposals.tell(found.selection, found.schedule, replace(stored, rejection=record.rejection))
    return stored
