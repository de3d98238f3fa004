"""Networks as programs of ttnn alone: what they run, profiled, is what the search's trial ran."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from autosched.device.machine import cache_dir, mock_directory
from autosched.device.mock.environment import mock_environment
from autosched.device.simulator.environment import simulator_environment
from autosched.device.worker import WorkerDevice
from autosched.errors import ScheduleError
from autosched.export.model_module import render_model
from autosched.export.saving import save_text, weights_file
from autosched.network.capture.capture import capture
from autosched.network.graph import Layer, Network
from autosched.network.operators import HostOp, HostStep, Input
from autosched.network.reference import evaluate_network
from autosched.numerics.comparison import agreement, sample_inputs
from autosched.profiling.program import ProgramRequest, profile_program
from autosched.reproduction.model_recorder import check_exportable, recorded_model
from autosched.schedule.configurations import ComputeConfig, Conv2dConfig, FixedConfig
from autosched.schedule.outcomes import DeviceOp, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import ShardLayout, TensorInfo
from autosched.store.database import open_store
from autosched.store.trials import finished_trial
from tests.examples.device_layers import ttnn_default
from tests.examples.networks import BOARD, small
from tests.examples.schedules import small_schedule
from tests.examples.small_studies import SMALL, small_inputs, study_module
from tests.examples.studied import Studied

QUICK = ("resnet18", "unet_small")
CASES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.soak], id=name) for name in SMALL
]
ALONE = (
    "import sys, runpy; sys.modules['autosched'] = None; runpy.run_path('{}', run_name='__main__')"
)


def written(network: Network, schedule: Schedule, path: Path, form: str = "model") -> Path:
    recorded, weights = recorded_model(network, schedule)
    source = render_model(recorded, schedule.provenance, weights_file(path).name, form)
    save_text(source, path, weights=weights)
    return path


Ran = tuple[str, str, int, tuple[TensorInfo, ...], tuple[TensorInfo, ...]]


def of_ops(ops: tuple[DeviceOp, ...]) -> list[Ran]:
    return [(op.code, op.attributes, op.cores, op.inputs, op.outputs) for op in ops]


def profiled(path: Path) -> list[Ran]:
    request = ProgramRequest(str(path), BOARD, directory=str(path.parent))
    return of_ops(profile_program(request).ops)


def test_a_searched_schedule_runs_the_ops_of_its_trial(either: Studied, tmp_path: Path) -> None:
    with open_store(either.url) as store:
        _, schedule = finished_trial(store, either.record)
    path = written(either.network, schedule, tmp_path / "model.py")
    assert profiled(path) == of_ops(either.best.ops)


def test_it_is_a_program_without_autosched(studied: Studied, tmp_path: Path) -> None:
    with open_store(studied.url) as store:
        _, schedule = finished_trial(store, studied.record)
    path = written(studied.network, schedule, tmp_path / "model.py")
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, **mock_environment(BOARD, mock_directory())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[0] == "outputs of (1, 10)"
    assert done.stdout.splitlines()[1].startswith("not timed")
    style = [sys.executable, "-m", "ruff"]
    for words in (["format", "--check"], ["check", "--select", "E,F,W,B"]):
        tidy = subprocess.run(
            [*style, *words, "--isolated", "--line-length", "100", str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert tidy.returncode == 0, tidy.stdout
    weights = torch.load(weights_file(path), weights_only=True)
    assert {"stem.weight", "fc.bias"} <= set(weights)


@pytest.mark.parametrize("name", CASES)
def test_what_ttnn_makes_of_a_study_runs_the_same_ops(tmp_path: Path, name: str) -> None:
    network = capture(study_module(name), small_inputs(name), name)
    schedule = ttnn_default(network)
    with WorkerDevice(BOARD) as worker:
        worker.load(network)
        outcome = worker.run(schedule)
    assert isinstance(outcome, RunOutcome)
    assert profiled(written(network, schedule, tmp_path / "model.py")) == of_ops(outcome.ops)


@pytest.fixture
def builder() -> None:
    """The TT-CNN builder is there, from whose package the exported program loads one file."""
    if find_spec("tt_symbiote") is None:
        pytest.skip("needs the package tt-symbiote (pip install --no-deps)")


@pytest.mark.usefixtures("builder")
def test_by_the_builder_a_searched_schedule_runs_the_same_ops(
    either: Studied, tmp_path: Path
) -> None:
    with open_store(either.url) as store:
        _, schedule = finished_trial(store, either.record)
    path = written(either.network, schedule, tmp_path / "model.py", "ttcnn")
    assert "TtConv2d(" in path.read_text()
    assert profiled(path) == of_ops(either.best.ops)


EXACT = ComputeConfig(math_approx_mode=False)
BY_BUILDER = {
    "block": ("point", Conv2dConfig(ShardLayout.BLOCK, transpose_shards=True)),
    "width": ("point", Conv2dConfig(ShardLayout.WIDTH, full_inner_dim=True)),
    "slices": ("stem", Conv2dConfig(slicing="dram_height", num_slices=2, output_memory="dram")),
    "exact": ("stem", Conv2dConfig(ShardLayout.HEIGHT, act_block_h_override=32, compute=EXACT)),
}


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize("name", BY_BUILDER)
def test_by_the_builder_a_configuration_is_what_was_asked(tmp_path: Path, name: str) -> None:
    network = small()
    base = ttnn_default(network)
    layer, config = BY_BUILDER[name]
    schedule = replace(base, layers={**base.layers, layer: config})
    with WorkerDevice(BOARD) as worker:
        worker.load(network)
        outcome = worker.run(schedule)
    assert isinstance(outcome, RunOutcome), outcome
    path = written(network, schedule, tmp_path / "model.py", "ttcnn")
    assert profiled(path) == of_ops(outcome.ops)


EXECUTING = """
import runpy, sys, torch, ttnn
sys.modules["autosched"] = None
program = runpy.run_path("model.py")
device = ttnn.open_device(device_id=0, l1_small_size=32768)
weights = torch.load(program["WEIGHTS"], weights_only=True)
images = torch.load("images.pt", weights_only=True)
model, inputs = program["build"](device, weights), program["upload"](device, images)
torch.save(program["read"](model(inputs)), "outputs.pt")
ttnn.close_device(device)
"""


@pytest.mark.simulator
@pytest.mark.usefixtures("simulated")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", ["model", "ttcnn"])
def test_executed_it_computes_what_pytorch_does(
    form: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if form == "ttcnn":
        request.getfixturevalue("builder")
    network = small()
    written(network, executable(network), tmp_path / "model.py", form)
    images = sample_inputs(Input(), [network.by_name["x"].shape], seed=1)
    torch.save(images, tmp_path / "images.pt")
    done = simulated_run(EXECUTING, tmp_path)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    (output,) = torch.load(tmp_path / "outputs.pt", weights_only=True)
    (truth,) = evaluate_network(network, images)
    assert agreement(output, truth).concordance > 0.99


@pytest.mark.simulator
@pytest.mark.usefixtures("simulated")
@pytest.mark.timeout(1800)
def test_it_is_timed_by_two_traces_on_two_queues(tmp_path: Path) -> None:
    network = small()
    path = written(network, executable(network), tmp_path / "model.py")
    # 200 passes take hours there.
    path.write_text(path.read_text().replace("passes=200", "passes=4"))
    done = simulated_run(ALONE.format(path), tmp_path, without=("TT_METAL_SLOW_DISPATCH_MODE",))
    words = done.stdout + done.stderr
    if done.returncode and "cq_dispatch" in words:
        pytest.skip(f"this compiler of kernels cannot build fast dispatch: {words[-1000:]}")
    assert done.returncode == 0, words[-3000:]
    assert done.stdout.splitlines()[1].endswith(" images per second")


def executable(network: Network) -> Schedule:
    """ttnn's default but for a convolution in height shards."""
    base = ttnn_default(network)
    return replace(base, layers={**base.layers, "point": Conv2dConfig(ShardLayout.HEIGHT)})


def simulated_run(
    code: str, place: Path, without: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **simulator_environment(BOARD, cache_dir())}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False,
        env={name: value for name, value in environment.items() if name not in without},
    )  # fmt: skip


def host_network() -> Network:
    with_host = Layer(
        "grid", HostOp((HostStep("aten.prelu.default", "[]"),), ()), ("x",), (1, 3, 8, 8)
    )
    return Network("host", (Layer("x", Input(), (), (1, 3, 8, 8)), with_host))


def test_a_layer_on_the_host_is_refused_by_name() -> None:
    network = host_network()
    schedule = Schedule(
        small_schedule().provenance, {name: FixedConfig() for name in network.by_name}
    )
    with pytest.raises(ScheduleError, match=r"layer grid \(aten.prelu.default\) runs on the host"):
        check_exportable(network, schedule)
