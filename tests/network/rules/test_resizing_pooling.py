import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import GlobalAvgPool2d, Linear, Pool2d, Reshape, Upsample
from tests.network.modules import Function, kinds, ops

IMAGE = (2, 4, 12, 12)


@pytest.mark.parametrize(
    ("pooling", "op"),
    [
        (nn.MaxPool2d(2), Pool2d("max", (2, 2), (2, 2))),
        (nn.MaxPool2d(3, 2, 1), Pool2d("max", (3, 3), (2, 2), (1, 1, 1, 1))),
        (nn.MaxPool2d(2, dilation=2), Pool2d("max", (2, 2), (2, 2), dilation=(2, 2))),
        (nn.MaxPool2d((5, 3), ceil_mode=True), Pool2d("max", (5, 3), (5, 3), ceil_mode=True)),
        (nn.AvgPool2d(2), Pool2d("avg", (2, 2), (2, 2))),
        (nn.AvgPool2d(3, 2, 1), Pool2d("avg", (3, 3), (2, 2), (1, 1, 1, 1))),
        (
            nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
            Pool2d("avg", (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), True, False),
        ),
        (
            nn.AvgPool2d(3, divisor_override=5),
            Pool2d("avg", (3, 3), (3, 3), divisor_override=5),
        ),
        (nn.AvgPool2d(12), GlobalAvgPool2d()),
        (nn.AvgPool2d(640, ceil_mode=True), GlobalAvgPool2d()),
        (
            nn.MaxPool2d((3, 640), ceil_mode=True),
            Pool2d("max", (3, 12), (3, 12), ceil_mode=True),
        ),
        (
            nn.AvgPool2d(12, divisor_override=5),
            Pool2d("avg", (12, 12), (12, 12), divisor_override=5),
        ),
        (nn.AdaptiveAvgPool2d(1), GlobalAvgPool2d()),
        (nn.AdaptiveAvgPool2d((3, 4)), Pool2d("avg", (4, 3), (4, 3))),
        (nn.AdaptiveMaxPool2d(2), Pool2d("max", (6, 6), (6, 6))),
        (nn.AdaptiveMaxPool2d((6, None)), Pool2d("max", (2, 1), (2, 1))),
        (nn.AdaptiveAvgPool2d((12, 36)), Upsample("nearest", (1, 3))),
    ],
)
def test_poolings(lowered, pooling, op):
    assert ops(lowered(pooling, torch.randn(IMAGE))) == [op]


def test_pooling_with_unused_indices(lowered):
    module = Function(lambda x: F.max_pool2d(x, 2, return_indices=True)[0])
    assert ops(lowered(module, torch.randn(IMAGE))) == [Pool2d("max", (2, 2), (2, 2))]


def test_adaptive_pooling_to_its_own_size_is_nothing(lowered):
    assert ops(lowered(nn.AdaptiveAvgPool2d(12), torch.randn(IMAGE))) == []


def test_means_over_pixels(lowered):
    kept = Function(lambda x: x.mean((-1, -2), keepdim=True))
    assert ops(lowered(kept, torch.randn(IMAGE))) == [GlobalAvgPool2d()]
    network = lowered(Function(lambda x: x.mean((2, 3))), torch.randn(IMAGE))
    assert ops(network) == [GlobalAvgPool2d(), Reshape()]
    assert [layer.shape for layer in network] == [IMAGE, (2, 4, 1, 1), (2, 4), (2, 4)]


def test_the_mean_over_tokens_is_that_over_pixels(lowered):
    def function(x, head):
        return head(x.flatten(2).transpose(1, 2).mean(1))

    network = lowered(Function(function, nn.Linear(12, 3)), torch.randn(2, 12, 4, 6))
    assert {GlobalAvgPool2d, Linear} <= set(kinds(network))
