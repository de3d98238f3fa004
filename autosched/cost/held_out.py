"""How good the formulas are on a network none of whose profiles they were fitted on.

Profiles that share convolution layers are of one network, in different releases; holding out one
of them alone would leave its layers in the other. So they are held out together, and the rest is
fitted as if they did not exist.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autosched.cost.fitting import Sample, predict
from autosched.cost.profile import Profile
from autosched.cost.sampling import Families, samples_of

FAMILIES = ("conv2d", "halo", "matmul")
"""The families that are judged so: those that networks differ in most."""

Fit = Callable[[Mapping[str, Families], str], Mapping[str, Mapping[str, float]]]
"""Fits the families of one architecture, given the samples of all architectures."""


@dataclass(frozen=True)
class HeldOutScore:
    """Errors on one network's profiles with coefficients fitted on all others.

    ``trained_on`` counts the distinct rows of the architecture that were left to fit; with none,
    the other architecture's coefficients are used at the ratios of :mod:`autosched.cost.priors`.
    """

    files: tuple[str, ...]
    arch: str
    family: str
    distinct: int
    trained_on: int
    median_error: float
    p90_error: float


def networks(profiles: Sequence[Profile]) -> list[list[Profile]]:
    """Return the profiles by network: those of one architecture that share convolution layers."""
    found: list[tuple[str, set[str], list[Profile]]] = []
    for profile in profiles:
        layers = {item.group for item in samples_of([profile], profile.arch).get("conv2d", ())}
        same = [item for item in found if item[0] == profile.arch and item[1] & layers]
        found = [item for item in found if item not in same]
        shared = layers.union(*(item[1] for item in same))
        members = [member for item in same for member in item[2]]
        found.append((profile.arch, shared, [*members, profile]))
    return [members for _, _, members in found]


def held_out_scores(profiles: Sequence[Profile], fit_families: Fit) -> Iterator[HeldOutScore]:
    """Hold out every network with convolutions in turn; sweeps and others always stay."""
    archs = {profile.arch for profile in profiles}
    for held in networks(profiles):
        rest = [profile for profile in profiles if profile not in held]
        arch = held[0].arch
        unseen = _judged(samples_of(held, arch))
        if "conv2d" not in unseen or not rest:
            continue
        left = {name: _judged(samples_of(rest, name)) for name in archs}
        fitted = fit_families(left, arch)
        for family, rows in unseen.items():
            known = left[arch].get(family, ())
            if known or any(left[name].get(family) for name in archs):
                yield _score(held, family, rows, len(known), fitted[family])


def _judged(families: Families) -> Families:
    return {family: rows for family, rows in families.items() if family in FAMILIES}


def _score(
    held: Sequence[Profile],
    family: str,
    rows: Sequence[Sample],
    trained_on: int,
    values: Mapping[str, float],
) -> HeldOutScore:
    cycles = np.array([row.cycles for row in rows])
    errors = np.abs(predict(rows, values) / cycles - 1.0)
    return HeldOutScore(
        files=tuple(profile.path.name for profile in held),
        arch=held[0].arch,
        family=family,
        distinct=len(rows),
        trained_on=trained_on,
        median_error=float(np.median(errors)),
        p90_error=float(np.percentile(errors, 90)),
    )
