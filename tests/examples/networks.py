"""Small networks, written by hand: each kind of step, a residual block, a tensor that waits."""

from dataclasses import replace

import torch

from autosched.boards import find_board
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import (
    Activation,
    Binary,
    Conv2d,
    GlobalAvgPool2d,
    Input,
    Linear,
    Output,
    Pool2d,
    Reshape,
)

BOARD = find_board("n150")
SIDE, CHANNELS, CLASSES = 32, 64, 10
_RELU = Activation("relu")
_WHOLE, _HALF = (1, CHANNELS, SIDE, SIDE), (1, CHANNELS, SIDE // 2, SIDE // 2)
_INPUT = Layer("x", Input(), (), (1, 3, SIDE, SIDE))
_STEM = Layer(
    "stem", Conv2d(3, CHANNELS, (3, 3), padding=(1, 1, 1, 1), activation=_RELU), ("x",), _WHOLE
)
_POOL = Layer("pool", Pool2d("max", (2, 2), (2, 2)), ("stem",), _HALF)
_SAME = Conv2d(CHANNELS, CHANNELS, (3, 3), padding=(1, 1, 1, 1), activation=_RELU)
_POINTWISE = Conv2d(CHANNELS, CHANNELS, (1, 1))


def _head(last: str, classes: int = CLASSES) -> tuple[Layer, ...]:
    return (
        Layer("mean", GlobalAvgPool2d(), (last,), (1, CHANNELS, 1, 1)),
        Layer("flat", Reshape(), ("mean",), (1, CHANNELS)),
        Layer("fc", Linear(CHANNELS, classes), ("flat",), (1, classes)),
        Layer("y", Output(), ("fc",), (1, classes)),
    )


def small(classes: int = CLASSES) -> Network:
    """Convolution, pool, pointwise convolution, residual sum, mean, linear layer, with weights."""
    generator = torch.Generator().manual_seed(1)

    def weights(*shape: int) -> Weights:
        return Weights(
            torch.randn(shape, generator=generator), torch.randn(shape[0], generator=generator)
        )

    return Network(
        "small",
        (
            _INPUT,
            _STEM,
            _POOL,
            Layer("point", _POINTWISE, ("pool",), _HALF),
            Layer("sum", Binary("add", _RELU), ("point", "pool"), _HALF),
            *_head("sum", classes),
        ),
        {
            "stem": weights(CHANNELS, 3, 3, 3),
            "point": weights(CHANNELS, CHANNELS, 1, 1),
            "fc": weights(classes, CHANNELS),
        },
    )


def residual() -> Network:
    """Three convolutions, a max pool, and a sum with the tensor before two of them."""
    return Network(
        "residual",
        (
            _INPUT,
            _STEM,
            _POOL,
            Layer("conv1", _SAME, ("pool",), _HALF),
            Layer("conv2", _POINTWISE, ("conv1",), _HALF),
            Layer("sum", Binary("add", _RELU), ("conv2", "pool"), _HALF),
            *_head("sum"),
        ),
    )


def skipping() -> Network:
    """The stem's output is read at once, and again by the last sum."""
    return Network(
        "skipping",
        (
            _INPUT,
            _STEM,
            Layer("conv1", _SAME, ("stem",), _WHOLE),
            Layer("conv2", _POINTWISE, ("conv1",), _WHOLE),
            Layer("conv3", _SAME, ("conv2",), _WHOLE),
            Layer("sum", Binary("add", _RELU), ("conv3", "stem"), _WHOLE),
            *_head("sum"),
        ),
    )


def renamed(network: Network) -> Network:
    """Another network with the same layers under other names."""
    layers = tuple(
        replace(
            layer,
            name=f"other_{layer.name}",
            inputs=tuple(f"other_{name}" for name in layer.inputs),
        )
        for layer in network
    )
    return Network("renamed", layers)
