"""The code path of a card, on the simulator: fast dispatch, traces, host layers, errors between."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autosched.device.machine import cache_dir
from autosched.device.simulator.environment import simulator_environment
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Network
from autosched.schedule.outcomes import RunOutcome
from tests.device.conftest import child_options
from tests.examples.device_layers import ttnn_default
from tests.examples.networks import BOARD
from tests.once import OncePerRun

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

_SLOW_DISPATCH = "TT_METAL_SLOW_DISPATCH_MODE"


def run_in(place: Path) -> dict[str, Any]:
    options = child_options(place)
    environment = {**options["env"], **simulator_environment(BOARD, cache_dir())}
    del environment[_SLOW_DISPATCH]  # traces need fast dispatch
    done = subprocess.run(
        [sys.executable, "-m", "tests.device.silicon_path"],
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
        cwd=options["cwd"],
        env=environment,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    words = done.stdout + done.stderr
    if not lines and "cq_dispatch" in words:
        return {"lacking": words[-1000:]}
    assert lines, words[-3000:]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@pytest.fixture
def runs(simulated: str, once: OncePerRun) -> dict[str, Any]:
    del simulated
    found = once("silicon-path", run_in)
    if "lacking" in found:
        pytest.skip(f"this compiler of kernels cannot build fast dispatch: {found['lacking']}")
    return found


def test_a_schedule_is_timed_by_replays_of_its_trace(
    runs: dict[str, Any], worker: WorkerDevice, network: Network
):
    worker.load(network)
    expected = worker.run(ttnn_default(network))
    assert isinstance(expected, RunOutcome)
    first = runs["first"]
    assert first["is_timed"]
    assert first["op_times"] == 0  # the profiler is off
    assert first["ops"] == [op.code for op in expected.ops]
    assert first["layouts"] == {name: str(at) for name, at in expected.output_layouts.items()}


def test_an_error_inside_a_trace_leaves_the_device_ready(runs: dict[str, Any]):
    assert "inside the trace" in runs["failed in its trace"]["words"]
    assert runs["after that"] == runs["first"]


def test_what_is_refused_is_named(runs: dict[str, Any]):
    assert runs["refused"]["layer"] == "stem"


def test_a_network_with_a_host_layer_is_timed_without_a_trace(runs: dict[str, Any]):
    assert runs["with a host layer"]["is_timed"]
    assert "logcumsumexp" in runs["with a host layer"]["layouts"]


def test_layers_and_reshards_are_timed_alone(runs: dict[str, Any], network: Network):
    alone = runs["alone"]
    assert set(alone) == {*(layer.name for layer in network if layer.inputs), "reshard"}
    assert [name for name, found in alone.items() if not found.get("has_time")] == []
