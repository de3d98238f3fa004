"""The set of coefficients that is kept of what a card has taught."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import sqrt

import numpy as np

from autosched.cost.coefficients import FROM_CARD, Coefficients, FamilyFit, factor_of
from autosched.cost.learning import Belief
from autosched.cost.ops.work import Work, all_quantities
from autosched.cost.uncertainty import COMMON


def learned_coefficients(
    base: Coefficients, belief: Belief, source: str, ttnn_version: str
) -> Coefficients:
    """Return coefficients with what was learned of them, and with what is still open.

    Families of which nothing was measured are those of the base. What an op of one family told of
    another's, beside which it was timed, is in the values alone: covariances are kept by family. A
    family's ops have less of its misfit in common now; that part is in the covariance.
    """
    works = belief.works()
    families = {
        name: _learned(name, fit, belief, works[name].values(), ttnn_version)
        if name in works
        else fit
        for name, fit in base.families.items()
    }
    return replace(
        base, ttnn_version=ttnn_version, families=families, sources=(*base.sources, source)
    )


def _learned(
    name: str, fit: FamilyFit, belief: Belief, works: Iterable[Work], release: str
) -> FamilyFit:
    names, before, after = belief.open_of(name)
    left = np.diag(after) / np.diag(before)
    low, high = dict(fit.low), dict(fit.high)
    number = 0
    for work in works:
        number += 1
        for one, amount in all_quantities(work).items():
            if amount > 0.0:
                low[one] = min(low.get(one, amount), amount)
                high[one] = max(high.get(one, amount), amount)
    return replace(
        fit,
        values={one: float(f"{value:.6g}") for one, value in belief.values(name).items()},
        error=float(f"{sqrt(1.0 - COMMON) * fit.error:.4g}"),
        rows=fit.rows + number,
        distinct=fit.distinct + number,
        factor=factor_of(names, after),
        releases=_extended(fit.releases, release),
        low=low,
        high=high,
        provenance={
            one: _from_card(fit.provenance.get(one, {}), float(1.0 - part))
            for one, part in zip(names, left, strict=True)
        },
    )


def _extended(releases: str, release: str) -> str:
    first = releases.split(" to ", maxsplit=1)[0]
    return f"{first} to {release}" if first and first != release else release


def _from_card(before: Mapping[str, float], told: float) -> dict[str, float]:
    """Return from where a coefficient is known when the card's share of that is ``told``."""
    share = round(min(max(told, 0.0), 1.0), 3)
    kept = {source: round(part * (1.0 - share), 3) for source, part in before.items()}
    return {**kept, FROM_CARD: share} if share else dict(before)
