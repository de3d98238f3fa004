"""Small random networks of layers as a search meets them, to execute candidates of."""

from collections.abc import Callable
from random import Random

from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Activation,
    Binary,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Input,
    LayerNorm,
    LayerOp,
    Linear,
    Output,
    Pool2d,
    Reshape,
    Shape,
    Slice,
    Softmax,
    Unary,
    Upsample,
)

_CHANNELS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 288)
_SIDES = (1, 4, 7, 8, 10, 14, 16, 20, 28, 32, 33)
_KERNELS = ((1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (2, 2))
_FUSED = (
    None,
    None,
    Activation("relu"),
    Activation("relu6"),
    Activation("silu"),
    Activation("hardswish"),
    Activation("hardsigmoid"),
    Activation("sigmoid"),
    Activation("gelu"),
    Activation("leaky_relu", (0.1,)),
    Activation("tanh"),
)
_ALONE = tuple(item for item in _FUSED if item is not None)


class _Maker:
    """A network in the making: each method adds a layer and returns its name."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.layers: list[Layer] = []

    def add(self, op: LayerOp, inputs: tuple[str, ...], shape: Shape) -> str:
        name = f"{type(op).__name__.lower()}{len(self.layers)}"
        self.layers.append(Layer(name, op, inputs, shape))
        return name

    def shape(self, name: str) -> Shape:
        return next(layer.shape for layer in self.layers if layer.name == name)

    def image(self) -> str:
        """An image that a convolution has left."""
        random = self.random
        batch = random.choice((1, 1, 1, 2))
        height, width = random.choice(_SIDES), random.choice(_SIDES)
        channels = random.choice((3, 16, 32, 64))
        source = self.add(Input(), (), (batch, channels, height, width))
        return self.convolution(source, random.choice(_CHANNELS), (1, 1))

    def convolution(
        self, source: str, channels: int, kernel: tuple[int, int], *, groups: int = 1
    ) -> str:
        random, shape = self.random, self.shape(source)
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
            random.choice(_FUSED),
        )
        height, width = ((size - 1) // stride + 1 for size in shape[2:])
        return self.add(op, (source,), (shape[0], channels, height, width))


def _conv(make: _Maker) -> str:
    return make.convolution(
        make.image(), make.random.choice(_CHANNELS), make.random.choice(_KERNELS)
    )


def _depthwise(make: _Maker) -> str:
    source = make.image()
    channels = make.shape(source)[1]
    kernel = make.random.choice(((3, 3), (5, 5), (1, 3)))
    return make.convolution(source, channels, kernel, groups=channels)


def _stem(make: _Maker) -> str:
    side = make.random.choice((16, 30, 32, 64))
    source = make.add(Input(), (), (make.random.choice((1, 2)), 3, side, side))
    kernel = make.random.choice(((3, 3), (7, 7), (4, 4)))
    return make.convolution(source, make.random.choice((16, 32, 64)), kernel)


def _transposed(make: _Maker) -> str:
    random, source = make.random, make.image()
    batch, inner, height, width = make.shape(source)
    channels, kernel = random.choice(_CHANNELS), random.choice((2, 3, 4))
    padding = 0 if kernel == 2 else 1
    op = ConvTranspose2d(
        inner,
        channels,
        (kernel, kernel),
        (2, 2),
        (padding, padding),
        has_bias=random.random() < 0.7,
        activation=random.choice(_FUSED),
    )
    sides = [2 * (size - 1) - 2 * padding + kernel for size in (height, width)]
    return make.add(op, (source,), (batch, channels, *sides))


def _pool(make: _Maker) -> str:
    random, source = make.random, make.image()
    batch, channels, height, width = make.shape(source)
    kernel, stride, padding = random.choice(((2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 0)))
    if min(height, width) < kernel:
        return make.add(GlobalAvgPool2d(), (source,), (batch, channels, 1, 1))
    sides = [(size + 2 * padding - kernel) // stride + 1 for size in (height, width)]
    op = Pool2d(random.choice(("max", "avg")), (kernel, kernel), (stride, stride), (padding,) * 4)
    return make.add(op, (source,), (batch, channels, *sides))


def _mean(make: _Maker) -> str:
    source = make.image()
    return make.add(GlobalAvgPool2d(), (source,), (*make.shape(source)[:2], 1, 1))


def _binary(make: _Maker) -> str:
    source = make.image()
    shape = make.shape(source)
    branch = make.add(_same(shape[1]), (source,), shape)
    op = Binary(make.random.choice(("add", "mul", "sub")), make.random.choice(_FUSED))
    return make.add(op, (branch, source), shape)


def _gate(make: _Maker) -> str:
    source = make.image()
    shape = make.shape(source)
    small = make.add(GlobalAvgPool2d(), (source,), (*shape[:2], 1, 1))
    gate = make.add(
        Conv2d(shape[1], shape[1], (1, 1), activation=Activation("sigmoid")),
        (small,),
        (*shape[:2], 1, 1),
    )
    return make.add(Binary("mul"), (source, gate), shape)


def _unary(make: _Maker) -> str:
    source = make.image()
    return make.add(Unary(make.random.choice(_ALONE)), (source,), make.shape(source))


def _concat(make: _Maker) -> str:
    source = make.image()
    shape = make.shape(source)
    branches = [source]
    for _ in range(make.random.choice((1, 1, 2))):
        channels = make.random.choice(_CHANNELS)
        op = Conv2d(shape[1], channels, (1, 1))
        branches.append(make.add(op, (source,), (shape[0], channels, *shape[2:])))
    channels = sum(make.shape(name)[1] for name in branches)
    return make.add(Concat(), tuple(branches), (shape[0], channels, *shape[2:]))


def _slice(make: _Maker) -> str:
    source = make.image()
    batch, channels, *sides = make.shape(source)
    half = channels // 2
    return make.add(Slice(half, channels), (source,), (batch, channels - half, *sides))


def _upsample(make: _Maker) -> str:
    source = make.image()
    batch, channels, height, width = make.shape(source)
    op = Upsample(make.random.choice(("nearest", "nearest", "bilinear")), (2, 2))
    return make.add(op, (source,), (batch, channels, 2 * height, 2 * width))


def _head(make: _Maker) -> str:
    mean = _mean(make)
    batch, channels = make.shape(mean)[:2]
    flat = make.add(Reshape(), (mean,), (batch, channels))
    classes = make.random.choice((10, 64, 100))
    op = Linear(channels, classes, activation=make.random.choice(_FUSED))
    logits = make.add(op, (flat,), (batch, classes))
    return make.add(Softmax(1), (logits,), (batch, classes))


def _norm(make: _Maker) -> str:
    source = make.image()
    return make.add(LayerNorm(1e-5), (source,), make.shape(source))


def _same(channels: int) -> Conv2d:
    return Conv2d(channels, channels, (3, 3), padding=(1, 1, 1, 1))


_TEMPLATES: tuple[tuple[int, Callable[[_Maker], str]], ...] = (
    (8, _conv),
    (4, _depthwise),
    (3, _stem),
    (3, _transposed),
    (3, _pool),
    (1, _mean),
    (3, _binary),
    (1, _gate),
    (2, _unary),
    (3, _concat),
    (1, _slice),
    (2, _upsample),
    (1, _head),
    (1, _norm),
)


def random_network(seed: int) -> Network:
    """Return a network of a few layers, the same for the same seed; without weights."""
    random = Random(seed)  # noqa: S311 - no secret
    make = _Maker(random)
    template = random.choices([t for _, t in _TEMPLATES], [w for w, _ in _TEMPLATES])[0]
    last = template(make)
    shape = make.shape(last)
    if len(shape) == 4:
        # What follows wants its input in layouts of its own.
        last = make.add(Conv2d(shape[1], 32, (1, 1)), (last,), (shape[0], 32, *shape[2:]))
    make.add(Output(), (last,), make.shape(last))
    return Network(f"random{seed}", tuple(make.layers))
