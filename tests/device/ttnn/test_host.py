"""Layers that run on the host, beside the mock device."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from autosched.device.interface import ProbeRequest
from autosched.device.ttnn.graph_capture import read_transfer, transfer_name
from autosched.device.worker import WorkerDevice
from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.network.operators import HostOp, HostOutput, HostStep, HostView
from autosched.schedule.configurations import HOST_METHOD, HOST_OUTPUT_METHOD, FixedConfig
from autosched.schedule.outcomes import HOST_READ, HOST_WRITE, ProbeOutcome, RunOutcome
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.device.conftest import child_options
from tests.examples.networks import BOARD

BFLOAT8 = TensorLayout(dtype=DataType.BFLOAT8_B)


class Cosine(nn.Module):
    """A convolution, an operator that has no layer, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(32, 64, 1), nn.Conv2d(64, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.after(self.before(x).cos().logcumsumexp(2))
        return y


class Classes(nn.Module):
    """Numbers of each pixel's classes, and what one makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 8, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.conv(x)
        return {"y": y, "class": y.argmax(1), "mask": y > 0, "mean": y.mean()}


def classes_network() -> Network:
    return capture(Classes().eval(), (torch.zeros(1, 32, 16, 16),), "classes", allow_host=True)


def cosine_network() -> Network:
    return capture(Cosine().eval(), (torch.zeros(1, 32, 16, 16),), "cosine", allow_host=True)


def test_its_transfers_are_ops_of_the_layer(worker: WorkerDevice, network: Network) -> None:
    cosine = cosine_network()
    worker.load(cosine)
    outcome = worker.run(default_schedule(cosine, BOARD.name, "", Formats()))
    worker.load(network)
    assert isinstance(outcome, RunOutcome), outcome
    names = [op.layer for op in outcome.ops]
    assert names.index("before") < names.index("logcumsumexp") < names.index("after")
    read, write = (op for op in outcome.ops if op.layer == "logcumsumexp")
    assert (read.code, write.code) == (HOST_READ, HOST_WRITE)
    assert read.attributes == write.attributes == "PCIe 4.0 x16"
    assert read.inputs == (TensorInfo((1, 1, 256, 64), DRAM_TILE),)
    assert write.outputs == (TensorInfo((1, 1, 256, 64), DRAM_TILE),)
    assert outcome.output_layouts["logcumsumexp"] == DRAM_TILE


def test_it_is_probed_alone_and_nothing_is_computed(worker: WorkerDevice) -> None:
    """Zeros have no inverse: on the mock device, an operator must not see them."""

    class Inverse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.inv(x).relu()

    inverse = capture(Inverse().eval(), (torch.eye(32)[None, None],), "inverse", allow_host=True)
    (layer,) = inverse.host_layers
    assert isinstance(layer.op, HostOp)
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    for source in (DRAM_TILE, rows):
        config = FixedConfig(method=HOST_METHOD)
        outcome = worker.probe(
            ProbeRequest(layer.op, inverse.input_shapes(layer), layer.shape, config, (source,))
        )
        assert isinstance(outcome, ProbeOutcome), outcome
        assert [op.code for op in outcome.ops] == [HOST_READ, HOST_WRITE]
        assert (outcome.output_layout, outcome.peak_l1_bytes) == (DRAM_TILE, 0)


def test_what_the_caller_alone_gets_is_downloaded_and_nothing_else(worker: WorkerDevice) -> None:
    shape = (1, 64, 16, 16)
    view = HostView(shape, (0, 1, 2, 3), shape)
    op = HostOutput((HostStep("aten.argmax.default", '[[{"input":0},1],{}]'),), (view,), "int64")
    config = FixedConfig(method=HOST_OUTPUT_METHOD)
    (core,) = grid = (CoreRange(0, 0, 7, 0),)
    shards = replace(
        BFLOAT8, memory=Memory.L1, sharding=ShardLayout.HEIGHT, grid=grid, shard_shape=(32, 64)
    )
    assert core.cores * 32 == 256
    for source in (DRAM_TILE, shards):
        outcome = worker.probe(ProbeRequest(op, (shape,), (1, 16, 16), config, (source,)))
        assert isinstance(outcome, ProbeOutcome), outcome
        assert [op.code for op in outcome.ops] == [HOST_READ]
        assert outcome.ops[0].inputs == (TensorInfo((1, 1, 256, 64), source),)


def test_the_runner_computes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.device.host_run"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        **child_options(tmp_path),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "cosine": [["torch.float32", [1, 32, 16, 16]]],
        "classes": [
            ["torch.float32", [1, 8, 16, 16]],
            ["torch.int64", [1, 16, 16]],
            ["torch.bool", [1, 8, 16, 16]],
            ["torch.float32", []],
        ],
    }


def test_a_transfer_reads_back_as_an_op() -> None:
    moved = TensorInfo((1, 1, 64, 32), BFLOAT8)
    op = read_transfer(transfer_name(HOST_WRITE, moved, BOARD), "logcumsumexp")
    assert (op.code, op.layer, op.inputs, op.outputs) == (HOST_WRITE, "logcumsumexp", (), (moved,))
