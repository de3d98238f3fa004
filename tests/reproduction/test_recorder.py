"""Scripts of layers of every family: written on the mock device, run where kernels execute."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autosched.boards import BOARDS
from autosched.device.interface import LayerTest, ProbeRequest, Request, ReshardRequest
from autosched.device.machine import mock_directory
from autosched.device.simulator.environment import (
    LIBRARY_VARIABLE,
    simulated_arch,
    simulator_environment,
    simulator_library,
)
from autosched.network.operators import (
    Activation,
    Attention,
    Binary,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GroupNorm,
    LayerNorm,
    Linear,
    Pool2d,
    Softmax,
    Unary,
    Upsample,
)
from autosched.reproduction.recorder import script_of
from autosched.reproduction.script import Finding
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import DRAM_TILE, CoreRange, ShardLayout
from tests.examples.layouts import DRAM_8B, ROWS_IN_DRAM, height
from tests.examples.networks import BOARD

IMAGE, WIDE, VECTOR = (1, 32, 16, 16), (1, 64, 16, 16), (1, 64)
BLOCK_CONVOLUTION = ProbeRequest(
    Conv2d(32, 64, (1, 3), padding=(0, 0, 1, 1)),
    (IMAGE,),
    WIDE,
    Conv2dConfig(shard_layout=ShardLayout.BLOCK),
    (DRAM_8B,),
)
CONCAT = ProbeRequest(
    Concat(), (IMAGE, WIDE), (1, 96, 16, 16), FixedConfig(output=DRAM_8B), (DRAM_8B, DRAM_8B)
)
RESHARD = ReshardRequest(WIDE, DRAM_8B, height(32, 64, (CoreRange(0, 0, 7, 0),)))
REQUESTS: dict[str, Request] = {
    "conv2d": BLOCK_CONVOLUTION,
    "conv_transpose2d": ProbeRequest(
        ConvTranspose2d(32, 32, (2, 2), stride=(2, 2)),
        (IMAGE,),
        (1, 32, 32, 32),
        Conv2dConfig(shard_layout=ShardLayout.HEIGHT),
        (DRAM_TILE,),
    ),
    "pool": ProbeRequest(
        Pool2d("max", (2, 2), (2, 2)), (IMAGE,), (1, 32, 8, 8), PoolConfig(), (ROWS_IN_DRAM,)
    ),
    "binary": ProbeRequest(
        Binary("add", Activation("relu")), (WIDE, WIDE), WIDE, EltwiseConfig(layout=DRAM_8B),
        (DRAM_8B, DRAM_8B),
    ),
    "unary": ProbeRequest(
        Unary(Activation("silu")), (WIDE,), WIDE, EltwiseConfig(layout=DRAM_8B), (DRAM_8B,)
    ),
    "concat": CONCAT,
    "upsample": ProbeRequest(
        Upsample("nearest", (2, 2)), (IMAGE,), (1, 32, 32, 32), FixedConfig(output=ROWS_IN_DRAM),
        (DRAM_TILE,),
    ),
    "linear": ProbeRequest(Linear(64, 32), (VECTOR,), (1, 32), MatmulConfig(), (DRAM_TILE,)),
    "softmax": ProbeRequest(Softmax(1), (VECTOR,), VECTOR, FixedConfig(), (DRAM_TILE,)),
    "layer_norm": ProbeRequest(LayerNorm(1e-5), (WIDE,), WIDE, FixedConfig(), (DRAM_TILE,)),
    "group_norm": ProbeRequest(GroupNorm(2, 1e-5), (WIDE,), WIDE, FixedConfig(), (DRAM_TILE,)),
    "attention": ProbeRequest(
        Attention(1, 0.2), (IMAGE, IMAGE, IMAGE), IMAGE, FixedConfig(), (DRAM_TILE,) * 3
    ),
    "reshard": RESHARD,
}  # fmt: skip
FINDING = Finding("a layer", "the simulator", "wrong")


@pytest.mark.parametrize("name", REQUESTS)
def test_a_layer_of_each_family_is_written_down(name: str) -> None:
    source = script_of(BOARD, LayerTest(REQUESTS[name]), FINDING)
    compile(source, name, "exec")
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    assert imported == {"math", "torch", "ttnn"}
    call = {"binary": "add", "unary": "unary_chain", "pool": "max_pool2d", "attention": "matmul"}
    wanted = call.get(name, "to_memory_config" if name == "reshard" else name)
    assert f"ttnn.{wanted}(" in source


@pytest.fixture(scope="module")
def simulator() -> dict[str, str]:
    """What a process needs to open the simulator."""
    if not os.environ.get(LIBRARY_VARIABLE):
        pytest.skip(f"needs ttsim's library in {LIBRARY_VARIABLE}")
    arch = simulated_arch(simulator_library())
    board = next(board for board in BOARDS.values() if board.arch == arch)
    return {**os.environ, "BOARD": board.name, **simulator_environment(board, mock_directory())}


def run_script(request: Request, environment: dict[str, str], directory: Path) -> str:
    board = BOARDS[environment["BOARD"]]
    path = directory / "script.py"
    path.write_text(script_of(board, LayerTest(request), FINDING))
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=directory, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def concordances(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"seen: concordance (-?[\d.]+)", text)]


@pytest.mark.simulator
@pytest.mark.parametrize("name", ["concat", "binary", "linear", "reshard"])
def test_a_script_shows_what_is_right(simulator: dict[str, str], tmp_path: Path, name: str) -> None:
    found = concordances(run_script(REQUESTS[name], simulator, tmp_path))
    assert len(found) == 2
    assert min(found) > 0.99


@pytest.mark.simulator
def test_a_script_shows_what_is_wrong(simulator: dict[str, str], tmp_path: Path) -> None:
    """A block-sharded convolution of one inner block, with a bias and bfloat8_b output."""
    found = concordances(run_script(BLOCK_CONVOLUTION, simulator, tmp_path))
    assert max(found) < 0.5
