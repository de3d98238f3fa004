"""Norms, products, attention and rearrangements on the mock device."""

import math
from dataclasses import replace

import pytest
import torch

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer, Network
from autosched.network.left_layouts import device_permutation
from autosched.network.operators import (
    Attention,
    Binary,
    Constant,
    Conv2d,
    GroupNorm,
    Input,
    LayerNorm,
    LayerOp,
    Matmul,
    Output,
    Permute,
    Reshape,
    Softmax,
)
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import Rejection, RunOutcome
from autosched.schedule.tensors import DRAM_TILE, CoreRange, ShardLayout, TensorLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.device.ttnn.test_images import codes, probed, rows_and_columns
from tests.examples.layouts import DRAM_8B, ONE_ROW, height
from tests.examples.networks import BOARD

Shape = tuple[int, ...]
FIXED = FixedConfig()
BLOCKS = replace(
    height(64, 32, (CoreRange(0, 0, 1, 3),)), sharding=ShardLayout.BLOCK, shard_shape=(64, 32)
)


def image(channels: int, *sides: int, batch: int = 1) -> Shape:
    return (batch, channels, *(sides or (16, 16)))


@pytest.mark.parametrize("place", [DRAM_8B, DRAM_TILE, BLOCKS])
@pytest.mark.parametrize("channels", [64, 24])
def test_channels_are_normalised_where_they_are(
    worker: WorkerDevice, place: TensorLayout, channels: int
) -> None:
    if place is BLOCKS and channels == 24:
        pytest.skip("shards are cut at whole tiles")
    shape = image(channels)
    outcome = probed(worker, LayerNorm(1e-6), [shape], shape, FixedConfig(place), place)
    assert codes(outcome) == ["LayerNorm"]
    assert outcome.output_layout == place


def test_height_shards_are_not_normalised(worker: WorkerDevice) -> None:
    request = ProbeRequest(
        LayerNorm(1e-6), (image(64),), image(64), FIXED, (height(32, 64, ONE_ROW),)
    )
    rejection = worker.probe(request)
    assert isinstance(rejection, Rejection)
    assert "Height sharded inputs are not supported" in rejection.message


@pytest.mark.parametrize(("channels", "groups", "batch"), [(320, 32, 1), (64, 32, 2), (96, 3, 1)])
@pytest.mark.parametrize("place", [DRAM_8B, DRAM_TILE])
def test_groups_of_channels_are_normalised(
    worker: WorkerDevice, channels: int, groups: int, batch: int, place: TensorLayout
) -> None:
    shape = image(channels, 28, 28, batch=batch)
    outcome = probed(worker, GroupNorm(groups, 1e-5), [shape], shape, FIXED, place)
    assert "GroupNorm" in codes(outcome)
    assert rows_and_columns(outcome) == (784 * batch, channels)


@pytest.mark.parametrize("shape", [image(21, 28, 28), (1, 1000)])
def test_softmax_runs_along_channels_and_features(worker: WorkerDevice, shape: Shape) -> None:
    outcome = probed(worker, Softmax(1), [shape], shape, FixedConfig(DRAM_8B), DRAM_8B)
    assert codes(outcome) == ["Softmax"]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("batch", "side"), [(1, 64), (3, 49)])
def test_two_tensors_are_multiplied(
    worker: WorkerDevice, transposed: bool, batch: int, side: int
) -> None:
    right = (batch, 96, 32) if transposed else (batch, 32, 96)
    left, product = (batch, side, 32), (batch, side, 96)
    op = Matmul(transposed)
    outcome = probed(worker, op, [left, right], product, FIXED, DRAM_8B, DRAM_TILE)
    assert codes(outcome).count("Matmul") == 1
    assert rows_and_columns(outcome) == (batch * side, 96)


@pytest.mark.parametrize(
    ("heads", "pixels", "fewer", "batch", "width"),
    [
        (1, (32, 32), (8, 8), 1, 32),
        (2, (16, 16), (8, 8), 1, 64),
        (5, (7, 7), (7, 7), 2, 32),
        (3, (16, 16), (4, 4), 2, 20),
        (1, (7, 7), (7, 7), 2, 20),
    ],
)
def test_attention_runs_in_known_ops(
    worker: WorkerDevice, heads: int, pixels: Shape, fewer: Shape, batch: int, width: int
) -> None:
    channels = width * heads
    queries, keys = image(channels, *pixels, batch=batch), image(channels, *fewer, batch=batch)
    op = Attention(heads, 0.25)
    outcome = probed(worker, op, [queries, keys, keys], queries, FIXED, *[DRAM_8B] * 3)
    ran = codes(outcome)
    assert (ran.count("Matmul"), ran.count("Softmax")) == (2, 1)
    assert rows_and_columns(outcome) == (batch * math.prod(pixels), channels)


@pytest.mark.parametrize(
    ("source", "op", "target", "runs"),
    [
        ((2, 64, 32), Permute((2, 64, 32), (0, 2, 1)), (2, 32, 64, 1), False),
        (image(32, 8, 8), Permute((32, 8, 8), (1, 2, 0)), (1, 64, 32), False),
        (image(96, 8, 8), Permute((3, 32, 8, 8), (1, 0, 2, 3)), image(96, 8, 8), True),
        (image(32, 8, 4), Permute((32, 8, 4), (0, 2, 1)), image(32, 4, 8), True),
        (image(64, 1, 1), Reshape(), (1, 64), False),
        (image(32, 8, 8), Reshape(), (1, 2048), True),
        ((1, 2048), Reshape(), image(32, 8, 8), True),
        (image(32, 8, 8), Reshape(), image(16, 16, 8), True),
    ],
)
def test_elements_move_only_where_the_device_has_another_order(
    worker: WorkerDevice, source: Shape, op: LayerOp, target: Shape, runs: bool
) -> None:
    outcome = probed(worker, op, [source], target, FIXED, DRAM_TILE)
    assert ("Permute" in codes(outcome)) is runs
    if not runs:
        assert codes(outcome) == []


@pytest.mark.parametrize(
    ("source", "target", "fills"),
    [
        ((1, 368640), (1, 320, 1152), False),
        ((1, 150528), (1, 49, 3072), True),
        ((1, 320, 1152), (1, 368640), True),
        (image(16, 224, 224), (1, 802816), True),
    ],
)
@pytest.mark.parametrize("place", [DRAM_8B, DRAM_TILE])
def test_a_row_longer_than_l1_is_reshaped_in_tiles(
    worker: WorkerDevice, source: Shape, target: Shape, fills: bool, place: TensorLayout
) -> None:
    outcome = probed(worker, Reshape(), [source], target, FIXED, place)
    ran = codes(outcome)
    assert "ReshapeView" in ran
    assert ("FillPad" in ran) is fills
    assert (outcome.output_layout.dtype, outcome.output_layout.page) == (
        DRAM_TILE.dtype,
        DRAM_TILE.page,
    )


def test_the_device_order_is_what_pytorch_computes() -> None:
    """Elements permuted as the device lays them out equal PyTorch's result laid out so."""

    def laid_out(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor

    for source, sizes, order, target in (
        ((2, 12, 4, 6), (2, 3, 4, 4, 6), (0, 2, 1, 3, 4), (2, 12, 4, 6)),
        ((2, 12, 4, 6), (2, 12, 4, 6), (0, 3, 1, 2), (2, 6, 48)),
        ((2, 24, 12), (2, 4, 6, 12), (0, 3, 1, 2), (2, 12, 4, 6)),
        ((2, 12, 4, 6), (2, 12, 2, 2, 3, 2), (0, 1, 3, 5, 2, 4), (2, 48, 2, 3)),
        ((1, 12, 4, 6), (12, 4, 6), (2, 0, 1), (6, 48)),
    ):
        tensor = torch.arange(math.prod(source)).reshape(source)
        expected = laid_out(tensor.reshape(sizes).permute(order).reshape(target))
        shape, axes = device_permutation(source, Permute(sizes, order), target)
        actual = laid_out(tensor).reshape(shape).permute(axes)
        assert torch.equal(actual.flatten(), expected.flatten())


def test_a_network_of_them_runs_as_ttnn_has_it(worker: WorkerDevice, network: Network) -> None:
    whole = image(64, 16, 16)
    layers = (
        Layer("x", Input(), (), image(3, 16, 16)),
        Layer("tokens", Input(), (), (1, 256, 64)),
        Layer("stem", Conv2d(3, 64, (3, 3), padding=(1, 1, 1, 1)), ("x",), whole),
        Layer("norm", LayerNorm(1e-6), ("stem",), whole),
        Layer("column", Permute((256, 64), (1, 0)), ("tokens",), image(64, 256, 1)),
        Layer("attend", Attention(2, 0.1), ("norm", "column", "column"), whole),
        Layer("groups", GroupNorm(2, 1e-5), ("attend",), whole),
        Layer("positions", Constant(), (), whole),
        Layer("sum", Binary("add"), ("groups", "positions"), whole),
        Layer("y", Output(), ("sum",), whole),
    )
    token_network = Network("token layers", layers)
    worker.load(token_network)
    schedule = default_schedule(token_network, BOARD.name, "", Formats())
    outcome, again = worker.run(schedule), worker.run(schedule)
    worker.load(network)
    assert isinstance(outcome, RunOutcome), outcome
    assert isinstance(again, RunOutcome), again
    # What is prepared once is prepared on the host.
    assert [op.code for op in outcome.ops] == [op.code for op in again.ops]
