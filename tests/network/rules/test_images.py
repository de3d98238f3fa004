import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.operators import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Crop,
    PixelShuffle,
    Slice,
    Upsample,
)
from autosched.network.rewrites import channel_orders
from tests.network.modules import Function, ops

IMAGE = (2, 4, 12, 12)


@pytest.fixture
def cut_anywhere(monkeypatch):
    """What is cut within tiles stays a slice, as it is at their edges."""
    monkeypatch.setattr(channel_orders, "_TILE", 1)


@pytest.mark.parametrize(
    ("convolution", "fields"),
    [
        (nn.ConvTranspose2d(4, 6, 2, 2), {"stride": (2, 2)}),
        (
            nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, bias=False),
            {"stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1), "has_bias": False},
        ),
        (
            nn.ConvTranspose2d(4, 6, (3, 5), (2, 1), (0, 2), dilation=2, groups=2),
            {"stride": (2, 1), "padding": (0, 2), "dilation": (2, 2), "groups": 2},
        ),
    ],
)
def test_transposed_convolutions(lowered, convolution, fields):
    (op,) = ops(lowered(convolution, torch.randn(IMAGE)))
    assert op == ConvTranspose2d(4, 6, convolution.kernel_size, **fields)


@pytest.mark.parametrize(
    ("scale", "mode", "op"),
    [
        (2, "nearest", Upsample("nearest", (2, 2))),
        ((1, 3), "nearest-exact", Upsample("nearest", (1, 3))),
        (4, "bilinear", Upsample("bilinear", (4, 4))),
        ((3, 2), "bilinear", Upsample("bilinear", (3, 2))),
    ],
)
def test_enlargement_by_factor_or_to_a_size(lowered, scale, mode, op):
    module = nn.Upsample(scale_factor=scale, mode=mode)
    assert ops(lowered(module, torch.randn(IMAGE))) == [op]
    size = tuple(12 * factor for factor in op.scale)
    module = nn.Upsample(size, mode=mode)
    assert ops(lowered(module, torch.randn(IMAGE))) == [op]


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_single_pixel_is_repeated(lowered, align_corners):
    module = Function(lambda x: F.interpolate(x, (5, 7), None, "bilinear", align_corners))
    assert ops(lowered(module, torch.randn(2, 4, 1, 1))) == [Upsample("nearest", (5, 7))]


def test_resizing_to_its_own_size_is_nothing(lowered):
    module = nn.Upsample(12, mode="bilinear")
    assert ops(lowered(module, torch.randn(IMAGE))) == []


@pytest.mark.parametrize(
    ("function", "slices"),
    [
        (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), [Slice(0, 2), Slice(2, 4)]),
        (lambda x: x.split([1, 3], 1)[1] * 2, [Slice(1, 4)]),
        (lambda x: x.split(3, -3)[1] * 2, [Slice(3, 4)]),
        (lambda x: x[:, 1:3] * 2, [Slice(1, 3)]),
        (lambda x: x[:, -1:] * 2, [Slice(3, 4)]),
        (lambda x: x[:, :3] * 2, [Slice(0, 3)]),
        (lambda x: x.narrow(1, 1, 2) * 2, [Slice(1, 3)]),
        (lambda x: x[:, :, :100].chunk(1, 1)[0] * 2, []),
    ],
)
@pytest.mark.usefixtures("cut_anywhere")
def test_parts_of_channels(lowered, function, slices):
    found = ops(lowered(Function(function), torch.randn(IMAGE)))
    assert [op for op in found if isinstance(op, Slice)] == slices


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x, 2 * x], 0),
        lambda x: x.chunk(2)[1] + x[:1],
        lambda x: torch.stack(x.unbind(0), 1),
        lambda x: x[1] * x[0],
        lambda x: x.roll(3),
        lambda x: x.flip(0),
    ],
)
def test_batches_are_cut_and_joined(lowered, function):
    lowered(Function(function), torch.randn(IMAGE))


def test_parts_of_features(lowered):
    assert ops(lowered(Function(lambda x: x[:, 2:]), torch.randn(3, 8))) == [Slice(2, 8)]


def test_pixel_shuffle(lowered):
    module = nn.Sequential(nn.Conv2d(4, 256, 1), nn.PixelShuffle(16))
    assert ops(lowered(module, torch.randn(IMAGE))) == [Conv2d(4, 256, (1, 1)), PixelShuffle(16)]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: F.conv_transpose2d(x, torch.cat([x, x])), "weight is computed"),
    ],
)
def test_what_cannot_be_lowered_is_refused(function, reason):
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Function(function).eval(), (torch.randn(IMAGE),))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (lambda x: x[:, :, 2:-3], Crop((2, 9, 1), (0, 12, 1))),
        (lambda x: x[..., 1::2], Crop((0, 12, 1), (1, 12, 2))),
        (lambda x: x[:, :, ::3, -4:], Crop((0, 10, 3), (8, 12, 1))),
        (lambda x: x.narrow(2, 5, 2), Crop((5, 7, 1), (0, 12, 1))),
    ],
)
def test_rows_and_columns_are_cut(lowered, function, op):
    assert ops(lowered(Function(function), torch.randn(IMAGE))) == [op]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x, 2 * x], 2),
        lambda x: torch.cat([x, torch.ones(2, 1, 12, 12)], 1),
        lambda x: torch.cat([torch.arange(24.0).view(2, 4, 3, 1).expand(2, 4, 3, 12), x], -2),
        lambda x: x.chunk(2, 2)[1] * 2,
        lambda x: x[:, :, 3],
        lambda x: torch.cat([x.flatten(2), x.flatten(2)], 2),
        lambda x: x.unbind(2)[1] + 1,
        lambda x: x.roll(-5, 1),
        lambda x: x.roll((3, -2), (2, 3)),
        lambda x: x.permute(0, 2, 3, 1).roll((-1, 13), (1, 2)),
        lambda x: x.roll((12, 1), (2, 3)),
    ],
)
def test_other_dimensions_are_made_channels(lowered, function):
    lowered(Function(function), torch.randn(IMAGE))


def test_rows_and_columns_of_channels_last_are_cut_where_they_are(lowered):
    def merged(x):
        x = x.permute(0, 2, 3, 1)
        return torch.cat([x[:, ::2, 1::2], x[:, 1::2, ::2]], -1).permute(0, 3, 1, 2)

    found = ops(lowered(Function(merged), torch.randn(IMAGE)))
    assert found == [Crop((0, 11, 2), (1, 12, 2)), Crop((1, 12, 2), (0, 11, 2)), Concat()]
    lowered(Function(lambda x: x.permute(0, 2, 3, 1)[:, 3:4, ::5] * 2), torch.randn(IMAGE))


def test_a_part_of_a_part_is_cut(lowered):
    network = lowered(Function(lambda x: x[:, :, 2:][:, :, ::2]), torch.randn(IMAGE))
    assert ops(network) == [Crop((2, 12, 1), (0, 12, 1)), Crop((0, 9, 2), (0, 12, 1))]


PADDED = {
    "series": (lambda x: F.pad(x, (2, 0)), (2, 8, 6)),
    "with a value": (lambda x: F.pad(x, (1, 2, 3, 0), value=1.5), (2, 8, 6, 7)),
    "channels": (lambda x: F.pad(x, (0, 0, 0, 0, 2, 2)), (2, 8, 6, 7)),
    "channels and rows": (lambda x: F.pad(x, (0, 0, 1, 0, 2, 2)), (2, 8, 6, 7)),
    "channels last": (lambda x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 1, 0, 2)), (2, 8, 6, 7)),
    "tokens": (lambda x: F.pad(x, (0, 0, 1, 0)), (2, 5, 8)),
    "vectors": (lambda x: F.pad(x, (1, 1)), (2, 8)),
    "one pixel": (lambda x: F.pad(x, (1, 1, 1, 1)), (2, 8, 1, 1)),
}


@pytest.mark.parametrize(("function", "shape"), PADDED.values(), ids=PADDED)
def test_any_dimension_but_the_batch_is_padded(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


@pytest.mark.parametrize(("dim", "shape"), [(1, (2, 8, 6, 7)), (2, (2, 8, 6, 7)), (-1, (2, 8))])
def test_a_gated_linear_unit_is_a_product_of_halves(lowered, dim, shape):
    lowered(Function(lambda x: F.glu(x, dim)), torch.randn(shape))


def test_the_one_image_of_a_batch_is_taken_as_it_is(lowered):
    assert len(ops(lowered(Function(lambda x: x[0].relu()), torch.randn(1, 8, 5)))) == 2
