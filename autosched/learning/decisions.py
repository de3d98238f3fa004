"""Which time of a card would help most to choose a network's schedule.

What is not known of times is drawn, and the joint problem solved exactly at each draw: where the
optimum of a draw differs from the schedule chosen at the estimates, there is a decision. Layers
that differ and are neighbours are decided together; of a draw's difference each such region is an
*alternative*, whose advantage is a sum of times with a sign. Regions are independent of each other
but for L1, which only the solver knows.

The value of a time is by how much the expected loss of the decisions falls once it is known: the
knowledge gradient for correlated normal beliefs (Frazier, Powell and Dayanik, INFORMS Journal on
Computing 21, 2009), here of each region and summed up. A time tells something of others by the
coefficients and errors that they share, so that it need not be of an alternative itself. The value
is taken rather than the variance because a large error that changes no decision costs nothing;
where no value is left that counts, the time is taken that lowers most the variance of the
alternatives' advantages, or of the schedule's time where there are none. A batch is chosen one by
one, each as if those before it had come out as estimated.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.sparse import csr_matrix, vstack

from autosched.budget import UNLIMITED, Budget
from autosched.cost.learning import Belief
from autosched.learning.timetable import Spent, Timetable
from autosched.solver.evaluate import Assignment
from autosched.solver.solver import solve
from autosched.solver.stages import Floats

DRAWS = 32
"""How often what is not known is drawn for each batch of times."""

NOISE_LOG = 0.01
"""Standard error of the log of a time taken alone, at least: a card repeats no better."""

NEGLIGIBLE = 1e-5
"""Share of the schedule's time below which the value of a time does not count."""

_SOLVE_LIMIT_S = 10.0
_GAP = 1e-4
# Quantiles of the standard normal distribution, at the middles of equal shares.
_QUANTILES = 64

Together = frozenset[int]
"""Layers, by their numbers, that are decided together."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What is chosen at the estimates, and what may be better.

    ``times_us`` are those of the pieces, ``features`` what moves their logarithms. ``alternatives``
    have by region what else may be chosen there, as pieces more (or less, below zero).
    ``expected_loss_us`` is what is lost on average by not knowing the times.
    """

    timetable: Timetable
    belief: Belief
    times_us: Floats
    features: csr_matrix
    best: Assignment
    alternatives: dict[Together, list[Spent]]
    expected_loss_us: float

    @property
    def telling(self) -> list[int]:
        """The places of the pieces of what is chosen and of its alternatives."""
        found = dict.fromkeys(self.timetable.spent(self.best))
        for changes in self.alternatives.values():
            for change in changes:
                found.update(dict.fromkeys(change))
        return list(found)


def decide(
    timetable: Timetable,
    belief: Belief,
    draws: int = DRAWS,
    seed: int = 0,
    budget: Budget = UNLIMITED,
) -> Decision:
    """Return the schedule that is best at the estimates, and its alternatives in some draws.

    Raises:
        SearchError: if no schedule fits.
        TimeUpError: if the budget ends first.
    """
    estimates = belief.estimates((piece.ops, piece.signature) for piece in timetable.pieces)
    times_us = estimates.time_ns / 1e3
    best = _optimum(timetable, times_us, budget)
    spent = timetable.spent(best)
    alternatives: dict[Together, list[Spent]] = {}
    losses = []
    for factors in belief.draws(estimates.features, draws, seed):
        budget.check()
        drawn_us = times_us * factors
        other = _optimum(timetable, drawn_us, budget)
        losses.append(_sum(spent, drawn_us) - _sum(timetable.spent(other), drawn_us))
        for region, change in _differences(timetable, best, other):
            known = alternatives.setdefault(region, [])
            if change not in known:
                known.append(change)
    loss_us = float(np.mean(np.maximum(losses, 0.0))) if losses else 0.0
    return Decision(timetable, belief, times_us, estimates.features, best, alternatives, loss_us)


def _optimum(timetable: Timetable, times_us: Floats, budget: Budget) -> Assignment:
    limit_s = budget.part(_SOLVE_LIMIT_S).left_s
    return solve(timetable.problem(times_us), 1, limit_s, gap=_GAP).best


def _sum(spent: Spent, times_us: Floats) -> float:
    return float(sum(times_us[place] * count for place, count in spent.items()))


def _differences(
    timetable: Timetable, best: Assignment, other: Assignment
) -> Iterator[tuple[Together, Spent]]:
    """Yield the regions in which two joint choices differ, with the other's pieces less the best's.

    A reshard belongs to its consumer's region, or to its producer's where the consumer's candidate
    is the same; a move to that of its tensor.
    """
    network = timetable.joint.network
    number = {layer.name: index for index, layer in enumerate(network)}
    pairs = zip(best.candidates, other.candidates, strict=True)
    changed = {index for index, (one, two) in enumerate(pairs) if one != two}
    home = {index: index for index in range(len(network.layers))}

    def root(index: int) -> int:
        while home[index] != index:
            index = home[index]
        return index

    for edge in network.edges:
        ends = number[edge.producer], number[edge.consumer]
        if changed >= {*ends}:
            home[root(ends[0])] = root(ends[1])
    change: dict[int, Spent] = {}
    before, now = (Counter(timetable.placed(item)) for item in (best, other))
    for (place, piece), count in ((key, now[key] - before[key]) for key in {*before, *now}):
        if count:
            tensor, reader = place
            owner = root(reader if reader in changed else tensor)
            change.setdefault(owner, Counter())[piece] += count
    members: dict[int, set[int]] = {owner: {owner} for owner in change}
    for index in changed:
        members.setdefault(root(index), set()).add(index)
    for owner, spent in change.items():
        counted = Counter({piece: count for piece, count in spent.items() if count})
        if counted:
            yield frozenset(members[owner]), counted


def choose(decision: Decision, candidates: Sequence[int], number: int) -> list[int]:
    """Return the places of the ``number`` pieces among ``candidates`` worth most to time next."""
    regions = list(decision.alternatives.values())
    spent = [change for changes in regions for change in changes]
    is_settled = not spent
    if is_settled:
        spent, regions = [decision.timetable.spent(decision.best)], []
    wanted = list(candidates)
    if not wanted:
        return []
    sums = summed_rows(spent, decision.times_us) @ decision.features
    rows = vstack([sums, decision.features[wanted]]).tocsr()
    open_ = decision.belief.covariance(rows)
    means = np.array([_sum(change, decision.times_us) for change in spent])
    whole_us = _sum(decision.timetable.spent(decision.best), decision.times_us)
    count = len(spent)
    chosen: list[int] = []
    while len(chosen) < min(number, len(wanted)):
        told = np.diag(open_)[count:] + NOISE_LOG**2
        moved = open_[:count, count:] / np.sqrt(told)
        worth = values(means, moved, [len(changes) for changes in regions])
        if is_settled or worth.max() < NEGLIGIBLE * whole_us:
            worth = (moved**2).sum(axis=0)
        worth[chosen] = -1.0
        best = int(worth.argmax())
        chosen.append(best)
        column = open_[:, count + best]
        open_ = open_ - np.outer(column, column) / told[best]
    return [wanted[place] for place in chosen]


def summed_rows(spent: Iterable[Spent], times_us: Floats) -> csr_matrix:
    """Return sums of pieces as rows of weights on their features, in microseconds."""
    rows, places, weights = [], [], []
    number = 0
    for change in spent:
        for place, count in change.items():
            rows.append(number)
            places.append(place)
            weights.append(count * times_us[place])
        number += 1
    return csr_matrix((weights, (rows, places)), shape=(number, len(times_us)))


def values(means: Floats, moved: Floats, sizes: Sequence[int]) -> Floats:
    """Return by how much knowing each time lowers the expected loss of all regions, microseconds.

    Args:
        means: what each alternative takes more than what is chosen.
        moved: standard deviations of that by the news of each time, signed: a row an alternative.
        sizes: how many alternatives each region has, in the order of the rows.
    """
    news = _normal_quantiles()
    found = np.zeros(moved.shape[1])
    first = 0
    for size in sizes:
        own = slice(first, first + size)
        first += size
        told = means[own, None, None] + moved[own, :, None] * news
        found += min(0.0, float(means[own].min())) - np.minimum(told.min(axis=0), 0.0).mean(axis=1)
    return found


def _normal_quantiles() -> Floats:
    normal = NormalDist()
    return np.array([normal.inv_cdf((place + 0.5) / _QUANTILES) for place in range(_QUANTILES)])
