"""A network with a layer of every kind, for what may be asked of each."""

from autosched.network.graph import Layer, Network
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
    Softmax,
    Unary,
)
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats

IMAGE = (1, 64, 16, 16)
VECTOR = (1, 64)


def network() -> Network:
    """A layer of every kind; the first and last layers with weights are ``conv1`` and ``fc``."""
    conv = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
    return Network(
        "every kind",
        (
            Layer("x", Input(), (), IMAGE),
            Layer("gate", Unary(Activation("sigmoid")), ("x",), IMAGE),
            Layer("conv1", conv, ("gate",), IMAGE),
            Layer("conv2", conv, ("conv1",), IMAGE),
            Layer("sum", Binary("add"), ("conv2", "conv1"), IMAGE),
            Layer("pool", Pool2d("max", (2, 2), (2, 2)), ("sum",), (1, 64, 8, 8)),
            Layer("mean", GlobalAvgPool2d(), ("pool",), (1, 64, 1, 1)),
            Layer("flat", Reshape(), ("mean",), VECTOR),
            Layer("fc", Linear(64, 10), ("flat",), (1, 10)),
            Layer("soft", Softmax(1), ("fc",), (1, 10)),
            Layer("y", Output(), ("soft",), (1, 10)),
        ),
    )


NETWORK = network()
FORMATS = LayerFormats(NETWORK, Formats())
