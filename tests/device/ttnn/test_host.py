"""Layers that run on the host, beside the mock device."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from autosched.device.interface import ProbeRequest
from autosched.device.ttnn.graph_capture import read_transfer, transfer_name
from autosched.device.worker import WorkerDevice
from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.network.operators import HostOp
from autosched.schedule.configurations import HOST_METHOD, FixedConfig
from autosched.schedule.outcomes import HOST_READ, HOST_WRITE, ProbeOutcome, RunOutcome
from autosched.schedule.tensors import DRAM_TILE, DataType, PageLayout, TensorInfo, TensorLayout
from autosched.space.formats import Formats, default_schedule
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
            inverse: torch.Tensor = torch.linalg.inv(x)
            return inverse

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
    assert json.loads(done.stdout.splitlines()[-1]) == [1, 32, 16, 16]


def test_a_transfer_reads_back_as_an_op() -> None:
    moved = TensorInfo((1, 1, 64, 32), BFLOAT8)
    op = read_transfer(transfer_name(HOST_WRITE, moved, BOARD), "logcumsumexp")
    assert (op.code, op.layer, op.inputs, op.outputs) == (HOST_WRITE, "logcumsumexp", (), (moved,))
