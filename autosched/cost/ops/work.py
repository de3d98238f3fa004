"""What the families of device ops share: record, work, coefficients' priors, and the time.

A reader turns a device op into its :class:`Record`, and a formula turns that into :class:`Work`
without knowing any coefficient; the coefficients are cycles per quantity. So a prediction and a
calibration share one formula, and monotony holds by construction: every coefficient is at least
zero, overlaps lie between zero and one, and the time never falls when a quantity rises or an
overlap shrinks.

Stages run beside each other as far as their buffers allow. With stage times ``t`` and overlaps
``o`` (0: one after the other, 1: hidden entirely behind the longest) the time is::

    serial + sum((1 - o) * t) + max(o * t)

Where it is known which stages take turns, because a buffer between them holds one block or because
one processor runs both, a stage ``follows`` those: their times (or a part of each) are added to its
own before the longest is taken.

A prior is a cost in clock cycles per quantity (or a share) with the uncertainty of its logarithm
(of its logit for shares). Calibration moves a coefficient away from its prior only as far as
profiles of the architecture demand, so regimes that no profile covers keep physical costs.

Sources of priors: 16 cycles a tile product and phase, and the matrix engine's phases by fidelity,
are tt-metal's published figures; transfer rates (Wormhole about 28, Blackhole about 60 bytes a
cycle from L1 or DRAM, multicast 25 and 43) and tilize costs (40-72 cycles a tile) are the constants
in tt-metal's own split-reader rule; the rest was read off the profiles' simplest rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TextEnum

Quantities = Mapping[str, float]


class Resource(TextEnum):
    """What a core's time goes to.

    ``READER`` moves activations between and within L1s (and writes them there), ``WEIGHTS`` fetches
    a convolution's weights, ``DRAM`` is all other traffic with DRAM (a matmul's second operand,
    too), ``NOC`` is multicast and the network as a whole, ``ROUNDS`` are waits and fixed costs of
    each block, batch or page, ``LAUNCH`` those of each op, ``HOST`` is the link to the host.
    """

    COMPUTE = "compute"
    READER = "reader"
    WEIGHTS = "weights"
    DRAM = "dram"
    NOC = "noc"
    ROUNDS = "rounds"
    LAUNCH = "launch"
    HOST = "host"


class Engine(TextEnum):
    """What has a published peak: a core's matrix engine, all DRAM banks, a core's NoC ports."""

    MATRIX = "matrix"
    DRAM = "dram"
    NOC = "noc"


Needs = Mapping[Engine, float]
"""What an op needs of each engine.

Tile products times phases, and KiB through the ports, of the most loaded core; KiB of DRAM of all.
"""


@dataclass(frozen=True)
class Record:
    """The features of a device op: what its time depends on, and nothing else.

    A captured op of the mock device and a row of a profile of the same op give equal records. Tiles
    are 32x32 elements; quantities "per core" are those of the most loaded core. Each kind of op is
    a frozen dataclass of its own.
    """


@dataclass(frozen=True)
class WorkStage:
    """A part of an op that may overlap with others.

    ``overlaps`` name the coefficients (shares) that hide it: 1 - product of (1 - share). Without
    any name the stage overlaps entirely. ``follows`` are the stages it takes turns with, and how
    much of each it waits for.
    """

    name: str
    quantities: Quantities
    overlaps: tuple[str, ...] = ()
    follows: Quantities = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What one op has to do: serial quantities and overlapping stages of one family.

    ``needs`` is what no kernel could do without; the time does not depend on it.
    """

    family: str
    serial: Quantities
    stages: tuple[WorkStage, ...] = ()
    needs: Needs = field(default_factory=dict)


def weigh(quantities: Quantities, coefficients: Quantities) -> float:
    """Return the cycles of quantities."""
    return sum(amount * coefficients[name] for name, amount in quantities.items())


def overlap(stage: WorkStage, coefficients: Quantities) -> float:
    """Return the share of a stage that others can hide."""
    exposed = 1.0
    for name in stage.overlaps:
        exposed *= 1.0 - coefficients[name]
    return 1.0 - exposed if stage.overlaps else 1.0


def cycles_of(work: Work, coefficients: Quantities) -> float:
    """Return the time of ``work`` in clock cycles."""
    exposed, chains = _chains(work, coefficients)
    return weigh(work.serial, coefficients) + exposed + max(chains.values(), default=0.0)


def _chains(work: Work, coefficients: Quantities) -> tuple[float, dict[str, float]]:
    """Return what no other stage hides, and by stage what it and those it follows take."""
    lengths = {stage.name: weigh(stage.quantities, coefficients) for stage in work.stages}
    exposed, chains = 0.0, {}
    for stage in work.stages:
        share = overlap(stage, coefficients)
        exposed += (1.0 - share) * lengths[stage.name]
        waited = sum(part * lengths[name] for name, part in stage.follows.items())
        chains[stage.name] = share * lengths[stage.name] + waited
    return exposed, chains


def terms_of(work: Work, coefficients: Quantities) -> dict[str, float]:
    """Return cycles by term; hidden time of a stage counts nowhere, so the terms sum up."""
    terms = {name: amount * coefficients[name] for name, amount in work.serial.items()}
    _, chains = _chains(work, coefficients)
    longest = max(chains, key=lambda name: chains[name], default="")
    followed = next((stage.follows for stage in work.stages if stage.name == longest), {})
    for stage in work.stages:
        visible = 1.0 if stage.name == longest else 1.0 - overlap(stage, coefficients)
        visible += followed.get(stage.name, 0.0)
        for name, amount in stage.quantities.items():
            terms[name] = terms.get(name, 0.0) + visible * amount * coefficients[name]
    return {name: cycles for name, cycles in terms.items() if cycles > 0.0}


def all_quantities(work: Work) -> dict[str, float]:
    """Return the quantities of all stages and the serial ones, summed up by name."""
    quantities = dict(work.serial)
    for stage in work.stages:
        for name, amount in stage.quantities.items():
            quantities[name] = quantities.get(name, 0.0) + amount
    return quantities


CYCLES = "cycles"
SHARE = "share"


@dataclass(frozen=True)
class Prior:
    """What is known of a coefficient before any profile is read; it never falls below ``least``.

    ``value`` is Wormhole's; on Blackhole it is ``blackhole`` times as many cycles, and its
    logarithm is held there by ``tie`` as it is held at ``value`` by ``spread``. Its cycles are
    spent on ``resource``, which is None for shares.
    """

    value: float
    resource: Resource | None
    spread: float = 0.5
    unit: str = CYCLES
    least: float = 0.0
    blackhole: float = 1.0
    tie: float = 0.5

    def fixed(self) -> "Prior":
        """Return the prior of a coefficient that is known."""
        return replace(self, spread=1e-4, tie=1e-4)

    def on(self, arch: str, origin: str = "wormhole_b0") -> "Prior":
        """Return the prior for ``arch``, its value so far being in cycles of ``origin``."""
        factor = {"blackhole": self.blackhole}
        scale = factor.get(arch, 1.0) / factor.get(origin, 1.0)
        return replace(self, value=self.value * scale)


# Cycles no kernel can do without; both data-movement processors' ports at 64 bytes a cycle each;
# and the DRAM of either architecture (288 GB/s at 1.0 GHz, 512 GB/s at 1.35 GHz) at its peak.
LEAST_LAUNCH, LEAST_KIB, LEAST_DRAM_KIB = 300.0, 8.0, 2.7

PEAKS: Mapping[str, Needs] = {
    "wormhole_b0": {Engine.MATRIX: 16.0, Engine.NOC: LEAST_KIB, Engine.DRAM: 1024 / 288},
    "blackhole": {Engine.MATRIX: 16.0, Engine.NOC: LEAST_KIB, Engine.DRAM: 1024 / 379},
}
"""Cycles that each engine takes at its peak, by architecture: the figures above, per KiB."""

# Blackhole's cycles over Wormhole's: tt-metal's split-reader rule takes 28 and 60 bytes a cycle
# over the network and 25 and 43 by multicast; the DRAM gives 288 and 379 bytes a cycle in all.
NOC, MULTICAST, DRAM = 0.47, 0.58, 0.76


def overlap_prior(value: float, spread: float = 1.0) -> Prior:
    """Return the prior of an overlap."""
    return Prior(value, None, spread, SHARE)


ORDINARY_ERROR = 0.35
"""Standard error, in log time, of a family that no profile covers."""


@dataclass(frozen=True)
class OpFamily:
    """What a file of related device ops declares.

    ``readers`` go by op code without namespace and suffix (:func:`attributes.plain_code`),
    ``formulas`` by the type of record, exactly. ``priors`` are those of the coefficients, by
    :attr:`Work.family`: formulas that share coefficients share that name.
    """

    readers: Mapping[str, Callable[[DeviceOp], Record]]
    formulas: Mapping[type[Record], Callable[[Any], Work]]
    priors: Mapping[str, Mapping[str, Prior]]
