"""The work of one device op as quantities, and the time they take for given coefficients.

A formula turns features into :class:`Work` without knowing any coefficient; the coefficients are
cycles per quantity. So a prediction and a calibration share one formula, and monotony holds by
construction: every coefficient is at least zero, overlaps lie between zero and one, and the time
never falls when a quantity rises or an overlap shrinks.

Stages run beside each other as far as their buffers allow. With stage times ``t`` and overlaps
``o`` (0: one after the other, 1: hidden entirely behind the longest) the time is::

    serial + sum((1 - o) * t) + max(o * t)
"""

from collections.abc import Mapping
from dataclasses import dataclass

Quantities = Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """A part of an op that may overlap with others.

    ``overlaps`` name the coefficients (shares) that hide it: 1 - product of (1 - share). Without
    any name the stage overlaps entirely.
    """

    name: str
    quantities: Quantities
    overlaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """What one op has to do: serial quantities and overlapping stages of one family."""

    family: str
    serial: Quantities
    stages: tuple[Stage, ...] = ()


def weigh(quantities: Quantities, coefficients: Quantities) -> float:
    """Return the cycles of quantities."""
    return sum(amount * coefficients[name] for name, amount in quantities.items())


def overlap(stage: Stage, coefficients: Quantities) -> float:
    """Return the share of a stage that others can hide."""
    exposed = 1.0
    for name in stage.overlaps:
        exposed *= 1.0 - coefficients[name]
    return 1.0 - exposed if stage.overlaps else 1.0


def cycles_of(work: Work, coefficients: Quantities) -> float:
    """Return the time of ``work`` in clock cycles."""
    exposed, hidden = 0.0, 0.0
    for stage in work.stages:
        length = weigh(stage.quantities, coefficients)
        share = overlap(stage, coefficients)
        exposed += (1.0 - share) * length
        hidden = max(hidden, share * length)
    return weigh(work.serial, coefficients) + exposed + hidden


def terms_of(work: Work, coefficients: Quantities) -> dict[str, float]:
    """Return cycles by term; hidden time of a stage counts nowhere, so the terms sum up."""
    terms = {name: amount * coefficients[name] for name, amount in work.serial.items()}
    lengths = {stage.name: weigh(stage.quantities, coefficients) for stage in work.stages}
    shares = {stage.name: overlap(stage, coefficients) for stage in work.stages}
    longest = max(lengths, key=lambda name: shares[name] * lengths[name], default="")
    for stage in work.stages:
        visible = 1.0 if stage.name == longest else 1.0 - shares[stage.name]
        for name, amount in stage.quantities.items():
            terms[name] = terms.get(name, 0.0) + visible * amount * coefficients[name]
    return {name: cycles for name, cycles in terms.items() if cycles > 0.0}
