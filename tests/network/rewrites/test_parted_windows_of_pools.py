import pytest
import torch
from torch import nn

from autosched.network.operators import Pool2d
from tests.network.modules import Function, ops


@pytest.mark.parametrize(
    "module",
    [
        nn.AdaptiveMaxPool2d(1),
        nn.MaxPool2d((12, 20)),
        Function(lambda x: x.amax((2, 3), keepdim=True)),
    ],
)
def test_the_maximum_of_an_image_is_that_of_its_columns(lowered, module):
    network = lowered(module, torch.randn(2, 3, 12, 20))
    assert ops(network) == [
        Pool2d("max", (12, 1), (12, 1)),
        Pool2d("max", (1, 20), (1, 20)),
    ]


def test_windows_at_the_edge_that_are_not_whole_are_left_out(lowered):
    network = lowered(nn.MaxPool2d(9), torch.randn(1, 3, 20, 29))
    assert [layer.shape for layer in network][1:3] == [(1, 3, 2, 29), (1, 3, 2, 3)]


@pytest.mark.parametrize(
    "module",
    [
        nn.MaxPool2d(8),
        nn.MaxPool2d((1, 20)),
        nn.MaxPool2d(9, stride=1),
        nn.MaxPool2d(9, padding=1),
        nn.AvgPool2d(10),
    ],
)
def test_others_stay_one(lowered, module):
    assert len(ops(lowered(module, torch.randn(1, 3, 20, 20)))) == 1
