"""Convolutions and pools of columns, which ttnn is told of as rows, on the mock device."""

import re

import pytest

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.operators import Activation, Conv2d, ConvTranspose2d, Pool2d
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection
from autosched.schedule.tensors import ShardLayout
from autosched.space.convolutions import in_slices
from tests.examples.layouts import DRAM_8B

COLUMN = (1, 64, 1000, 1)
STRIDED = Conv2d(64, 64, (3, 1), (2, 1), (1, 1, 0, 0))
DOUBLED = ConvTranspose2d(64, 64, (4, 1), (2, 1), (1, 0))
# Images and windows of one row, as ttnn's halo prints them.
_IMAGE = re.compile(r"SlidingWindowConfig\(1, \d+, \{1, 1000\}, \{1, \d\}, \{1, 2\}")
SHARDED = Conv2dConfig(shard_layout=ShardLayout.HEIGHT)


@pytest.mark.parametrize(
    ("op", "length", "config"),
    [
        (STRIDED, 500, SHARDED),
        (STRIDED, 500, in_slices(Conv2dConfig())),
        (DOUBLED, 2000, SHARDED),
        (Pool2d("max", (3, 1), (2, 1), (1, 1, 0, 0)), 500, PoolConfig(ShardLayout.HEIGHT)),
    ],
    ids=["strided", "strided in DRAM", "transposed", "pooled"],
)
def test_a_long_column_runs_as_a_row(
    worker: WorkerDevice, op: Conv2d | ConvTranspose2d | Pool2d, length: int, config: LayerConfig
) -> None:
    """As a column ttnn 0.81.1 refuses it: its cores hold more than 30 rows of outputs each."""
    request = ProbeRequest(op, (COLUMN,), (1, 64, length, 1), config, (DRAM_8B,))
    outcome = worker.probe(request)
    assert isinstance(outcome, ProbeOutcome), outcome
    sliding = [item for item in outcome.ops if "Halo" in item.code]
    assert sliding
    assert all(_IMAGE.search(item.attributes) for item in sliding)
    for convolution in (item for item in outcome.ops if item.code.startswith("Conv2d")):
        assert convolution.inputs[1].shape[-2:] == (op.kernel[0] * 64, 64)


@pytest.mark.parametrize(("batch", "height"), [(8, 4), (16, 4), (1, 64)])
def test_narrow_images_run_side_by_side(worker: WorkerDevice, batch: int, height: int) -> None:
    """ttnn 0.81.1 refuses them one by one; in shards they still are."""
    op = Conv2d(256, 512, (3, 3), (2, 2), (1, 1, 1, 1))
    shapes = ((batch, 256, height, 4),), (batch, 512, height // 2, 2)
    outcome = worker.probe(ProbeRequest(op, *shapes, in_slices(Conv2dConfig()), (DRAM_8B,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.output_layout == DRAM_8B
    refused = worker.probe(ProbeRequest(op, *shapes, SHARDED, (DRAM_8B,)))
    assert isinstance(refused, Rejection)
    assert "Reader indices" in refused.message


@pytest.mark.parametrize("batch", [1, 8])
def test_images_that_a_transposed_convolution_leaves_narrow_run_side_by_side(
    worker: WorkerDevice, batch: int
) -> None:
    op = ConvTranspose2d(64, 32, (2, 2), (2, 2))
    shapes = ((batch, 64, 16, 1),), (batch, 32, 32, 2)
    outcome = worker.probe(ProbeRequest(op, *shapes, in_slices(Conv2dConfig()), (DRAM_8B,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.output_layout == DRAM_8B


@pytest.mark.parametrize(
    ("kernel", "function", "said"),
    [(3, "silu", "SILU"), (1, "silu", "SILU"), (1, "relu6", "RELU6"), (1, "mish", ""), (3, "", "")],
)
def test_what_is_fused_is_part_of_the_op(
    worker: WorkerDevice, kernel: int, function: str, said: str
) -> None:
    """A capture of ttnn 0.81.1 names it neither for a convolution nor for a matrix product."""
    activation = Activation(function) if function else None
    edge = kernel // 2
    op = Conv2d(64, 64, (kernel, kernel), (1, 1), (edge,) * 4, activation=activation)
    shape = (1, 64, 16, 16)
    outcome = worker.probe(ProbeRequest(op, (shape,), shape, SHARDED, (DRAM_8B,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    (computing,) = (
        item for item in outcome.ops if item.code.startswith("Conv2d" if kernel > 1 else "Matmul")
    )
    _, _, fused = computing.attributes.partition("; fused=")
    assert fused == said
