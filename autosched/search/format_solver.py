"""The fastest joint choice whose errors, added up, stay within a budget.

The joint problem is solved for time plus a price on error. No choice of as little error, beside
what the others have, is faster, and each price bounds the time of all choices of a given error from
below (H. Everett, "Generalized Lagrange multiplier method for solving problems of optimum
allocation of resources", Operations Research 11, 1963). The next price is that at which the nearest
choices on both sides of the budget cost the same: it finds one between them, or no price does.
Others may lie there still. The layer whose errors differ most in the two is then held to either
side, and both halves are searched in the same way, the more promising one first (A. H. Land and
A. G. Doig, "An automatic method of solving discrete programming problems", Econometrica 28, 1960).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autosched.numerics.sensitivity import Errors, FormatKey, loss
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.schedule import Schedule
from autosched.search.format_errors import ErrorModel, chosen_errors
from autosched.search.run import Run
from autosched.search.samplers.proposals import Proposals

# How near to its budget an error comes that has used it.
_NEAR = 0.85
_SOLUTIONS = 12
_SOLUTIONS_OF_A_PART = 4
_PARTS = 6
_LINEARISATIONS = 3
_STEP = 8.0
_SMALL_STEP = 2.0
# As shares of a schedule's time: what is worth another solution, and what parts are searched for.
_TIGHT = 0.001
_WORTH = 0.003
_SAME = 1e-9
# More than any schedule takes; numbers a billionth as large are still added to it exactly enough.
_BARRED_US = 1e9


@dataclass(frozen=True)
class FormatChoice:
    """A joint choice within a budget of error, and what its errors come to when added up.

    ``added`` is what each layer's errors add to the loss beside the errors that ``prices`` are of:
    pairs of a price, in microseconds, and what no choice costs less than at that price.
    """

    selection: Selection
    schedule: Schedule
    time_us: float
    loss: float
    added: Mapping[str, float]
    prices: list[tuple[float, float]]

    @property
    def added_up(self) -> float:
        """What its layers' errors add to the loss."""
        return sum(self.added.values())

    def bound_us(self, share: float) -> float:
        """Return what no choice takes less than whose errors add up to so much of this one's."""
        return max(bound_us - price * share * self.added_up for price, bound_us in self.prices)


@dataclass(frozen=True)
class _Part:
    """All choices but those with barred candidates, and the nearest known to a budget.

    ``over`` loses more than the budget, ``within`` does not; ``barred`` is by layer and candidate.
    """

    price: float
    over: FormatChoice | None = None
    within: FormatChoice | None = None
    barred: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def promised_us(self, budget: float) -> float:
        """Return about what the fastest within the budget takes, on the line between the two."""
        if self.within is None:
            return math.inf
        if self.over is None or self.over.loss <= self.within.loss:
            return self.within.time_us
        slope = (self.within.time_us - self.over.time_us) / (self.over.loss - self.within.loss)
        return self.over.time_us + slope * (self.over.loss - budget)


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
            found = self._fastest(budget)
            if best is None or (found is not None and found.loss < best.loss):
                best = found
            # Beside the errors of this choice, others may be the least.
            if best is None or best.loss <= budget or found is not best:
                break
            self._chosen = self._of(best.selection)
            self._total = _sum(self._chosen.values(), self._errors.nothing)
            self._prices = []
        return best

    def _fastest(self, budget: float) -> FormatChoice | None:
        whole = self._narrowed(_Part(self._price), budget, _SOLUTIONS)
        # The next budget is near this one.
        self._price = whole.price
        if whole.within is None:
            return whole.over
        best, parts = whole.within, [whole]
        for _ in range(_PARTS):
            enough_us = (1 - _WORTH) * best.time_us
            parts = [part for part in parts if part.promised_us(budget) < enough_us]
            if not parts:
                break
            parts.sort(key=lambda part: part.promised_us(budget), reverse=True)
            halves = self._halves(parts.pop())
            found = [self._narrowed(half, budget, _SOLUTIONS_OF_A_PART) for half in halves]
            parts += found
            within = [part.within for part in found if part.within is not None]
            best = min([best, *within], key=lambda choice: choice.time_us)
        return best

    def _halves(self, part: _Part) -> Iterator[_Part]:
        """Yield a part's choices by the layer in which those on both sides of the budget differ."""
        over, within = part.over, part.within
        if over is None or within is None:
            return
        layer = max(over.added, key=lambda name: abs(over.added[name] - within.added[name]))
        if over.added[layer] == within.added[layer]:
            return
        cut = (over.added[layer] + within.added[layer]) / 2
        is_less = np.array(self._marginal(layer)) < cut
        before = part.barred.get(layer, np.zeros(len(is_less), bool))
        unlike_over, unlike_within = is_less, ~is_less
        if over.added[layer] < cut:
            unlike_over, unlike_within = unlike_within, unlike_over
        yield replace(
            part,
            within=None,
            price=part.price * _SMALL_STEP,
            barred={**part.barred, layer: before | unlike_over},
        )
        yield replace(
            part,
            over=None,
            price=part.price / _SMALL_STEP,
            barred={**part.barred, layer: before | unlike_within},
        )

    def _narrowed(self, part: _Part, budget: float, most: int) -> _Part:
        """Return a part with choices nearer to the budget, of no more solutions than ``most``."""
        for _ in range(most):
            self._run.budget.check()
            found = self._at(part.price, part.barred)
            if found is None:
                break
            known = part.within if found.loss <= budget else part.over
            is_known = known is not None and _is_same(known, found)
            if found.loss <= budget:
                part = replace(part, within=found)
            else:
                part = replace(part, over=found)
            if self._is_narrow(part, budget, is_known):
                break
            part = replace(part, price=self._next(part, budget))
        return part

    def _is_narrow(self, part: _Part, budget: float, is_known: bool) -> bool:
        """Whether no other price is worth a solution; ``is_known`` tells of the last one."""
        if part.within is None:
            return is_known and part.price * budget > _STEP**2 * self._typical_us
        if part.over is None:
            return not part.price
        if is_known or part.over.added_up <= part.within.added_up:
            return True
        promised_us = part.promised_us(budget)
        return part.within.time_us - promised_us <= _TIGHT * part.within.time_us

    def _next(self, part: _Part, budget: float) -> float:
        over, within, price = part.over, part.within, part.price
        step = _SMALL_STEP if part.barred else _STEP
        if within is None:
            return price * step if price else self._typical_us / budget / _STEP**2
        if over is None:
            return price / (_SMALL_STEP if within.loss >= _NEAR * budget else step)
        return max(within.time_us - over.time_us, 0.0) / (over.added_up - within.added_up)

    @cached_property
    def _typical_us(self) -> float:
        return sum(table[0].time_us for table in self._joint.tables.values())

    def _at(self, price: float, barred: Mapping[str, NDArray[np.bool_]]) -> FormatChoice | None:
        names = [layer.name for layer in self._joint.network]
        marginal = {name: np.array(self._marginal(name)) for name in names}
        penalties = [
            price * losses + (_BARRED_US * barred[name] if name in barred else 0.0)
            for name, losses in marginal.items()
        ]
        found = self._proposals.penalised(penalties, self._run.provenance, self._run.budget)
        if found is None:
            return None
        selection, schedule, bound_us = found
        if any(barred[name][selection.candidates[name]] for name in barred):
            return None
        if not barred:
            self._prices.append((price, bound_us))
        chosen = self._of(selection)
        added = {name: float(marginal[name][selection.candidates.get(name, 0)]) for name in names}
        return FormatChoice(
            selection,
            schedule,
            bound_us - price * sum(added.values()),
            loss(_sum(chosen.values(), self._errors.nothing)),
            added,
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


def _is_same(one: FormatChoice, other: FormatChoice) -> bool:
    return abs(one.added_up - other.added_up) <= _SAME * one.added_up


def _sum(items: Iterable[Errors], nothing: Errors) -> Errors:
    total = nothing.copy()
    for item in items:
        total += item
    return total
