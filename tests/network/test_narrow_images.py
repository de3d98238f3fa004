"""Columns told of as rows, and narrow images side by side, against PyTorch."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.graph import Layer, Weights
from autosched.network.narrow_images import (
    as_told,
    side_by_side,
    slides_down_a_column,
    turned_shape,
)
from autosched.network.operators import (
    Conv2d,
    Convolution,
    ConvTranspose2d,
    GlobalAvgPool2d,
    LayerOp,
    Linear,
    Pool2d,
)
from autosched.network.reference import evaluate_layer

SHAPE = (2, 4, 11, 1)
OPERATORS = [
    Conv2d(4, 6, (3, 1), (2, 1), (1, 1, 0, 0)),
    Conv2d(4, 6, (3, 3), (1, 1), (2, 0, 1, 1), groups=2),
    Conv2d(4, 6, (4, 2), (2, 3), (1, 2, 1, 1), (2, 2)),
    ConvTranspose2d(4, 6, (4, 1), (2, 1), (1, 0), (1, 0)),
    ConvTranspose2d(4, 6, (3, 3), (2, 2), (0, 1)),
    Pool2d("max", (3, 1), (2, 1), (1, 1, 0, 0)),
    Pool2d("avg", (2, 1), (2, 2), ceil_mode=True),
    GlobalAvgPool2d(),
]


def pixels(image: torch.Tensor) -> torch.Tensor:
    """An image as it lies on the device: pixels by channels."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])


@pytest.mark.parametrize("op", OPERATORS, ids=str)
def test_a_row_has_the_pixels_of_the_column(op: LayerOp) -> None:
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(SHAPE, generator=generator)
    weights, turned = None, None
    shapes = op.parameter_shapes(SHAPE)
    if shapes is not None:
        weights = Weights(*(torch.randn(item, generator=generator) for item in shapes if item))
        turned = replace(weights, weight=weights.weight.transpose(2, 3))
    assert slides_down_a_column(op, SHAPE)
    told, shape = as_told(op, SHAPE)
    assert shape == turned_shape(SHAPE) == (2, 4, 1, 11)
    column = evaluate_layer(Layer("w", op, ("x",), ()), [image], weights)
    row = evaluate_layer(Layer("w", told, ("x",), ()), [image.transpose(2, 3)], turned)
    assert row.shape[2] == column.shape[3] == 1
    torch.testing.assert_close(pixels(row), pixels(column))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (Conv2d(4, 6, (3, 3), padding=(1, 1, 1, 1)), (2, 4, 11, 2)),
        (Conv2d(4, 6, (3, 1), padding=(1, 1, 0, 0)), (2, 4, 1, 1)),
        (Conv2d(4, 6, (3, 1), padding=(1, 1, 1, 1)), SHAPE),
        (ConvTranspose2d(4, 6, (1, 2)), SHAPE),
        (Conv2d(4, 6, (1, 1)), SHAPE),
        (Linear(4, 6), (2, 4)),
    ],
    ids=str,
)
def test_what_is_no_column_is_told_as_it_is(op: LayerOp, shape: tuple[int, ...]) -> None:
    """Nor what leaves several columns: its pixels would lie otherwise."""
    assert as_told(op, shape) == (op, shape)


@pytest.mark.parametrize(
    ("op", "size"),
    [
        (Conv2d(4, 6, (3, 3), (2, 2), (1, 1, 1, 1)), (4, 4)),
        (Conv2d(4, 6, (3, 3), (1, 1), (1, 1, 1, 1)), (2, 2)),
        (Conv2d(4, 6, (3, 3), (1, 1), (1, 1, 1, 1)), (1, 1)),
        (Conv2d(4, 6, (1, 1), (2, 2)), (4, 4)),
        (Conv2d(4, 6, (1, 1), (2, 2)), (3, 3)),
        (Conv2d(4, 6, (3, 3)), (5, 4)),
        (Conv2d(4, 6, (5, 4), (1, 3), (2, 2, 2, 0), (1, 1)), (6, 4)),
        (Conv2d(4, 6, (3, 2), (2, 1), (1, 1, 0, 1), (1, 2), groups=2), (7, 3)),
        (Conv2d(4, 4, (7, 7), (2, 2), (3, 3, 3, 3), groups=4), (4, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize(("batch", "scale"), [(16, 1), (2, 8), (1, 16)])
def test_the_outputs_of_each_image_are_in_the_wide_one(
    op: Conv2d, size: tuple[int, int], batch: int, scale: int
) -> None:
    size = size[0] * scale, size[1]
    shape = (batch, 4, *size)
    image = torch.randn(shape)
    weights = Weights(
        torch.randn(op.out_channels, 4 // op.groups, *op.kernel), torch.randn(op.out_channels)
    )
    wide = side_by_side(op, shape)
    assert wide is not None
    laid = F.pad(image, (0, wide.columns - size[1])).permute(1, 2, 0, 3).reshape(wide.shape)
    found = evaluate_layer(Layer("wide", wide.op, ("x",), ()), [laid], weights)
    assert found.shape[3] == batch * wide.outputs > 2
    parts = found.reshape(op.out_channels, -1, batch, wide.outputs)[..., : wide.kept]
    truth = evaluate_layer(Layer("each", op, ("x",), ()), [image], weights)
    torch.testing.assert_close(parts.permute(2, 0, 1, 3), truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [16, 2, 1])
@pytest.mark.parametrize(
    ("op", "size"),
    [
        (ConvTranspose2d(4, 6, (2, 2), (2, 2)), (16, 1)),
        (ConvTranspose2d(4, 6, (4, 4), (2, 2), (1, 1)), (16, 1)),
        (ConvTranspose2d(4, 6, (3, 3), (2, 2), (1, 1), (1, 1)), (8, 1)),
        (ConvTranspose2d(4, 6, (3, 3), (1, 1), (1, 1)), (20, 2)),
        (ConvTranspose2d(4, 4, (3, 5), (2, 1), (1, 2), groups=2), (20, 1)),
        (ConvTranspose2d(4, 6, (2, 3), (2, 1), (0, 2), (0, 0), (1, 2)), (10, 2)),
    ],
    ids=str,
)
def test_outputs_of_transposed_convolutions_are_in_the_wide_one(
    op: ConvTranspose2d, size: tuple[int, int], batch: int
) -> None:
    image = torch.randn(batch, 4, *size)
    weights = Weights(
        torch.randn(4, op.out_channels // op.groups, *op.kernel), torch.randn(op.out_channels)
    )
    wide = side_by_side(op, tuple(image.shape))
    assert wide is not None
    laid = F.pad(image, (0, wide.columns - size[1])).permute(1, 2, 0, 3).reshape(wide.shape)
    found = evaluate_layer(Layer("wide", wide.op, ("x",), ()), [laid], weights)
    assert found.shape[3] == batch * wide.outputs > 2
    parts = found.reshape(op.out_channels, -1, batch, wide.outputs)[..., : wide.kept]
    truth = evaluate_layer(Layer("each", op, ("x",), ()), [image], weights)
    torch.testing.assert_close(parts.permute(2, 0, 1, 3), truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (ConvTranspose2d(4, 6, (2, 2), (2, 2)), (1, 4, 7, 1)),
        (ConvTranspose2d(4, 6, (2, 2), (2, 2)), (16, 4, 2, 2)),
        (Conv2d(4, 6, (3, 3), padding=(1, 1, 1, 1)), (7, 4, 2, 2)),
        (Conv2d(4, 6, (3, 3), padding=(1, 1, 1, 1)), (16, 4, 3, 3)),
        (Conv2d(4, 6, (3, 3), padding=(1, 1, 1, 1)), (1, 4, 15, 2)),
        (Conv2d(4, 6, (1, 1)), (64, 4, 1, 1)),
    ],
    ids=str,
)
def test_what_ttnn_takes_stays_as_it_is(op: Convolution, shape: tuple[int, ...]) -> None:
    assert side_by_side(op, shape) is None
