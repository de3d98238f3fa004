import pytest

from autosched.network.graph import Layer, Network
from autosched.network.multiplications import heaviest_layers, multiplications
from autosched.network.operators import (
    Attention,
    Conv2d,
    ConvTranspose2d,
    Input,
    LayerOp,
    Linear,
    Matmul,
    Output,
    Shape,
    Softmax,
)


@pytest.mark.parametrize(
    ("op", "inputs", "shape", "expected"),
    [
        (Conv2d(64, 32, (3, 3)), [(2, 64, 10, 10)], (2, 32, 8, 8), 2 * 32 * 64 * 64 * 9),
        (Conv2d(64, 64, (3, 3), groups=64), [(1, 64, 10, 10)], (1, 64, 8, 8), 64 * 64 * 9),
        (ConvTranspose2d(8, 4, (2, 2), (2, 2)), [(1, 8, 5, 5)], (1, 4, 10, 10), 200 * 16),
        (Linear(128, 10), [(3, 128)], (3, 10), 3 * 10 * 128),
        (Matmul(), [(2, 4, 8), (2, 8, 16)], (2, 4, 16), 2 * 4 * 16 * 8),
        (Attention(2, 0.5), [(1, 8, 4, 4), (1, 8, 2, 2)], (1, 8, 4, 4), 2 * 128 * 4),
        (Softmax(1), [(4, 64)], (4, 64), 256),
    ],
)
def test_products_of_a_layer(op: LayerOp, inputs: list[Shape], shape: Shape, expected: int):
    assert multiplications(op, inputs, shape) == expected


def test_the_heaviest_layers_are_named_once_for_those_that_are_alike() -> None:
    wide, narrow = Conv2d(8, 8, (3, 3), padding=(1, 1, 1, 1)), Conv2d(8, 8, (1, 1))
    shape = (1, 8, 6, 6)
    network = Network(
        "chain",
        (
            Layer("images", Input(), (), shape),
            Layer("narrow", narrow, ("images",), shape),
            Layer("wide", wide, ("narrow",), shape),
            Layer("again", wide, ("wide",), shape),
            Layer("output", Output(), ("again",), shape),
        ),
    )
    assert heaviest_layers(network, 9) == ["wide", "narrow"]
    assert heaviest_layers(network, 1) == ["wide"]
