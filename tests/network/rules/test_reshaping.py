"""Shapes and orders of elements: a layer only where an operator needs the elements moved."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Concat, Conv2d, Permute, Reshape, Slice, Unary
from autosched.network.rewrites import channel_orders
from tests.network.modules import Function, kinds, ops

IMAGE = (2, 12, 4, 6)


@pytest.fixture
def cut_anywhere(monkeypatch):
    """What is cut within tiles stays a slice, as it is at their edges."""
    monkeypatch.setattr(channel_orders, "_TILE", 1)


def test_orders_that_end_where_they_began_are_nothing(lowered):
    module = Function(lambda x: F.relu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    assert kinds(lowered(module, torch.randn(IMAGE))) == [Unary]
    module = Function(lambda x: x.transpose(2, 3).flatten(2).view(2, 12, 6, 4).transpose(2, 3))
    assert ops(lowered(module, torch.randn(IMAGE))) == []


def test_an_order_of_its_own_is_a_layer(lowered):
    network = lowered(Function(lambda x: x.permute(0, 2, 1, 3)), torch.randn(IMAGE))
    assert ops(network) == [Permute(IMAGE, (0, 2, 1, 3))]
    assert kinds(lowered(Function(lambda x: x.T), torch.randn(3, 8))) == [Permute]


def test_shapes_across_dimensions_are_a_layer(lowered):
    network = lowered(Function(lambda x: x.view(2, 4, 12, 6)), torch.randn(2, 6, 8, 6))
    assert kinds(network) == [Reshape]
    network = lowered(Function(lambda x: x.transpose(1, 3).reshape(2, 9, 32)), torch.randn(IMAGE))
    assert kinds(network) == [Permute, Reshape]


def shuffled_by_hand(x):
    return x.view(2, 3, 4, 4, 6).transpose(1, 2).reshape(IMAGE)


def test_a_channel_shuffle_moves_channels(lowered):
    for shuffle in (shuffled_by_hand, lambda x: F.channel_shuffle(x, 3)):
        module = Function(lambda x, shuffle=shuffle: F.relu(shuffle(x)))
        network = lowered(module, torch.randn(IMAGE))
        assert kinds(network) == [Unary, Conv2d]


def test_a_shuffled_image_is_split(lowered):
    def function(x, one, two):
        left, right = shuffled_by_hand(x).chunk(2, 1)
        return torch.cat([one(left), two(right)], 1)

    convolutions = [nn.Conv2d(6, 5, 3) for _ in range(2)]
    network = lowered(Function(function, *convolutions), torch.randn(IMAGE))
    assert kinds(network).count(Conv2d) == 4
    assert not {Permute, Slice} & set(kinds(network))


def test_pixels_become_channels(lowered):
    network = lowered(Function(lambda x: F.pixel_unshuffle(x, 2)), torch.randn(IMAGE))
    assert kinds(network) == [Permute]
    assert network.layers[1].shape == (2, 48, 2, 3)


@pytest.mark.usefixtures("cut_anywhere")
def test_tokens_are_put_together_and_cut_along_their_features(lowered):
    def function(x, y):
        tokens = [part.flatten(2).transpose(1, 2) for part in (x, y)]
        both = torch.cat(tokens, 2)
        return both[..., 6:20].transpose(1, 2).unflatten(2, (4, 6))

    network = lowered(Function(function), torch.randn(IMAGE), torch.randn(IMAGE))
    assert ops(network) == [Concat(), Slice(6, 20)]


@pytest.mark.usefixtures("cut_anywhere")
def test_a_part_is_selected(lowered):
    def function(x):
        return x.unflatten(1, (3, 4))[:, -1]

    assert ops(lowered(Function(function), torch.randn(IMAGE))) == [Slice(8, 12)]
    module = Function(lambda x: x.select(1, 2).unsqueeze(1))
    assert ops(lowered(module, torch.randn(IMAGE))) == [Slice(2, 3)]


def test_two_orders_of_one_image_are_added(lowered):
    module = Function(lambda x, y: x.permute(0, 2, 3, 1) + y)
    network = lowered(module, torch.randn(IMAGE), torch.randn(2, 4, 6, 12))
    assert kinds(network).count(Permute) == 2
