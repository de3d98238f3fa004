import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import (
    Binary,
    Concat,
    Conv2d,
    Linear,
    Permute,
    Slice,
    Unary,
)
from autosched.network.rewrites.channel_orders import channel_order
from tests.network.modules import Function, kinds, ops


def shuffled(x: torch.Tensor, groups: int = 2) -> torch.Tensor:
    batch, channels, *sides = x.shape
    return x.view(batch, groups, channels // groups, *sides).transpose(1, 2).reshape(x.shape)


def image(channels: int = 12) -> torch.Tensor:
    return torch.randn(2, channels, 6, 5)


def test_the_places_of_channels_are_read_from_a_permutation() -> None:
    op = Permute((2, 2, 3, 7), (0, 2, 1, 3))
    order = channel_order(op, (2, 6, 7, 1))
    assert order is not None
    assert order.tolist() == [0, 3, 1, 4, 2, 5]
    assert channel_order(op, (2, 2, 3, 7)) is None
    assert channel_order(Permute((2, 3, 4), (1, 0, 2)), (2, 3, 4, 1)) is None
    assert channel_order(Permute((4, 3), (1, 0)), (1, 4, 3, 1)) is None


@pytest.mark.parametrize("before", [nn.Conv2d(12, 12, 3), nn.Conv2d(12, 12, 1, groups=3)])
def test_the_convolution_before_makes_its_channels_in_the_new_order(lowered, before) -> None:
    module = Function(lambda x, conv: shuffled(F.hardtanh(conv(x)), 3) * 2, before)
    network = lowered(module, image())
    assert kinds(network) == [Conv2d, Unary, Conv2d]
    assert ops(network)[-1].groups == 12


def test_a_transposed_one_does_so_too(lowered) -> None:
    module = Function(lambda x, conv: shuffled(conv(x)), nn.ConvTranspose2d(12, 8, 2, 2))
    assert Permute not in kinds(lowered(module, image()))


def test_what_comes_after_reads_the_old_order(lowered) -> None:
    after = [
        nn.Conv2d(12, 12, 3, groups=12),
        nn.BatchNorm2d(12),
        nn.Conv2d(12, 24, 2, groups=12),
        nn.ConvTranspose2d(24, 6, 2),
    ]

    def forward(x, depthwise, norm, several, last):
        middle = norm(F.max_pool2d(depthwise(shuffled(x)), 2))
        return last(F.gelu(several(F.pad(middle, (1, 1))) + 1))

    network = lowered(Function(forward, *after), image())
    assert Permute not in kinds(network)
    assert ops(network)[0].groups == 12


def test_a_head_reads_the_old_order_of_features(lowered) -> None:
    module = Function(lambda x, head: head(shuffled(x).mean((2, 3))), nn.Linear(12, 5))
    assert Permute not in kinds(lowered(module, image()))
    assert kinds(lowered(module, image()))[-1] is Linear


def test_a_concatenation_and_a_sum_hand_the_order_on(lowered) -> None:
    def forward(x, beside, last):
        y = shuffled(x, 3)
        return last(torch.cat([y + beside(x), y, x], 1))

    parts = nn.Conv2d(12, 12, 1), nn.Conv2d(36, 4, 3)
    assert kinds(lowered(Function(forward, *parts), image())) == [Conv2d, Binary, Concat, Conv2d]


def test_what_nobody_takes_over_is_a_convolution_of_ones(lowered) -> None:
    network = lowered(Function(lambda x: (shuffled(x), x)), image())
    conv = network.layers[1]
    assert conv.op == Conv2d(12, 12, (1, 1), has_bias=False)
    assert sorted(network.weights[conv.name].weight.flatten().tolist()) == [0] * 132 + [1] * 12


def test_cuts_of_what_was_shuffled_are_weights_of_zero(lowered) -> None:
    """The unit of ShuffleNet V2: nothing is cut, joined or put in another order."""

    def unit(x, first, second, last):
        passing, taken = shuffled(x).chunk(2, 1)
        return shuffled(torch.cat([passing, F.relu(last(second(F.relu(first(taken)))))], 1))

    parts = [nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 6, 1)]
    end = nn.Conv2d(12, 4, 3)
    network = lowered(Function(lambda x, *p: p[-1](unit(x, *p[:-1])), *parts, end), image())
    assert kinds(network).count(Conv2d) == 5
    assert not {Permute, Slice, Concat} & set(kinds(network))


def test_channels_cut_within_a_tile_are_a_product(lowered) -> None:
    module = Function(lambda x: [part + 1 for part in x.split((32, 20, 12), 1)])
    network = lowered(module, torch.randn(1, 64, 3, 3))
    assert [op for op in ops(network) if isinstance(op, Slice)] == [Slice(0, 32), Slice(32, 52)]


def test_a_product_of_which_only_parts_are_read_makes_them_one_by_one(lowered) -> None:
    halves = Function(lambda x, conv: [*F.relu(conv(x)).chunk(2, 1)], nn.Conv2d(12, 40, 1))
    assert [op.out_channels for op in ops(lowered(halves, image()))] == [20, 20]
    one = Function(lambda x, conv: conv(x)[:, :20], nn.Conv2d(12, 40, 1))
    assert ops(lowered(one, image())) == [Conv2d(12, 20, (1, 1))]
    whole = Function(lambda x, conv: [(y := conv(x)), y[:, 20:]], nn.Conv2d(12, 40, 1))
    assert [op.in_channels for op in ops(lowered(whole, image()))] == [12, 40]
    aligned = Function(lambda x, conv: [*conv(x).chunk(2, 1)], nn.Conv2d(12, 64, 1))
    assert kinds(lowered(aligned, image())) == [Conv2d, Slice, Slice]


def test_branches_that_are_shuffled_are_summed(lowered) -> None:
    def forward(x, one, two, last):
        return last(shuffled(torch.cat([F.relu(one(x)), two(x)], 1)))

    parts = nn.Conv2d(12, 5, 1), nn.Conv2d(12, 7, 1, bias=False), nn.Conv2d(12, 4, 3, groups=2)
    assert kinds(lowered(Function(forward, *parts), image())) == [Conv2d, Conv2d, Binary, Conv2d]


def test_other_branches_stay_beside_each_other(lowered) -> None:
    def forward(x, one, two, last):
        return last(shuffled(torch.cat([torch.sigmoid(one(x)), two(x)], 1)))

    parts = nn.Conv2d(12, 5, 1), nn.Conv2d(12, 7, 1), nn.Conv2d(12, 4, 3)
    assert kinds(lowered(Function(forward, *parts), image())) == [Conv2d, Conv2d, Concat, Conv2d]
