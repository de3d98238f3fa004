"""Timing on a card, against a stub of the few functions of ttnn that it calls.

Their names and parameters are those of ttnn 0.81.1.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from autosched.schedule.outcomes import DeviceOp

DEVICE = object()
PROFILING = {
    "TT_METAL_DEVICE_PROFILER": "1",
    "TT_METAL_PROFILER_MID_RUN_DUMP": "1",
    "TT_METAL_PROFILER_CPP_POST_PROCESS": "1",
}
OPS = tuple(DeviceOp(code, "", (), ()) for code in ("Halo", "HostRead", "Conv2d"))


class StubTtnn(ModuleType):
    """Keeps a card's state as the calls leave it, and refuses calls out of turn."""

    def __init__(self) -> None:
        super().__init__("ttnn")
        self.calls: list[str] = []
        self.capturing: int | None = None
        self.traces: set[int] = set()
        self.failing = ""
        self.programs: dict[int, list[Any]] = {}

    def _called(self, name: str, device: object) -> None:
        assert device is DEVICE
        self.calls.append(name)
        if name == self.failing:
            raise RuntimeError(f"{name} failed")

    def begin_trace_capture(self, device: object, *, cq_id: int | None = None) -> int:
        assert self.capturing is None, "the device is still capturing"
        self._called("begin", device)
        assert cq_id == 0
        self.capturing = 7
        self.traces.add(7)
        return 7

    def end_trace_capture(self, device: object, trace: int, *, cq_id: int | None = None) -> None:
        assert self.capturing == trace
        self.capturing = None
        assert cq_id == 0
        self._called("end", device)

    def execute_trace(
        self, device: object, trace: int, *, cq_id: int | None = None, blocking: bool = True
    ) -> None:
        assert self.capturing is None
        assert trace in self.traces
        assert (cq_id, blocking) == (0, False)
        self._called("execute", device)

    def release_trace(self, device: object, trace: int) -> None:
        assert self.capturing is None, "the device is still capturing"
        self.traces.remove(trace)
        self._called("release", device)

    def synchronize_device(self, device: object) -> None:
        assert self.capturing is None, "a capturing device cannot be waited for"
        self._called("synchronize", device)

    def ReadDeviceProfiler(self, device: object) -> None:  # noqa: N802 - ttnn's name
        self._called("read", device)

    def get_latest_programs_perf_data(self) -> dict[int, list[Any]]:
        return self.programs


@pytest.fixture
def ttnn(monkeypatch: pytest.MonkeyPatch) -> StubTtnn:
    stub = StubTtnn()
    monkeypatch.setitem(sys.modules, "ttnn", stub)
    return stub


@pytest.fixture
def timing(ttnn: StubTtnn) -> Iterator[Any]:
    name = "autosched.device.ttnn.timing"
    before = sys.modules.pop(name, None)
    module = importlib.import_module(name)
    assert module.ttnn is ttnn
    yield module
    del sys.modules[name]
    if before is not None:
        sys.modules[name] = before


def forward_of(ttnn: StubTtnn, error: Exception | None = None) -> Callable[[], object]:
    def forward() -> object:
        ttnn.calls.append("forward")
        if error is not None:
            raise error
        return object()

    return forward


def test_a_trace_is_captured_once_replayed_and_released(ttnn: StubTtnn, timing: Any) -> None:
    times_us = timing.traced_us(DEVICE, forward_of(ttnn), 3)
    assert len(times_us) == 3
    assert all(time_us > 0 for time_us in times_us)
    replay = ["execute", "synchronize"]
    assert ttnn.calls == ["begin", "forward", "end", *replay, *replay, *replay, "release"]


def test_what_the_host_takes_for_a_replay_is_no_time_of_a_layer(
    ttnn: StubTtnn, timing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replayed(device: object, forward: Callable[[], object], replays: int) -> list[float]:
        assert device is DEVICE
        before = len(ttnn.calls)
        forward()
        passes = len(ttnn.calls) - before
        return [50.0 + 2.5 * passes + replay for replay in range(replays)]

    monkeypatch.setattr(timing, "traced_us", replayed)
    times_us = timing.alone_us(DEVICE, forward_of(ttnn), 3)
    assert sum(times_us) / 3 == pytest.approx(2.5)
    assert max(times_us) - min(times_us) < 0.2


def test_the_outputs_live_as_long_as_the_trace(ttnn: StubTtnn, timing: Any) -> None:
    """Freed, their memory would be given to the next tensor, and the replays would write to it."""

    class Output:
        def __del__(self) -> None:
            ttnn.calls.append("freed")

    timing.traced_us(DEVICE, Output, 2)
    assert ttnn.calls.index("freed") > max(
        place for place, call in enumerate(ttnn.calls) if call == "execute"
    )


def test_a_forward_pass_that_fails_leaves_the_device_as_it_was(ttnn: StubTtnn, timing: Any) -> None:
    with pytest.raises(ValueError, match="a layer failed"):
        timing.traced_us(DEVICE, forward_of(ttnn, ValueError("a layer failed")), 3)
    assert ttnn.calls == ["begin", "forward", "end", "release"]
    assert (ttnn.capturing, ttnn.traces) == (None, set())
    assert len(timing.traced_us(DEVICE, forward_of(ttnn), 1)) == 1, "it can be used again"


@pytest.mark.parametrize("failing", ["end", "execute", "synchronize"])
def test_a_call_that_fails_releases_the_trace(ttnn: StubTtnn, timing: Any, failing: str) -> None:
    ttnn.failing = failing
    with pytest.raises(RuntimeError, match=f"{failing} failed"):
        timing.traced_us(DEVICE, forward_of(ttnn), 3)
    assert (ttnn.capturing, ttnn.traces) == (None, set())
    ttnn.failing = ""
    assert len(timing.traced_us(DEVICE, forward_of(ttnn), 1)) == 1


def test_what_failed_first_is_said(ttnn: StubTtnn, timing: Any) -> None:
    ttnn.failing = "end"
    with pytest.raises(ValueError, match="a layer failed"):
        timing.traced_us(DEVICE, forward_of(ttnn, ValueError("a layer failed")), 3)
    assert (ttnn.capturing, ttnn.traces) == (None, set())


def test_wall_time_ends_when_the_device_is_done(ttnn: StubTtnn, timing: Any) -> None:
    assert timing.wall_us(DEVICE, forward_of(ttnn)) > 0
    assert ttnn.calls == ["forward", "synchronize"]


def program(start: int, duration: int) -> SimpleNamespace:
    """As ``ttnn.get_latest_programs_perf_data`` lists them."""
    result = SimpleNamespace(
        start_timestamp=start, end_timestamp=start + duration, duration=duration
    )
    return SimpleNamespace(
        core_count=64,
        num_available_cores=64,
        program_analyses_results={"DEVICE KERNEL DURATION [ns]": result},
        program_execution_uid=SimpleNamespace(runtime_id=0, trace_id=0, trace_id_counter=0),
    )


class TestProfiled:
    @pytest.fixture(autouse=True)
    def on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in PROFILING.items():
            monkeypatch.setenv(name, value)

    def times(self, ttnn: StubTtnn, timing: Any) -> list[float | None]:
        return [op.time_ns for op in timing.profiled(DEVICE, forward_of(ttnn), OPS)]

    def test_one_forward_pass_is_read(self, ttnn: StubTtnn, timing: Any) -> None:
        ttnn.programs = {0: [program(100, 4000), program(5000, 21_000)]}
        assert self.times(ttnn, timing) == [4000.0, None, 21_000.0]
        assert ttnn.calls == ["read", "forward", "synchronize", "read"]

    def test_programs_count_in_the_order_they_began(self, ttnn: StubTtnn, timing: Any) -> None:
        ttnn.programs = {0: [program(5000, 21_000), program(100, 4000)]}
        assert self.times(ttnn, timing) == [4000.0, None, 21_000.0]

    @pytest.mark.parametrize(
        "programs",
        [
            {},
            {0: [program(100, 4000)]},
            {0: [program(100, 4000), program(200, 1), program(300, 1)]},
            {0: [program(100, 4000), SimpleNamespace(program_analyses_results={})]},
        ],
        ids=["none", "too few", "too many", "one without a time"],
    )
    def test_times_that_may_be_anothers_are_none(
        self, ttnn: StubTtnn, timing: Any, programs: dict[int, list[Any]]
    ) -> None:
        ttnn.programs = programs
        assert self.times(ttnn, timing) == [None, None, None]

    @pytest.mark.parametrize("missing", PROFILING)
    def test_without_the_profiler_nothing_is_run(
        self, ttnn: StubTtnn, timing: Any, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.delenv(missing)
        assert timing.profiled(DEVICE, forward_of(ttnn), OPS) is OPS
        assert ttnn.calls == []


def soaked(ttnn: StubTtnn, timing: Any, values: list[float], replays: int) -> Any:
    """Soak a forward pass whose outputs are ``values``, read after read; then the first again."""
    found = iter(values)

    def read(outputs: object) -> list[torch.Tensor]:
        assert outputs is not None
        return [torch.tensor([next(found, values[0])])]

    return timing.soaked(DEVICE, forward_of(ttnn), read, replays)


def test_a_soak_replays_one_trace_and_compares_now_and_then(ttnn: StubTtnn, timing: Any) -> None:
    result = soaked(ttnn, timing, [1.0], 500)
    assert (result.replays, result.differs_after, result.compared) == (500, None, 50)
    assert ttnn.calls.count("execute") == 500
    assert ttnn.calls.count("synchronize") == 51  # the first, and one in ten
    assert (ttnn.calls.count("begin"), ttnn.calls[-1]) == (1, "release")


@pytest.mark.parametrize("other", [1.5, -0.0, float("nan")])
def test_a_soak_ends_with_the_first_output_of_other_bits(
    ttnn: StubTtnn, timing: Any, other: float
) -> None:
    first = 0.0 if other == 0.0 else 1.0
    result = soaked(ttnn, timing, [first, first, other], 500)
    assert result.differs_after == 20
    assert ttnn.calls[-1] == "release"


def test_an_output_that_is_no_number_may_stay_so(ttnn: StubTtnn, timing: Any) -> None:
    assert soaked(ttnn, timing, [float("nan")], 100).differs_after is None


def test_the_last_replay_is_compared(ttnn: StubTtnn, timing: Any) -> None:
    assert soaked(ttnn, timing, [1.0, 2.0], 2).differs_after == 2
