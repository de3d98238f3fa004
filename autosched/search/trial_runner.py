"""One schedule, run on the device and turned into a record."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

from autosched.device.device import Device
from autosched.schedule import DeviceOp, Rejection, Schedule, TimeKind
from autosched.search.joint import JointProblem
from autosched.search.probe_book import ProbeBook, total_us
from autosched.search.repair import packings_us, repaired, without_moves
from autosched.store.trials import TrialRecord

_MAX_REPAIRS = 24
_MAX_TRIMS = 8


def run_trial(device: Device, book: ProbeBook, schedule: Schedule, sampler: str) -> TrialRecord:
    """Run the loaded network by ``schedule``; the record is not stored yet.

    On silicon the latency is the measured one, and ops have times only from ttnn's profiler; on
    the mock device it is the sum of estimated op times. Its standard deviation is the spread of the
    repeats on silicon, otherwise the cost model's standard error.
    """
    started_at = datetime.now(timezone.utc)
    begin = time.perf_counter()
    outcome = device.run(schedule)
    record = TrialRecord(
        schedule=schedule,
        sampler=sampler,
        started_at=started_at,
        duration_s=time.perf_counter() - begin,
        rejection=outcome if isinstance(outcome, Rejection) else None,
        latency_us=None if isinstance(outcome, Rejection) else 0.0,
        latency_kind=None if isinstance(outcome, Rejection) else TimeKind.ESTIMATED,
    )
    if isinstance(outcome, Rejection):
        return record
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
    device: Device, book: ProbeBook, joint: JointProblem, schedule: Schedule, sampler: str
) -> TrialRecord:
    """Run a joint choice; where L1 is too fragmented for it, make room and run again.

    What of that room was not needed is given back. The record carries the schedule that ran, or
    the last one that was rejected.
    """
    record = run_trial(device, book, schedule, sampler)
    for _ in range(_MAX_REPAIRS):
        if record.rejection is None:
            break
        roomier = repaired(joint, schedule, record.rejection)
        if roomier is None:
            break
        schedule = roomier
        record = run_trial(device, book, schedule, sampler)
    return record if record.rejection is not None else _trimmed(device, book, record, sampler)


def _trimmed(device: Device, book: ProbeBook, record: TrialRecord, sampler: str) -> TrialRecord:
    """Take back the packing that does nothing, or that the device does without, longest first."""
    assert record.schedule is not None  # noqa: S101 - it has just run
    took_us = packings_us(record.schedule, record.ops)
    idle = [edge for edge, time_us in took_us.items() if not time_us]
    dispensable = [[edge] for edge, time_us in took_us.items() if time_us]
    for edges in [*([idle] if idle else []), *dispensable[:_MAX_TRIMS]]:
        assert record.schedule is not None  # noqa: S101 - as above
        leaner = run_trial(device, book, without_moves(record.schedule, edges), sampler)
        if leaner.rejection is None:
            record = leaner
    return record


def times_by_layer(ops: tuple[DeviceOp, ...]) -> Mapping[str, float]:
    """Return microseconds by layer or edge name, in the order they ran; of timed ops only."""
    times_us: dict[str, float] = {}
    for op in ops:
        if op.time_ns is not None:
            times_us[op.layer] = times_us.get(op.layer, 0.0) + op.time_ns / 1e3
    return times_us
