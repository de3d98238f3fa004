"""Views against PyTorch itself, on random chains of reshapes and permutes."""

import math
import random

import pytest
import torch

from autosched.network.rules.views import View

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


def test_arrangements_are_compared_however_they_came_about():
    whole = View.whole("x", (2, 12, 4, 4))
    cut = whole.reshaped((2, 3, 4, 16)).reshaped((2, 12, 4, 4))
    assert cut.is_whole
    assert cut.same_arrangement(whole)
    assert not whole.permuted((0, 1, 3, 2)).same_arrangement(whole)
