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
from dataclasses import dataclass, replace

from autosched.cost.ops.movement import movement_priors
from autosched.cost.ops.traffic import transfer_priors

Quantities = Mapping[str, float]


@dataclass(frozen=True)
class WorkStage:
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
    stages: tuple[WorkStage, ...] = ()


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

    ``value`` is Wormhole's; on Blackhole it is ``blackhole`` times as many cycles.
    """

    value: float
    spread: float = 0.5
    unit: str = CYCLES
    least: float = 0.0
    blackhole: float = 1.0

    def on(self, arch: str, origin: str = "wormhole_b0") -> "Prior":
        """Return the prior for ``arch``, its value so far being in cycles of ``origin``."""
        factor = {"blackhole": self.blackhole}
        scale = factor.get(arch, 1.0) / factor.get(origin, 1.0)
        return replace(self, value=self.value * scale)


# Cycles no kernel can do without; both data-movement processors' ports at 64 bytes a cycle each;
# and the DRAM of either architecture (288 GB/s at 1.0 GHz, 512 GB/s at 1.35 GHz) at its peak.
LEAST_LAUNCH, LEAST_KIB, LEAST_DRAM_KIB = 300.0, 8.0, 2.7

# Blackhole's cycles over Wormhole's: tt-metal's split-reader rule takes 28 and 60 bytes a cycle
# over the network and 25 and 43 by multicast; the DRAM gives 288 and 379 bytes a cycle in all.
NOC, MULTICAST, DRAM = 0.47, 0.58, 0.76


def overlap_prior(value: float, spread: float = 1.0) -> Prior:
    """Return the prior of an overlap."""
    return Prior(value, spread, SHARE)


PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "conv2d": {
        "launch": Prior(1500.0, 0.3),
        "block": Prior(150.0),
        # Each core of a row sends in turn, with a round of semaphores before and after.
        "block_mcast": Prior(1000.0),
        "act_mcast_kib": Prior(40.0, 0.15, blackhole=MULTICAST),
        "matmul_phase": Prior(16.0, 0.1),
        "matmul_unpack": Prior(8.0),
        "tilize_tile": Prior(65.0, 0.3),
        "reload_tile": Prior(40.0),
        "pack_tile": Prior(32.0),
        "output_tile": Prior(32.0),
        "untilize_row": Prior(100.0),
        "untilize_tile": Prior(100.0),
        "read": Prior(25.0),
        "read_kib": Prior(35.0, 0.3, blackhole=NOC),
        # One core reads them page by page: latency binds, on either architecture.
        "weight_page": Prior(25.0),
        "weight_kib": Prior(40.0, 0.3),
        "weight_mcast_kib": Prior(10.0, blackhole=MULTICAST),
        "overlap_reader": overlap_prior(0.5),
        "overlap_weights": overlap_prior(0.2),
        # Both double buffers bring width-sharded convolutions to 0.60-0.62 of their time.
        "overlap_width": overlap_prior(0.1),
        "double_buffer_reader": overlap_prior(0.8),
        "double_buffer_weights": overlap_prior(0.8),
    },
    "halo": {
        "launch": Prior(1200.0, 0.3),
        "local_stick": Prior(1.0),
        "local_kib": Prior(16.0, blackhole=NOC),
        # One of the two data-movement processors did what both share now.
        "legacy_local_kib": Prior(32.0, blackhole=NOC),
        "border_stick": Prior(1.0),
        "border_kib": Prior(35.0),
        "legacy_border_stick": Prior(12.0),
        "legacy_border_kib": Prior(90.0),
        "window_row": Prior(60.0),
        "untilize_row": Prior(350.0),
        "untilize_tile": Prior(80.0),
        "untilize_slow_tile": Prior(400.0),
    },
    "matmul": {
        "launch": Prior(1500.0, 0.3),
        "block": Prior(40.0),
        "block_2d": Prior(200.0),
        "mcast_core": Prior(20.0),
        "batch": Prior(1000.0),
        "output_tile": Prior(50.0),
        "matmul_phase": Prior(16.0, 0.02),
        "matmul_unpack": Prior(4.0, 0.3),
        # The kernel asks the matrix engine for one output block and one inner tile at a time.
        "matmul_call": Prior(15.0),
        "subblock": Prior(30.0),
        "pack_tile": Prior(20.0),
        "partial_tile": Prior(30.0),
        "l1_page": Prior(30.0),
        "l1_kib": Prior(40.0, blackhole=NOC),
        "dram_page": Prior(60.0),
        "dram_kib": Prior(40.0, blackhole=NOC),
        # A round trip to DRAM takes about so long.
        "write_wait": Prior(700.0),
        "mcast_page": Prior(20.0),
        "mcast_kib": Prior(40.0, blackhole=MULTICAST),
        "overlap_in0": overlap_prior(0.7, 0.5),
        "overlap_in1": overlap_prior(0.6),
        "overlap_output": overlap_prior(0.3),
    },
    "reshard": {
        "l1_crowd_kib": Prior(10.0),
        "dram_crowd_kib": Prior(10.0),
        "launch": Prior(700.0, 0.3),
        "shard_tile": Prior(15.0),
        "shard_stick": Prior(15.0),
        "shard_kib": Prior(25.0, blackhole=NOC),
        "l1_tile": Prior(60.0),
        "l1_stick": Prior(60.0),
        "l1_kib": Prior(40.0, blackhole=NOC),
        "dram_tile": Prior(90.0),
        "dram_stick": Prior(500.0),
        "dram_kib": Prior(40.0, blackhole=NOC),
    },
    "move": {
        "l1_crowd_kib": Prior(10.0),
        "dram_crowd_kib": Prior(10.0),
        "launch": Prior(500.0, 0.3),
        "shard_kib": Prior(35.0, blackhole=NOC),
        "l1_tile": Prior(200.0),
        "l1_stick": Prior(200.0),
        "l1_kib": Prior(60.0, blackhole=NOC),
        "dram_tile": Prior(400.0),
        "dram_stick": Prior(500.0),
        "dram_kib": Prior(60.0, blackhole=NOC),
        "l1_fabric_kib": Prior(3.0),
        "dram_fabric_kib": Prior(4.0, blackhole=DRAM),
    },
    "interleaved_to_sharded": {
        **transfer_priors(500.0, (60.0, 90.0), (45.0, 550.0)),
        "convert_launch": Prior(300.0),
        "compute_tile": Prior(60.0),
        "overlap": overlap_prior(0.7),
    },
    "sharded_to_interleaved": {
        **transfer_priors(400.0, (100.0, 100.0), (50.0, 50.0)),
        "convert_launch": Prior(300.0),
        "compute_tile": Prior(60.0),
        "overlap": overlap_prior(0.7),
    },
    "padded_slice": movement_priors(100.0, (100.0, 120.0)),
    "slice_write": movement_priors(100.0, (100.0, 150.0)),
    "copy": movement_priors(80.0),
    "tilize": movement_priors(75.0),
    "untilize": {**movement_priors(75.0), "untilize_row": Prior(350.0), "slow_tile": Prior(400.0)},
    "tilize_padded": {**movement_priors(75.0, (200.0, 400.0)), "pad_kib": Prior(2500.0)},
    "untilize_cut": {
        **movement_priors(75.0, (200.0, 400.0)),
        "untilize_row": Prior(350.0),
        "slow_tile": Prior(400.0),
    },
    "transpose": {**movement_priors(200.0), "row_tile": Prior(3000.0)},
    # Both data-movement processors copy sticks, of 16 bytes mostly, without waiting for each.
    "channels_last": {**movement_priors(200.0), "shard_stick": Prior(6.0)},
    "reshape": {
        **movement_priors(500.0, (150.0, 200.0)),
        "tile_row": Prior(180.0),
        "tile_fetch": Prior(600.0),
        "unaligned_kib": Prior(15000.0),
    },
    "slice": movement_priors(100.0),
    "concat": movement_priors(100.0),
    "upsample": movement_priors(100.0),
    "softmax": {**movement_priors(800.0), "mask": Prior(10000.0)},
    "reduce": movement_priors(300.0),
    "norm": movement_priors(1500.0),
    "group_norm": movement_priors(6000.0),
    "generic": movement_priors(600.0),
    "unary": {
        **transfer_priors(800.0, (60.0, 90.0), (60.0, 100.0)),
        "cheap_tile": Prior(200.0),
        "costly_tile": Prior(600.0),
        "dearest_tile": Prior(1500.0),
        "overlap": overlap_prior(0.7),
    },
    "binary": {
        **transfer_priors(900.0, (60.0, 90.0), (60.0, 100.0)),
        # The unpacker reads both operands at about 80 bytes a cycle.
        "tile": Prior(20.0, 0.3),
        "unpack_kib": Prior(12.5, 0.3),
        "fill": Prior(1500.0),
        "legacy_page": Prior(200.0),
        "cliff_tile": Prior(620.0, 0.2),
        "overlap": overlap_prior(0.7),
    },
    "pool": {
        "launch": Prior(1500.0, 0.3),
        "stick": Prior(15.0, 0.3),
        "window_stick": Prior(1.0, 0.3),
        "reduce_tile": Prior(75.0, 0.3),
        "average_tile": Prior(30.0),
        "index_tile": Prior(500.0),
        "tiled_stick": Prior(15.0),
    },
}
"""Priors by family of formulas and coefficient."""

ORDINARY_ERROR = 0.35
"""Standard error, in log time, of a family that no profile covers."""
