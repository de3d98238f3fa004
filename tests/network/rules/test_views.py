"""Views against PyTorch itself, on random chains of reshapes and permutes."""

import math
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import (
    Activation,
    Binary,
    Conv2d,
    LayerNorm,
    Permute,
    Reshape,
    Unary,
)
from autosched.network.rules.views import View
from tests.network.modules import Function, kinds, ops, scrambled

IMAGE = (2, 4, 12, 12)
SHAPES = [(2, 6, 4, 4), (1, 12, 4, 8), (3, 8), (1, 1, 4, 6), (2, 12, 1, 1), (2, 5, 7)]


def rearranged(view, tensor):
    return tensor.reshape(view.sizes).permute(view.flat).reshape(view.shape)


def random_shape(draw, elements):
    shape = []
    while elements > 1 and len(shape) < 4:
        shape.append(draw.choice([d for d in range(1, elements + 1) if elements % d == 0]))
        elements //= shape[-1]
    return [*shape, elements]


@pytest.mark.parametrize("seed", range(60))
def test_random_views_hold_what_pytorch_has(seed):
    draw = random.Random(seed)
    shape = draw.choice(SHAPES)
    base = tensor = torch.arange(math.prod(shape)).reshape(shape)
    view = View.whole("x", shape)
    for _ in range(8):
        if draw.random() < 0.5:
            order = draw.sample(range(tensor.dim()), tensor.dim())
            view, tensor = view.permuted(order), tensor.permute(order)
        else:
            target = random_shape(draw, tensor.numel())
            reshaped = view.reshaped(target)
            if reshaped is None:
                continue
            view, tensor = reshaped, tensor.reshape(target)
        assert view.shape == tuple(tensor.shape)
        assert torch.equal(rearranged(view, base), tensor)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_channels_lie_where_the_first_ones_do(count):
    base = torch.arange(2 * 12 * 4 * 4).reshape(2, 12, 4, 4)
    view = View.whole("x", base.shape).reshaped((2, 3, 4, 16)).permuted((1, 0, 3, 2))
    assert view.leads_channels(0)
    assert not view.has_channels_at(0)
    cut = view.resized("y", 0, count)
    assert cut.base == (2, 4 * count, 4, 4)
    assert torch.equal(rearranged(cut, base[:, : 4 * count]), rearranged(view, base)[:count])


def test_pixels_are_kept_wherever_the_channels_are():
    whole = View.whole("x", (2, 6, 4, 8))
    assert whole.keeps_pixels
    assert whole.permuted((0, 2, 3, 1)).keeps_pixels
    assert not whole.permuted((0, 1, 3, 2)).keeps_pixels
    assert not whole.permuted((2, 0, 1, 3)).keeps_pixels


def test_arrangements_are_compared_however_they_came_about():
    whole = View.whole("x", (2, 12, 4, 4))
    cut = whole.reshaped((2, 3, 4, 16)).reshaped((2, 12, 4, 4))
    assert cut.is_whole
    assert cut.same_arrangement(whole)
    assert not whole.permuted((0, 1, 3, 2)).same_arrangement(whole)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flatten(1),
        lambda x: x.view(2, -1),
        lambda x: x.reshape(2, 4, -1),
        lambda x: x.unsqueeze(0).squeeze(0).unsqueeze(1),
        lambda x: x.view(2, 2, 2, 12, 12).flatten(1),
    ],
)
def test_views_become_one_reshape(lowered, function):
    assert ops(lowered(Function(function), torch.randn(IMAGE))) == [Reshape()]


def test_views_that_end_where_they_began_are_nothing(lowered):
    module = Function(lambda x: F.relu(x.flatten(1).view(2, 4, 12, 12)))
    assert ops(lowered(module, torch.randn(IMAGE))) == [Unary(Activation("relu"))]


class ConvNextBlock(nn.Module):
    """As torchvision has it: between permutes to channels last and back."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.norm, self.grow, self.shrink = nn.LayerNorm(12), nn.Linear(12, 48), nn.Linear(48, 12)
        self.scale = nn.Parameter(torch.rand(12, 1, 1))

    def forward(self, x):
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        y = self.shrink(F.gelu(self.grow(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


def test_channels_last_blocks_need_no_permute(lowered):
    network = lowered(scrambled(ConvNextBlock()), torch.randn(2, 12, 4, 6))
    mix, norm, grow, shrink, add = ops(network)
    assert (mix.groups, norm, add) == (12, LayerNorm(1e-5), Binary("add"))
    assert grow == Conv2d(12, 48, (1, 1), activation=Activation("gelu"))
    assert shrink == Conv2d(48, 12, (1, 1))
    assert {layer.shape for layer in network} == {(2, 12, 4, 6), (2, 48, 4, 6)}


def test_tokens_are_pixels_of_one_column(lowered):
    tokens = torch.randn(2, 10, 12)
    network = lowered(scrambled(nn.Sequential(nn.Linear(12, 5), nn.GELU())), tokens)
    assert kinds(network) == [Permute, Conv2d, Permute]
    assert network.layers[2].shape == (2, 5, 10, 1)
    assert LayerNorm(1e-5) in ops(lowered(scrambled(nn.LayerNorm(12)), tokens))
    lowered(Function(lambda x: x + 1), tokens)
    lowered(Function(lambda x: 2 * x - torch.arange(12.0)), tokens)
    lowered(scrambled(nn.BatchNorm1d(10)), tokens)
