"""One schedule, run on the device and turned into a record."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import Device
from autosched.errors import TimeUpError
from autosched.network.graph import failing_layer
from autosched.probing.joint_problem import JointProblem
from autosched.probing.probe_book import ProbeBook, total_us
from autosched.schedule.configurations import (
    Conv2dConfig,
    Fidelity,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import (
    INCONCLUSIVE,
    MEMORY_KINDS,
    DeviceOp,
    Rejection,
    TimeKind,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DataType, Edge, Memory, ShardLayout, move_label
from autosched.store.trials import TrialRecord

_MAX_REPAIRS = 24
_MAX_TRIMS = 8


def run_trial(
    device: Device,
    book: ProbeBook,
    schedule: Schedule,
    sampler: str,
    budget: Budget = UNLIMITED,
) -> TrialRecord:
    """Run the loaded network by ``schedule``; the record is not stored yet.

    On silicon the latency is the measured one, and ops have times only from ttnn's profiler; on
    the mock device it is the sum of estimated op times. Its standard deviation is the spread of the
    repeats on silicon, otherwise the cost model's standard error. Whatever the mock device says
    of a schedule carries the version of the cost model that led to it, a rejection too. One that
    runs, and has a step which is known to go wrong on a card, is rejected for its accuracy.

    Raises:
        TimeUpError: if the device does not answer before the budget ends.
    """
    started_at = datetime.now(timezone.utc)
    begin = time.perf_counter()
    outcome = device.run(schedule, budget)
    if isinstance(outcome, Rejection) and outcome.kind in INCONCLUSIVE:
        # Where the time is up, this may be no more than an answer cut short.
        budget.check()
    elif not isinstance(outcome, Rejection) and book.judge is not None:
        outcome = book.judge.against_run(schedule, outcome) or outcome
    record = TrialRecord(
        schedule=schedule,
        sampler=sampler,
        started_at=started_at,
        duration_s=time.perf_counter() - begin,
        rejection=outcome if isinstance(outcome, Rejection) else None,
        latency_us=None if isinstance(outcome, Rejection) else 0.0,
        latency_kind=None if isinstance(outcome, Rejection) else TimeKind.ESTIMATED,
        cost_model="" if device.kind == "silicon" else book.cost.version,
    )
    if isinstance(outcome, Rejection):
        return record
    if book.judge is not None:
        unexecuted = book.judge.unexecuted(schedule, outcome)
        record = replace(record, schedule=schedule.with_unexecuted(unexecuted))
    measured = outcome.latency_us is not None
    if measured:
        ops, latency_us, std_us = outcome.ops, outcome.latency_us, outcome.latency_std_us
    else:
        ops = book.estimate(outcome.ops)
        latency_us = total_us(ops)
        std_us = latency_us * book.cost.total_std_error(ops)
    return replace(
        record,
        latency_us=latency_us,
        latency_kind=TimeKind.MEASURED if measured else TimeKind.ESTIMATED,
        latency_std_us=std_us,
        peak_l1_bytes=outcome.peak_l1_bytes,
        cost_model="" if measured else book.cost.version,
        ops=ops,
        duration_s=time.perf_counter() - begin,
    )


def run_repaired(
    device: Device,
    book: ProbeBook,
    joint: JointProblem,
    schedule: Schedule,
    sampler: str,
    budget: Budget = UNLIMITED,
) -> TrialRecord:
    """Run a joint choice; where L1 is too fragmented for it, make room and run again.

    What of that room was not needed is given back, as far as the budget lasts. The record carries
    the schedule that ran, or the last one that was rejected.

    Raises:
        TimeUpError: if the budget ends before it is known whether the choice runs at all.
    """
    record = run_trial(device, book, schedule, sampler, budget)
    for _ in range(_MAX_REPAIRS):
        if record.rejection is None:
            break
        roomier = repaired(joint, schedule, record.rejection)
        if roomier is None:
            break
        budget.check()
        schedule = roomier
        record = run_trial(device, book, schedule, sampler, budget)
    if record.rejection is not None:
        return record
    return _trimmed(device, book, record, sampler, budget)


def _trimmed(
    device: Device, book: ProbeBook, record: TrialRecord, sampler: str, budget: Budget
) -> TrialRecord:
    """Take back the packing that does nothing, or that the device does without, longest first."""
    assert record.schedule is not None  # noqa: S101 - it has just run
    took_us = packings_us(record.schedule, record.ops)
    idle = [edge for edge, time_us in took_us.items() if not time_us]
    dispensable = [[edge] for edge, time_us in took_us.items() if time_us]
    for edges in [*([idle] if idle else []), *dispensable[:_MAX_TRIMS]]:
        assert record.schedule is not None  # noqa: S101 - as above
        if budget.is_up:
            break
        try:
            leaner = run_trial(device, book, without_moves(record.schedule, edges), sampler, budget)
        except TimeUpError:
            break
        if leaner.rejection is None:
            record = leaner
    return record


def repaired(joint: JointProblem, schedule: Schedule, rejection: Rejection) -> Schedule | None:
    """Return ``schedule`` with more room at the step that was rejected, or None.

    None means that everything that can be moved is moved there already, or that memory was not
    the reason.
    """
    name = failing_layer(joint.network, rejection)
    if name is None or rejection.kind not in MEMORY_KINDS:
        return None
    packed = _with_packed_tensors(joint, schedule, name)
    return packed or _with_moved_halo(schedule, name)


def packings_us(schedule: Schedule, ops: Sequence[DeviceOp]) -> dict[Edge, float]:
    """Return the microseconds that each packing of a schedule took, the longest first.

    It is 0 for a tensor that lay at the free end of L1 already: the device runs no op then.
    """
    took = {
        edge: sum(op.time_ns or 0.0 for op in ops if op.layer == move_label(edge)) / 1e3
        for edge, target in schedule.moves.items()
        if target.memory is Memory.L1
    }
    return dict(sorted(took.items(), key=lambda item: -item[1]))


def without_moves(schedule: Schedule, edges: Collection[Edge]) -> Schedule:
    """Return a schedule that leaves some tensors where they are."""
    moves = {edge: target for edge, target in schedule.moves.items() if edge not in edges}
    return replace(schedule, moves=moves)


def _with_packed_tensors(joint: JointProblem, schedule: Schedule, name: str) -> Schedule | None:
    """Pack every tensor that is live when layer ``name`` starts."""
    names = [layer.name for layer in joint.network]
    step = names.index(name)
    if step == 0:
        return None
    before = names[step - 1]
    moves = dict(schedule.moves)
    waiting = joint.waiting_layouts(schedule, before)
    for producer in names[:step]:
        layout = waiting[producer]
        is_live = names.index(joint.network.last_uses.get(producer, producer)) >= step
        edge = Edge(producer, before)
        if is_live and layout.memory is Memory.L1 and edge not in moves:
            moves[edge] = layout
    return replace(schedule, moves=moves) if moves != schedule.moves else None


def _with_moved_halo(schedule: Schedule, name: str) -> Schedule | None:
    config = schedule.layers[name]
    if not isinstance(config, Conv2dConfig | PoolConfig) or config.reallocate_halo_output:
        return None
    layers = {**schedule.layers, name: replace(config, reallocate_halo_output=True)}
    return replace(schedule, layers=layers)


_Parameter = tuple[str, Any, BaseDistribution]
_LEFT = "ttnn's"
_LAYOUTS = CategoricalDistribution(
    (*(layout.value for layout in ShardLayout), "l1", "dram", "sliced", _LEFT)
)
_FORMATS = CategoricalDistribution(tuple(dtype.value for dtype in DataType))
_FIDELITIES = CategoricalDistribution(tuple(fidelity.value for fidelity in Fidelity))
_RESHARDS = IntDistribution(0, 100_000)


def parameters(
    schedule: Schedule, layers: Sequence[str]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return a trial's parameters and what values they may have, alike for trials of one study.

    They are how many reshards there are, the formats and the fidelity of the first of some
    ``layers`` (convolutions and linear layers), and the shard layout of each.
    """
    found: list[_Parameter] = [("reshards", len(schedule.reshards), _RESHARDS)]
    chosen = {name: schedule.layers[name] for name in layers if name in schedule.layers}
    for config in list(chosen.values())[:1]:
        found += _formats(config)
    found += [(f"layout of {name}", _layout(config), _LAYOUTS) for name, config in chosen.items()]
    values = {name: value for name, value, _ in found}
    return values, {name: distribution for name, _, distribution in found}


def _formats(config: LayerConfig) -> Iterator[_Parameter]:
    if isinstance(config, Conv2dConfig | MatmulConfig):
        yield "weights", config.weights_dtype.value, _FORMATS
        yield "activations", config.output_dtype.value, _FORMATS
        yield "fidelity", config.compute.math_fidelity.value, _FIDELITIES


def _layout(config: LayerConfig) -> str:
    if isinstance(config, MatmulConfig):
        return config.output
    if not isinstance(config, Conv2dConfig):
        return _LEFT
    if config.slicing.startswith("dram"):
        return "sliced"
    return _LEFT if config.shard_layout is None else config.shard_layout.value
