"""A small random network in the making: layers are added one after the other."""

from collections.abc import Sequence
from random import Random

from autosched.network.graph import Layer
from autosched.network.operators import (
    Activation,
    Constant,
    Conv2d,
    GlobalAvgPool2d,
    Input,
    LayerOp,
    Linear,
    Permute,
    Reshape,
    Shape,
)

CHANNEL_COUNTS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 288)
ACTIVATIONS = (
    *(Activation(name) for name in ("relu", "relu6", "silu", "hardswish", "hardsigmoid")),
    *(Activation(name) for name in ("sigmoid", "gelu", "gelu_tanh", "tanh")),
    Activation("leaky_relu", (0.1,)),
    Activation("elu", (1.0,)),
)
"""What producers fuse and the simulator computes."""

RARE = (Activation("mish"), Activation("selu"))
"""What producers fuse, too, but the simulator cannot compute."""

FUSED = (*(None,) * 6, *ACTIVATIONS * 2, *RARE)
"""What a producer may take over, or nothing."""

_AT_AN_END = 0.3
_SIDES = (1, 4, 7, 8, 10, 14, 16, 20, 28, 32, 33)


class NetworkMaker:
    """A network in the making: each method adds layers and returns the name of the last."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.layers: list[Layer] = []

    def add(self, op: LayerOp, inputs: tuple[str, ...], shape: Shape) -> str:
        """Add a layer of PyTorch's output ``shape``."""
        name = f"{type(op).__name__.lower()}{len(self.layers)}"
        self.layers.append(Layer(name, op, inputs, shape))
        return name

    def shape(self, name: str) -> Shape:
        """Return the shape of a layer that was added."""
        return next(layer.shape for layer in self.layers if layer.name == name)

    def image(self, channels: Sequence[int] = CHANNEL_COUNTS, sides: Sequence[int] = _SIDES) -> str:
        """Add an image that a convolution has left, of one of these sizes.

        Mostly a second one, since the first leaves the format of the network's ends.
        """
        random = self.random
        batch = random.choice((1, 1, 1, 2))
        height, width = random.choice(sides), random.choice(sides)
        source = self.add(Input(), (), (batch, random.choice((3, 16, 32, 64)), height, width))
        first = self.convolution(source, random.choice(channels), (1, 1))
        if random.random() < _AT_AN_END:
            return first
        return self.convolution(first, random.choice(channels), (1, 1))

    def vector(self) -> str:
        """Add the features (N, C) of images, as a classifier reads them."""
        source = self.image()
        batch, channels, *_ = self.shape(source)
        mean = self.add(GlobalAvgPool2d(), (source,), (batch, channels, 1, 1))
        return self.add(Reshape(), (mean,), (batch, channels))

    def convolution(
        self,
        source: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        groups: int = 1,
        stride: int | None = None,
    ) -> str:
        """Add a convolution with everything else drawn at random, padded as its kernel needs."""
        random, shape = self.random, self.shape(source)
        if stride is None:
            stride = random.choice((1, 1, 2)) if min(shape[2:]) > max(kernel) else 1
        dilation = random.choice((1, 1, 1, 2)) if max(kernel) > 1 and stride == 1 else 1
        around = [dilation * (size - 1) for size in kernel]
        top, left = (size // 2 for size in around)
        op = Conv2d(
            shape[1],
            channels,
            kernel,
            (stride, stride),
            (top, around[0] - top, left, around[1] - left),
            (dilation, dilation),
            groups,
            random.random() < 0.7,
            random.choice(FUSED),
        )
        height, width = ((size - 1) // stride + 1 for size in shape[2:])
        return self.add(op, (source,), (shape[0], channels, height, width))

    def pointwise(self, source: str, channels: int, activation: str = "") -> str:
        """Add a convolution of pixels for themselves: what a linear layer of tokens becomes."""
        batch, inner, *sides = self.shape(source)
        fused = Activation(activation) if activation else None
        op = Conv2d(inner, channels, (1, 1), activation=fused)
        return self.add(op, (source,), (batch, channels, *sides))

    def linear(self, source: str, features: int) -> str:
        """Add a linear layer of vectors."""
        batch, inner = self.shape(source)
        random = self.random
        op = Linear(inner, features, random.random() < 0.7, random.choice(FUSED))
        return self.add(op, (source,), (batch, features))

    def permuted(
        self, source: str, sizes: Sequence[int], order: Sequence[int], shape: Shape
    ) -> str:
        """Add what puts the axes ``sizes`` of a tensor in another order, read as ``shape``."""
        kept = [axis for axis, size in enumerate(sizes) if size != 1]
        moved = tuple(kept.index(axis) for axis in order if axis in kept)
        if list(moved) == sorted(moved):
            return self.add(Reshape(), (source,), shape)
        return self.add(Permute(tuple(sizes[axis] for axis in kept), moved), (source,), shape)

    def constant(self, shape: Shape) -> str:
        """Add a tensor that is a parameter."""
        return self.add(Constant(), (), shape)
