"""Prices for L1 that make the bound tight where the capacity binds.

The prices are Lagrange multipliers, raised at steps that overflow in the relaxed optimum and
lowered where room is left: subgradient ascent with Polyak's step (B. T. Polyak, "Minimization of
unsmooth functionals", USSR Comput. Math. Math. Phys. 9(3), 1969).
"""

from collections.abc import Sequence

import numpy as np

from autosched.search import frontier as rows
from autosched.search.bounds import SWEEPS, Bound, Sweeper
from autosched.search.stages import Floats, RunStage, Stage

ROUNDS = 60
PATIENCE = 4
OPTIMISM = 1.02
"""Without a known schedule, the optimum is taken to be this many times the bound."""


def priced_bounds(
    stages: Sequence[Stage], capacity_bytes: int, known_us: float | None, rounds: int = ROUNDS
) -> tuple[Bound, ...]:
    """Return admissible bounds as :func:`~autosched.search.bounds.admissible_bounds`, or better.

    ``known_us`` is the cost of a known schedule; it only sets the pace.
    """
    sweeper = Sweeper(stages, capacity_bytes)
    bounds = best = sweeper.converge(SWEEPS)
    prices = np.zeros(len(stages))
    pace, stale = 1.0, 0
    for _ in range(rounds if np.isfinite(best[0].constant) else 0):
        excess = _relaxed_loads(stages, sweeper.prices, bounds) - capacity_bytes
        excess[(excess < 0) & (sweeper.prices == 0)] = 0.0
        target_us = known_us or best[0].constant * OPTIMISM
        away_us = target_us - bounds[0].constant
        if not excess.any() or away_us <= 0 or pace < 1e-2:
            break
        prices = np.maximum(0.0, sweeper.prices + pace * away_us * excess / (excess @ excess))
        sweeper.set_prices(prices)
        sweeper.forward()
        bounds = sweeper.backward()
        stale += 1
        if bounds[0].constant > best[0].constant:
            best, stale = bounds, 0
        elif stale >= PATIENCE:
            pace, stale = pace / 2, 0
    return best


def _relaxed_loads(stages: Sequence[Stage], prices: Floats, bounds: Sequence[Bound]) -> Floats:
    """L1 bytes per stage of a schedule that pays for L1 instead of fitting in it."""
    loads = np.zeros(len(stages))
    state = rows.start()
    unlimited = np.iinfo(np.int64).max
    for number, stage in enumerate(stages):
        steps = rows.expand(stage, state, bounds[number + 1], unlimited, np.inf)
        if not len(steps):
            break
        total = steps.total_us
        if isinstance(stage, RunStage):
            peaks = rows.run_costs(stage, state)[1][steps.parent, steps.choice]
            total = total + prices[number] * peaks
        best = np.array([total.argmin()])
        if isinstance(stage, RunStage):
            loads[number] = peaks[best[0]]
        state = steps.take(best).frontier
    return loads
