import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import GroupNorm, LayerNorm, Softmax
from tests.network.modules import Function, ops, scrambled

IMAGE = (2, 12, 4, 6)
TOKENS = (2, 10, 12)


def test_softmax_counts_from_the_front(lowered):
    assert ops(lowered(nn.Softmax(-1), torch.randn(3, 8))) == [Softmax(1)]
    assert ops(lowered(nn.Softmax2d(), torch.randn(IMAGE))) == [Softmax(1)]


def test_norms_without_parameters_have_ones_and_zeros(lowered):
    module = Function(lambda x: F.layer_norm(x, (12,)))
    assert LayerNorm(1e-5) in ops(lowered(module, torch.randn(TOKENS)))
    assert ops(lowered(nn.GroupNorm(3, 12, affine=False), torch.randn(IMAGE))) == [
        GroupNorm(3, 1e-5)
    ]
    assert ops(lowered(scrambled(nn.GroupNorm(3, 12)), torch.randn(IMAGE))) == [GroupNorm(3, 1e-5)]
