"""Columns told of as rows, against PyTorch."""

from dataclasses import replace

import pytest
import torch

from autosched.network.column_images import as_told, slides_down_a_column, turned_shape
from autosched.network.graph import Layer, Weights
from autosched.network.operators import (
    Conv2d,
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
