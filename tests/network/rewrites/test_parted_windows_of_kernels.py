import pytest
import torch
from torch import nn

from autosched.network.operators import Activation, Binary, Conv2d, Pad
from tests.network.modules import ops

CHANNELS = 2048


def wide(dilation: int, kernel: int = 3, out: int = 4, **options: int) -> nn.Conv2d:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(CHANNELS, out, kernel, padding=padding, dilation=dilation, **options)


def test_each_tap_is_a_product_that_is_moved_and_added(lowered):
    module = nn.Sequential(wide(24), nn.ReLU())
    network = lowered(module, torch.randn(1, CHANNELS, 30, 33))
    assert {op.kernel for op in ops(network) if isinstance(op, Conv2d)} == {(1, 1)}
    padding = [op.padding for op in ops(network) if isinstance(op, Pad)]
    assert padding[:3] == [(24, -24, 24, -24), (24, -24, 0, 0), (24, -24, -24, 24)]
    assert len(padding) == 8
    assert [op.has_bias for op in ops(network) if isinstance(op, Conv2d)] == [True] + 8 * [False]
    sums = [op for op in ops(network) if isinstance(op, Binary)]
    assert sums == [*7 * [Binary("add")], Binary("add", Activation("relu"))]


def test_taps_that_read_nothing_but_padding_are_left_out(lowered):
    network = lowered(wide(24), torch.randn(1, CHANNELS, 20, 40))
    assert sum(isinstance(op, Conv2d) for op in ops(network)) == 3


def test_where_only_the_middle_reads_the_image_it_is_one_product(lowered):
    module = nn.Sequential(wide(40), nn.ReLU())
    (op,) = ops(lowered(module, torch.randn(1, CHANNELS, 20, 20)))
    assert op == Conv2d(CHANNELS, 4, (1, 1), activation=Activation("relu"))


@pytest.mark.parametrize(
    ("module", "side"),
    [
        (wide(6), 33),
        (wide(24, out=CHANNELS), 33),
        (wide(24, stride=2), 33),
        (wide(24, groups=4), 33),
        (nn.Conv2d(CHANNELS, 4, 3, dilation=24), 66),
        (nn.Conv2d(CHANNELS, 4, 3, padding=1), 33),
    ],
)
def test_others_stay_one(lowered, module: nn.Conv2d, side: int):
    network = lowered(module, torch.randn(1, CHANNELS, side, side))
    assert len(ops(network)) == 1
