"""How long forward passes take on a card. Nothing here is called on the mock device."""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
import ttnn

from autosched.schedule.outcomes import TRANSFERS, DeviceOp, Soaked

Forward = Callable[[], object]
"""A forward pass; what it returns is kept until its device work is done."""

_QUEUE = 0
_MORE_PASSES = 16
_COMPARISONS = 50


def wall_us(device: Any, forward: Forward) -> float:
    """Return the microseconds from a call on the host until the device has done its work."""
    start = time.perf_counter()
    outputs = forward()
    ttnn.synchronize_device(device)
    end = time.perf_counter()
    del outputs
    return (end - start) * 1e6


def traced_us(device: Any, forward: Forward, replays: int) -> list[float]:
    """Return the microseconds of each replay of one captured trace of a forward pass.

    The programs must be in the program cache: a trace cannot compile. Whatever is raised, the
    device captures no longer and the trace's memory is free again.
    """
    with _trace_of(device, forward) as (trace, _outputs):
        return [
            wall_us(device, lambda: ttnn.execute_trace(device, trace, cq_id=_QUEUE, blocking=False))
            for _ in range(replays)
        ]


def alone_us(device: Any, forward: Forward, replays: int) -> list[float]:
    """Return the microseconds of one of many forward passes in a trace, replay by replay.

    The host takes some time for each replay, whatever is in it: that of a trace of one pass is
    taken off that of a trace of several more.
    """

    def several() -> None:
        for _ in range(1 + _MORE_PASSES):
            forward()

    one_us = statistics.fmean(traced_us(device, forward, replays))
    return [(time_us - one_us) / _MORE_PASSES for time_us in traced_us(device, several, replays)]


def profiled(device: Any, forward: Forward, ops: tuple[DeviceOp, ...]) -> tuple[DeviceOp, ...]:
    """Return the ops with the kernel times of one forward pass, unchanged without the profiler.

    What ran before is read and dropped first: the card keeps some thousand programs only.
    """
    if not is_profiling():
        return ops
    ttnn.ReadDeviceProfiler(device)
    wall_us(device, forward)
    ttnn.ReadDeviceProfiler(device)
    return device_times_ns(ttnn.get_latest_programs_perf_data(), ops)


def soaked(
    device: Any, forward: Forward, read: Callable[[object], list[torch.Tensor]], replays: int
) -> Soaked:
    """Replay a captured forward pass, and compare its outputs with those of the first replay.

    ``read`` brings what ``forward`` returned to the host. That takes longer than a replay, so it is
    done now and then, and after the last.
    """
    every = max(1, replays // _COMPARISONS)
    start = time.perf_counter()
    with _trace_of(device, forward) as (trace, outputs):
        first: list[torch.Tensor] = []
        compared = 0
        for number in range(1, replays + 1):
            ttnn.execute_trace(device, trace, cq_id=_QUEUE, blocking=False)
            if first and number % every and number != replays:
                continue
            ttnn.synchronize_device(device)
            found = read(outputs)
            compared += bool(first)
            first = first or found
            if not all(map(_same_bits, first, found)):
                return Soaked(replays, time.perf_counter() - start, number, compared)
    return Soaked(replays, time.perf_counter() - start, compared=compared)


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    if not one.is_floating_point():
        return torch.equal(one, other)
    return torch.equal(one.float().view(torch.int32), other.float().view(torch.int32))


@contextmanager
def _trace_of(device: Any, forward: Forward) -> Iterator[tuple[Any, object]]:
    """Capture a forward pass; its outputs keep their addresses as long as the trace is there."""
    trace = ttnn.begin_trace_capture(device, cq_id=_QUEUE)
    try:
        outputs = _while_capturing(device, trace, forward)
        yield trace, outputs
        del outputs
    finally:
        ttnn.release_trace(device, trace)


def _while_capturing(device: Any, trace: Any, forward: Forward) -> object:
    try:
        outputs = forward()
    except BaseException:
        # What went wrong in the forward pass is the news, not that its capture is incomplete.
        with suppress(Exception):
            ttnn.end_trace_capture(device, trace, cq_id=_QUEUE)
        raise
    ttnn.end_trace_capture(device, trace, cq_id=_QUEUE)
    return outputs


_DURATION = "DEVICE KERNEL DURATION [ns]"
_SWITCHES = (
    "TT_METAL_DEVICE_PROFILER",
    "TT_METAL_PROFILER_MID_RUN_DUMP",
    "TT_METAL_PROFILER_CPP_POST_PROCESS",
)


def is_profiling() -> bool:
    """Return whether ttnn was started so that its device profiler can be read in between."""
    return all(os.environ.get(name) == "1" for name in _SWITCHES)


def device_times_ns(
    programs: Mapping[int, Iterable[Any]], ops: tuple[DeviceOp, ...]
) -> tuple[DeviceOp, ...]:
    """Return ``ops`` with the times of ``programs``, those that ttnn read latest, by chip.

    They are put in the order in which they began. What is moved to the host and back is no
    program, and keeps no time. Where programs and ops are not as many, or one was not timed, the
    ops stay without times: none is better than another op's.
    """
    results = [
        program.program_analyses_results.get(_DURATION)
        for chip in sorted(programs)
        for program in programs[chip]
    ]
    number = sum(op.code not in TRANSFERS for op in ops)
    if len(results) != number or None in results:
        return ops
    in_order = iter(sorted(results, key=lambda result: result.start_timestamp))
    return tuple(
        op if op.code in TRANSFERS else replace(op, time_ns=float(next(in_order).duration))
        for op in ops
    )
