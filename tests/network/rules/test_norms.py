import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import (
    Conv2d,
    GroupNorm,
    LayerNorm,
    Permute,
    PlainGroupNorm,
    Softmax,
)
from tests.network.modules import Function, kinds, ops, scrambled

IMAGE = (2, 12, 4, 6)
TOKENS = (2, 10, 12)


def test_softmax_counts_from_the_front(lowered):
    assert ops(lowered(nn.Softmax(-1), torch.randn(3, 8))) == [Softmax(1)]
    assert ops(lowered(nn.Softmax2d(), torch.randn(IMAGE))) == [Softmax(1)]


@pytest.mark.parametrize("softmax", [nn.Softmax(2), nn.Softmin(2)])
def test_a_softmax_of_few_groups_of_channels_cuts_them_out(lowered, softmax):
    module = Function(lambda x: softmax(x.view(2, 3, 4, 16, 1)).reshape(x.shape))
    network = lowered(module, torch.randn(2, 12, 16, 1))
    assert kinds(network).count(Softmax) == 3
    assert Permute not in kinds(network)


def test_a_softmax_of_many_groups_brings_them_among_the_pixels(lowered):
    module = Function(lambda x: x.view(2, 9, 4, 16).softmax(2).reshape(x.shape))
    assert kinds(lowered(module, torch.randn(2, 36, 16, 1))).count(Softmax) == 1


def test_norms_without_parameters_have_ones_and_zeros(lowered):
    module = Function(lambda x: F.layer_norm(x, (12,)))
    assert LayerNorm(1e-5) in ops(lowered(module, torch.randn(TOKENS)))
    assert ops(lowered(nn.GroupNorm(3, 12, affine=False), torch.randn(IMAGE))) == [
        PlainGroupNorm(3, 1e-5)
    ]
    assert ops(lowered(scrambled(nn.GroupNorm(3, 12)), torch.randn(IMAGE))) == [GroupNorm(3, 1e-5)]


def test_an_instance_norm_is_a_group_norm_of_single_channels(lowered):
    assert ops(lowered(nn.InstanceNorm2d(12), torch.randn(IMAGE))) == [PlainGroupNorm(12, 1e-5)]
    affine = scrambled(nn.InstanceNorm2d(12, affine=True))
    assert ops(lowered(affine, torch.randn(IMAGE))) == [GroupNorm(12, 1e-5)]
    assert PlainGroupNorm(10, 1e-5) in ops(lowered(nn.InstanceNorm1d(10), torch.randn(TOKENS)))


def test_an_instance_norm_with_statistics_is_a_batch_norm(lowered):
    norm = nn.InstanceNorm2d(8, track_running_stats=True, affine=True)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    network = lowered(nn.Sequential(nn.Conv2d(12, 8, 3), norm), torch.randn(IMAGE))
    assert [type(op) for op in ops(network)] == [Conv2d]
