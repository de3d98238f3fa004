import pytest
import torch
from torch import nn

from autosched.network.operators import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Linear,
    Permute,
    PixelShuffle,
    Unary,
)
from tests.network.modules import Function, kinds, ops


def test_channels_become_pixels_by_a_transposed_convolution(lowered) -> None:
    network = lowered(nn.PixelShuffle(2), torch.randn(2, 20, 4, 3))
    assert ops(network) == [ConvTranspose2d(20, 5, (2, 2), (2, 2), has_bias=False)]


@pytest.mark.parametrize(("factor", "channels", "side"), [(3, 5, 4), (8, 2, 3), (2, 64, 48)])
def test_by_large_factors_and_of_large_images_they_become_rows_first(
    lowered, factor: int, channels: int, side: int
) -> None:
    """ttnn's windows are dense: at once, each pixel reads every channel of all pixels it is of."""
    network = lowered(nn.PixelShuffle(factor), torch.randn(2, channels * factor**2, side, side + 1))
    down, across = (factor, 1), (1, factor)
    packed = channels * factor
    assert ops(network) == [
        ConvTranspose2d(packed * factor, packed, down, down, has_bias=False),
        ConvTranspose2d(packed, channels, across, across, has_bias=False),
    ]
    assert [layer.shape[2:] for layer in network][-1] == (side * factor, (side + 1) * factor)


@pytest.mark.parametrize(("factor", "batch"), [(2, 1), (3, 2), (16, 1)])
def test_a_channel_that_is_handed_back_is_put_in_order_row_by_row(
    lowered, factor: int, batch: int
) -> None:
    module = nn.Sequential(nn.PixelShuffle(factor), nn.Tanh())
    network = lowered(module, torch.randn(batch, factor**2, 5, 64))
    assert kinds(network) == [Unary, Permute, Linear]
    rows, width = batch * factor * 5, factor * 64
    output = network.layers[-1]
    assert output.shape == network.by_name[output.inputs[0]].shape == (rows, width)
    assert network.caller_shape(output) == (batch, 1, factor * 5, width)


@pytest.mark.parametrize(
    ("channels", "width", "after"),
    [(2, 64, nn.Identity()), (1, 48, nn.Identity()), (1, 64, nn.Conv2d(1, 40, 3))],
)
def test_other_channels_are_transposed(
    lowered, channels: int, width: int, after: nn.Module
) -> None:
    module = nn.Sequential(nn.PixelShuffle(2), after)
    network = lowered(module, torch.randn(1, 4 * channels, 8, width))
    assert kinds(network)[0] is ConvTranspose2d
    assert not network.packing.callers


@pytest.mark.parametrize(("factor", "channels"), [(16, 1), (8, 64)])
def test_many_channels_by_large_factors_stay_shuffles(lowered, factor: int, channels: int) -> None:
    sample = torch.randn(1, channels * factor**2, 2, 2)
    assert kinds(lowered(nn.PixelShuffle(factor), sample)) == [PixelShuffle]


@pytest.mark.parametrize(
    ("kernel", "padding"), [(1, 0), (3, 1), (9, 4), ((5, 3), (2, 1)), (4, "same")]
)
@pytest.mark.parametrize("factor", [2, 3])
def test_few_channels_are_made_before_they_become_pixels(lowered, factor, kernel, padding) -> None:
    """The end of a super-resolution network: 3 channels move, not all."""
    module = nn.Sequential(
        nn.PixelShuffle(factor), nn.Hardtanh(), nn.Conv2d(8, 3, kernel, padding=padding), nn.ReLU()
    )
    network = lowered(module, torch.randn(2, 8 * factor**2, 5, 4))
    assert kinds(network)[:3] == [Unary, Conv2d, ConvTranspose2d]
    assert ops(network)[1].out_channels == 3 * factor**2


@pytest.mark.parametrize(
    "after",
    [
        nn.Conv2d(8, 9, 3, padding=1),
        nn.Conv2d(8, 3, 3),
        nn.Conv2d(8, 3, 3, padding=1, stride=2),
        nn.Conv2d(8, 4, 3, padding=1, groups=2),
        nn.Conv2d(8, 4, 3, padding=2, dilation=2),
    ],
)
def test_others_read_the_pixels(lowered, after: nn.Module) -> None:
    network = lowered(nn.Sequential(nn.PixelShuffle(2), after), torch.randn(2, 32, 5, 4))
    assert kinds(network) == [ConvTranspose2d, Conv2d]


def test_what_two_layers_read_becomes_pixels_first(lowered) -> None:
    module = Function(
        lambda x, up, last: up(x) + last(up(x)), nn.PixelShuffle(2), nn.Conv2d(3, 3, 1)
    )
    network = lowered(module, torch.randn(1, 12, 5, 4))
    assert kinds(network)[0] is ConvTranspose2d


@pytest.mark.parametrize("factor", [2, 3])
def test_pixels_that_become_channels_are_read_with_a_stride(lowered, factor: int) -> None:
    convs = [nn.Conv2d(3 * factor**2, 5, 3, padding=1), nn.Conv2d(3 * factor**2, 2, 2, stride=2)]
    module = Function(
        lambda x, down, *c: [conv(down(x)) for conv in c], nn.PixelUnshuffle(factor), *convs
    )
    network = lowered(module, torch.randn(2, 3, 6 * factor, 4 * factor))
    assert kinds(network) == [Conv2d, Conv2d]
    assert {op.kernel for op in ops(network)} == {(3 * factor,) * 2, (2 * factor,) * 2}


@pytest.mark.parametrize("order", [(0, 3, 5, 1, 2, 4), (0, 5, 3, 1, 2, 4)])
def test_so_are_those_that_come_before_the_channels(lowered, order: tuple[int, ...]) -> None:
    def forward(x: torch.Tensor, conv: nn.Module) -> torch.Tensor:
        return conv(x.view(2, 3, 4, 2, 6, 2).permute(order).reshape(2, 12, 4, 6))

    network = lowered(Function(forward, nn.Conv2d(12, 5, 3)), torch.randn(2, 3, 8, 12))
    assert kinds(network) == [Conv2d]


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_leaves_pixels_as_channels(lowered, bias: bool) -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=bias)
    network = lowered(nn.Sequential(conv, nn.PixelUnshuffle(2)), torch.randn(2, 3, 8, 6))
    assert kinds(network) == [Conv2d]
    assert ops(network)[0].kernel == (4, 4)


def test_a_convolution_leaves_no_channels_whose_weights_outweigh_them(lowered) -> None:
    """Hiera's tokens lie in units of 64: a layer of 96 features would have 75 million weights."""

    def forward(x: torch.Tensor, conv: nn.Module) -> torch.Tensor:
        return conv(x).view(1, 192, 4, 64, 1, 1).permute(0, 3, 5, 1, 2, 4).reshape(1, 12288, 4, 1)

    network = lowered(Function(forward, nn.Conv2d(96, 192, 1)), torch.randn(1, 96, 256, 1))
    assert kinds(network) == [Conv2d, Permute]
    assert ops(network)[0].kernel == (1, 1)


def test_others_stay_permutations(lowered) -> None:
    both = Function(
        lambda x, down, conv: (conv(down(x)), down(x)), nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 1)
    )
    assert Permute in kinds(lowered(both, torch.randn(2, 3, 8, 6)))
    transposed = Function(lambda x, conv: conv(x.transpose(2, 3)), nn.Conv2d(3, 4, 1))
    assert Permute in kinds(lowered(transposed, torch.randn(2, 3, 8, 6)))


def corners(image: torch.Tensor, order: str) -> torch.Tensor:
    """Join every other row and column from each start, rows or columns first."""
    starts = [(row, column) for row in (0, 1) for column in (0, 1)]
    if order == "rows first":
        starts = [(row, column) for column, row in starts]
    return torch.cat([image[..., row::2, column::2] for row, column in starts], 1)


@pytest.mark.parametrize("order", ["rows first", "columns first"])
def test_a_stem_of_every_other_row_and_column_reads_with_a_stride(lowered, order: str):
    convolution = nn.Conv2d(12, 8, 3, padding=1)
    module = Function(lambda x: convolution(corners(x, order)))
    module.convolution = convolution
    network = lowered(module, torch.randn(2, 3, 16, 24))
    (op,) = ops(network)
    assert isinstance(op, Conv2d)
    assert (op.in_channels, op.kernel, op.stride) == (3, (6, 6), (2, 2))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2]], 1),
        lambda x: torch.cat([x[..., ::2, ::2]] * 4, 1),
        lambda x: torch.cat([x[..., :8, :8], x[..., 8:, :8], x[..., :8, 8:], x[..., 8:, 8:]], 1),
        lambda x: corners(x, "rows first") * 2,
    ],
)
def test_other_parts_of_an_image_are_joined_as_they_are(lowered, function):
    network = lowered(Function(function), torch.randn(1, 3, 16, 16))
    assert any(isinstance(op, Concat) for op in ops(network))
