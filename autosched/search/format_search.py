"""Formats in the search: what they cost the outputs, and the fastest schedule that is exact enough.

Formats are candidates like layouts: the joint problem is solved for time plus a price on error, and
the price raised until the errors of the chosen formats, added up, leave what a floor asks for. No
choice of as little error, beside what the others have, is faster (H. Everett, "Generalized Lagrange
multiplier method for solving problems of optimum allocation of resources", Operations Research 11,
1963), and each price bounds the time of all choices of a given error from below. Then the schedule
itself is emulated (:mod:`autosched.search.accuracy`): where adding up promised too much, or too
little, the budget is corrected and the problem solved again.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from autosched.errors import FloorError
from autosched.numerics.sensitivity import (
    Errors,
    FormatKey,
    loss,
)
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.probing.probe_book import Phase
from autosched.schedule.schedule import Schedule
from autosched.search.format_errors import ErrorModel, chosen_errors, missed_floor
from autosched.search.run import Run
from autosched.search.samplers.proposals import Proposals
from autosched.search.trial import run_repaired
from autosched.store.trials import TrialRecord

# How near to its budget a solution's error has to come.
_NEAR = 0.85
_SOLUTIONS = 8
_LINEARISATIONS = 3
_ROUNDS = 8
_STEP = 8.0
_CLOSE = 1.2
# Of what would just do: two errors are seldom quite in proportion.
_CORRECTED = 0.95
# Large errors add up to less than their sum: how much flatter a loss may grow than predicted.
_FLATTEST = 0.25
_EXACT = 1e-9
# As a share of what a front's floor allows: as exact as can be.
_MOST_EXACT = 1e-6


@dataclass(frozen=True)
class FormatChoice:
    """A joint choice within a budget of error, and what its errors come to when added up.

    ``added`` is the sum of what each layer's add to the loss beside the errors that ``prices`` are
    of: pairs of a price, in microseconds, and what no choice costs less than at that price.
    """

    selection: Selection
    schedule: Schedule
    loss: float
    added: float
    prices: list[tuple[float, float]]

    def bound_us(self, share: float) -> float:
        """Return what no choice takes less than whose errors add up to so much of this one's."""
        return max(bound_us - price * share * self.added for price, bound_us in self.prices)


class FormatSolver:
    """Finds the fastest joint choice whose errors, added up, stay within a budget."""

    def __init__(
        self, run: Run, joint: JointProblem, errors: ErrorModel, proposals: Proposals
    ) -> None:
        self._run, self._joint, self._errors, self._proposals = run, joint, errors, proposals
        self._price = 0.0
        self._total = errors.nothing
        self._chosen: dict[str, Errors] = {}
        self._prices: list[tuple[float, float]] = []

    def solve(self, budget: float) -> FormatChoice | None:
        """Return the fastest choice found whose loss is within the budget.

        The most exact one found where none is; None where nothing is left to choose.

        Raises:
            SearchError: if time ends, or what was learned leaves no schedule.
        """
        best = None
        for _ in range(_LINEARISATIONS):
            found = self._solve(budget)
            if best is None or (found is not None and found.loss < best.loss):
                best = found
            # Beside the errors of this choice, others may be the least.
            if best is None or best.loss <= budget or found is not best:
                break
            self._chosen = self._of(best.selection)
            self._total = _sum(self._chosen.values(), self._errors.nothing)
            self._prices = []
        return best

    def _solve(self, budget: float) -> FormatChoice | None:
        low, high = 0.0, math.inf
        within: FormatChoice | None = None
        most_exact: FormatChoice | None = None
        price = self._price
        for _ in range(_SOLUTIONS):
            self._run.budget.check()
            found = self._at(price)
            if found is None:
                break
            if most_exact is None or found.loss < most_exact.loss:
                most_exact = found
            if found.loss <= budget:
                within, high = found, price
                if found.loss >= _NEAR * budget or not price:
                    break
            else:
                low = price
            if low and high / low < _CLOSE:
                break
            price = self._next(low, high, budget)
        # The next budget is near this one.
        self._price = low if high == math.inf else high
        return within or most_exact

    def _next(self, low: float, high: float, budget: float) -> float:
        if high == math.inf:
            return low * _STEP if low else self._typical_us / budget / _STEP**2
        return math.sqrt(low * high) if low else high / _STEP

    @cached_property
    def _typical_us(self) -> float:
        return sum(table[0].time_us for table in self._joint.tables.values())

    def _at(self, price: float) -> FormatChoice | None:
        names = [layer.name for layer in self._joint.network]
        marginal = {name: np.array(self._marginal(name)) for name in names}
        penalties = [price * losses for losses in marginal.values()]
        found = self._proposals.penalised(penalties, self._run.provenance, self._run.budget)
        if found is None:
            return None
        selection, schedule, bound_us = found
        chosen = self._of(selection)
        self._prices.append((price, bound_us))
        return FormatChoice(
            selection,
            schedule,
            loss(_sum(chosen.values(), self._errors.nothing)),
            sum(float(marginal[name][selection.candidates.get(name, 0)]) for name in names),
            self._prices,
        )

    def _of(self, selection: Selection) -> dict[str, Errors]:
        return chosen_errors(self._errors, self._joint, selection)

    def _marginal(self, layer: str) -> list[float]:
        """Return what each candidate of a layer adds to the loss of what the others have.

        Nothing is had for canceling: all layers change at once.
        """
        others = self._total - self._chosen.get(layer, self._errors.nothing)
        before = loss(others)
        by_key: dict[tuple[FormatKey, bool], float] = {}
        found = []
        for choice in self._joint.tables[layer]:
            key = self._errors.key(choice)
            if key not in by_key:
                errors = self._errors.errors(layer, key)
                by_key[key] = max(loss(others + errors) - before, 0.0)
            found.append(by_key[key])
        return found


def _sum(items: Iterable[Errors], nothing: Errors) -> Errors:
    total = nothing.copy()
    for item in items:
        total += item
    return total


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
    budget, rounds = allowed, min(limit, _ROUNDS)
    most_exact: tuple[FormatChoice, float] | None = None
    fastest_us, fastest = math.inf, None
    seen: set[str] = set()
    losses: list[tuple[float, float]] = []
    solver = FormatSolver(run, joint, errors, proposals)
    for done in range(rounds):
        run.enter(Phase.SEARCHING, done, rounds)
        found = solver.solve(budget)
        if found is None or found.schedule.fingerprint() in seen:
            break
        seen.add(found.schedule.fingerprint())
        trial = _judged(run, joint, found, proposals)
        emulated = run.emulation_of(trial)
        if emulated is None:
            continue  # the device rejects it, which the next solution knows
        # As if all the floors were one of the PCC.
        actual = run.accuracy.share(emulated) * allowed
        if most_exact is None or actual < most_exact[1]:
            most_exact = found, actual
        latency_us = trial.latency_us or math.inf
        if trial.rejection is None and actual <= allowed and latency_us < fastest_us:
            fastest_us, fastest = latency_us, (found, actual)
        is_near = _NEAR * allowed <= actual <= allowed
        if is_near or (actual > allowed and found.loss > budget):  # there is nothing more exact
            break
        losses.append((found.loss, max(actual, _EXACT)))
        corrected = _between(losses, allowed, _corrected(losses, _CORRECTED * allowed))
        if corrected is None:
            break
        budget = corrected
    if fastest is not None:
        choice, actual = fastest
        run.floor_bound_us = choice.bound_us(allowed / max(actual, _EXACT))
    if limit > 0 and (most_exact is None or most_exact[1] > allowed):
        lost = math.inf if most_exact is None else most_exact[1]
        selection = None if most_exact is None else most_exact[0].selection
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
        middle = add(math.sqrt(low * high))
        if middle is not None and low < middle < high:
            gaps += [[low, middle], [middle, high]]


def _between(losses: Sequence[tuple[float, float]], allowed: float, budget: float) -> float | None:
    """Return a budget between the predicted loss that was exact enough and the one that was not.

    ``losses`` are pairs of what was predicted and what came of it. Errors cancel out in one choice
    and not in the next: of two that are near each other, the one that is predicted to lose less may
    lose more, and a line through them leads astray. None where there is no room between them.
    """
    too_much = min((predicted for predicted, actual in losses if actual > allowed), default=None)
    if too_much is None:
        return budget
    enough = max(
        (predicted for predicted, actual in losses if actual <= allowed and predicted < too_much),
        default=None,
    )
    if enough is None:
        return budget
    if too_much < _CLOSE * enough:
        return None
    return budget if enough < budget < too_much else math.sqrt(enough * too_much)


def _corrected(losses: Sequence[tuple[float, float]], wanted: float) -> float:
    """Return which predicted loss may come to what is wanted, from (predicted, actual) before."""
    predicted, actual = losses[-1]
    slope = 1.0
    if len(losses) > 1 and min(predicted, losses[-2][0]) > 0 and predicted != losses[-2][0]:
        before = losses[-2]
        slope = math.log(actual / before[1]) / math.log(predicted / before[0])
    return float(predicted * (wanted / actual) ** (1.0 / min(max(slope, _FLATTEST), 1.0)))


def _judged(
    run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals
) -> TrialRecord:
    """Return the trial of a choice, run where none is stored that today's emulation judged."""
    known = proposals.known(found.schedule)
    if known is not None and not run.is_to_judge(known):
        return known
    return _run(run, joint, found, proposals)


def _run(run: Run, joint: JointProblem, found: FormatChoice, proposals: Proposals) -> TrialRecord:
    record = run_repaired(
        run.device, run.book, joint, found.schedule, proposals.sampler, run.budget
    )
    stored = run.finish(record)
    # What it takes does not depend on how exact it is.
    proposals.tell(found.selection, found.schedule, replace(stored, rejection=record.rejection))
    return stored
