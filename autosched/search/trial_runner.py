"""One schedule, run on the device and turned into a record."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

from autosched.device.device import Device
from autosched.schedule import DeviceOp, Rejection, Schedule, TimeKind
from autosched.search.joint import JointProblem
from autosched.search.probe_book import ProbeBook, total_us
from autosched.search.repair import repaired
from autosched.store.trials import TrialRecord

_MAX_REPAIRS = 24


def run_trial(device: Device, book: ProbeBook, schedule: Schedule, sampler: str) -> TrialRecord:
    """Run the loaded network by ``schedule``; the record is not stored yet.

    On silicon the latency is the measured one, and ops have times only from ttnn's profiler; on
    the mock device it is the sum of estimated op times.
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
    ops = outcome.ops if measured else book.estimate(outcome.ops)
    return replace(
        record,
        latency_us=outcome.latency_us if measured else total_us(ops),
        latency_kind=TimeKind.MEASURED if measured else TimeKind.ESTIMATED,
        latency_std_us=outcome.latency_std_us,
        peak_l1_bytes=outcome.peak_l1_bytes,
        cost_model="" if measured else book.cost.version,
        ops=ops,
        duration_s=time.perf_counter() - begin,
    )


def run_repaired(
    device: Device, book: ProbeBook, joint: JointProblem, schedule: Schedule, sampler: str
) -> TrialRecord:
    """Run a joint choice; where L1 is too fragmented for it, make room and run again.

    The record carries the schedule that ran, or the last one that was rejected.
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
    return record


def times_by_layer(ops: tuple[DeviceOp, ...]) -> Mapping[str, float]:
    """Return microseconds by layer or edge name, in the order they ran; of timed ops only."""
    times_us: dict[str, float] = {}
    for op in ops:
        if op.time_ns is not None:
            times_us[op.layer] = times_us.get(op.layer, 0.0) + op.time_ns / 1e3
    return times_us
