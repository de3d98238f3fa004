"""A tensor is freed early only where nobody reads its buffer again."""

import pytest

from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Conv2d, Input, Output, Reshape
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import SharedBuffers, with_liveness
from autosched.schedule.configurations import Conv2dConfig, FixedConfig
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import CoreRange, DataType, Edge, Memory, ShardLayout, TensorLayout

SHAPE = (1, 32, 8, 8)
GRID = (CoreRange(0, 0, 0, 0),)
SHARDS = TensorLayout(Memory.L1, ShardLayout.HEIGHT, DataType.BFLOAT8_B, grid=GRID)
RAN = (DeviceOp("Transpose", "", (), ()),)


def network(*, reads_again: bool) -> Network:
    """x, a view of it, a convolution of the view; the sum reads x again, or the view's image."""
    layers = (
        Layer("x", Input(), (), SHAPE),
        Layer("view", Reshape(), ("x",), SHAPE),
        Layer("conv", Conv2d(32, 32, (1, 1)), ("view",), SHAPE),
        Layer("sum", Binary("add"), ("conv", "x" if reads_again else "conv"), SHAPE),
        Layer("y", Output(), ("sum",), SHAPE),
    )
    return Network("views", layers)


def frees(net: Network, view_ops: tuple[DeviceOp, ...], reshards: dict[Edge, TensorLayout]) -> bool:
    buffers = SharedBuffers(net)
    x, view, conv, *_ = net.layers
    fixed = Choice(FixedConfig(), (SHARDS,), SHARDS, 1.0, 0, RAN)
    buffers.add(x, fixed, reshards)
    buffers.add(view, Choice(FixedConfig(), (SHARDS,), SHARDS, 0.0, 0, view_ops), reshards)
    choice = Choice(Conv2dConfig(), (SHARDS,), SHARDS, 1.0, 0, RAN)
    buffers.add(conv, choice, reshards)
    config = with_liveness(conv, choice, reshards, buffers)
    assert isinstance(config, Conv2dConfig)
    return config.deallocate_activation


@pytest.mark.parametrize(
    ("reads_again", "view_ops", "freed"),
    [(True, (), False), (True, RAN, True), (False, (), True), (False, RAN, True)],
    ids=["shared and read again", "a copy", "shared and done", "a copy and done"],
)
def test_a_view_that_runs_nothing_shares_its_inputs_buffer(
    reads_again: bool, view_ops: tuple[DeviceOp, ...], freed: bool
) -> None:
    assert frees(network(reads_again=reads_again), view_ops, {}) is freed


@pytest.mark.parametrize("edge", [Edge("x", "view"), Edge("view", "conv")])
def test_a_resharded_tensor_is_a_copy(edge: Edge) -> None:
    assert frees(network(reads_again=True), (), {edge: SHARDS}) is True
