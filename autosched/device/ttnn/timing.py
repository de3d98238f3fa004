"""How long a card takes: by trace, by the clock on the wall, and by its profiler."""

import os
from dataclasses import replace
from typing import Any

import ttnn

from autosched.schedule.outcomes import TRANSFERS, DeviceOp

_DURATION = "DEVICE KERNEL DURATION [ns]"


def is_profiling() -> bool:
    """Return whether ttnn was started with its device profiler on."""
    return os.environ.get("TT_METAL_DEVICE_PROFILER") == "1"


def device_times_ns(device: Any, ops: tuple[DeviceOp, ...]) -> tuple[DeviceOp, ...]:
    """Return ``ops`` with the times of the latest run, or unchanged without the profiler.

    The profiler lists programs in the order they ran; the last of them are the last forward pass.
    What is moved to the host and back is no program, and keeps no time.
    """
    if not is_profiling():
        return ops
    ttnn.ReadDeviceProfiler(device)
    latest = ttnn.get_latest_programs_perf_data()
    programs = [program for chip in sorted(latest) for program in latest[chip]]
    number = sum(op.code not in TRANSFERS for op in ops)
    if len(programs) < number:
        return ops
    latest_run = iter(programs[len(programs) - number :])
    return tuple(
        op
        if op.code in TRANSFERS
        else replace(
            op, time_ns=float(next(latest_run).program_analyses_results[_DURATION].duration)
        )
        for op in ops
    )
