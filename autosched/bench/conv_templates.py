"""Random networks around a convolution."""

from autosched.bench.network_maker import CHANNEL_COUNTS, FUSED, NetworkMaker
from autosched.network.operators import Conv2d, ConvTranspose2d, Input, Reshape

_KERNELS = ((1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (2, 2))
# Kernel, stride, padding, output padding.
_TRANSPOSED = (
    (2, 2, 0, 0),
    (2, 2, 0, 1),
    (3, 1, 1, 0),
    (3, 2, 1, 0),
    (3, 2, 1, 1),
    (4, 2, 1, 0),
    (5, 2, 2, 1),
)


def conv(make: NetworkMaker) -> str:
    """Add a convolution of an image that another one has left."""
    channels, kernel = make.random.choice(CHANNEL_COUNTS), make.random.choice(_KERNELS)
    return make.convolution(make.image(), channels, kernel)


def depthwise(make: NetworkMaker) -> str:
    """Add a convolution of each channel for itself; of single pixels, what a batch norm becomes."""
    source = make.image()
    channels = make.shape(source)[1]
    kernel = make.random.choice(((3, 3), (3, 3), (5, 5), (1, 3), (1, 1)))
    return make.convolution(source, channels, kernel, groups=channels)


def grouped(make: NetworkMaker) -> str:
    """Add a convolution of a few groups of several channels each."""
    groups = make.random.choice((2, 3, 4, 8))
    inner, outer = (groups * make.random.choice((8, 16, 32)) for _ in range(2))
    kernel = make.random.choice(((3, 3), (3, 3), (1, 1), (5, 5)))
    return make.convolution(make.image((inner,)), outer, kernel, groups=groups)


def downsampling(make: NetworkMaker) -> str:
    """Add a convolution of every second pixel for itself."""
    source = make.image(sides=(4, 7, 8, 14, 16, 28, 33))
    return make.convolution(source, make.random.choice(CHANNEL_COUNTS), (1, 1), stride=2)


def stem(make: NetworkMaker) -> str:
    """Add a convolution of the network's input."""
    side = make.random.choice((16, 30, 32, 64))
    source = make.add(Input(), (), (make.random.choice((1, 2)), 3, side, side))
    kernel = make.random.choice(((3, 3), (7, 7), (4, 4)))
    return make.convolution(source, make.random.choice((16, 32, 64)), kernel)


def patches(make: NetworkMaker) -> str:
    """Add a convolution that makes a token of each patch of the network's input."""
    patch, count = make.random.choice((4, 8)), make.random.choice((4, 7, 8))
    source = make.add(Input(), (), (make.random.choice((1, 2)), 3, patch * count, patch * count))
    channels = make.random.choice((32, 64, 96))
    op = Conv2d(3, channels, (patch, patch), (patch, patch))
    return make.add(op, (source,), (make.shape(source)[0], channels, count, count))


def series(make: NetworkMaker) -> str:
    """Add a convolution of a series, as of an image of one column."""
    random = make.random
    batch, inner = random.choice((1, 2)), random.choice((8, 32))
    # Columns that are longer ttnn does not convolve with a stride.
    length, stride = random.choice(((16, 2), (32, 1), (50, 1)))
    source = make.add(Input(), (), (batch, inner, length))
    column = make.add(Reshape(), (source,), (batch, inner, length, 1))
    channels, kernel = random.choice(CHANNEL_COUNTS), random.choice((3, 5))
    around = (kernel // 2, kernel // 2, 0, 0)
    fused = random.choice(FUSED)
    op = Conv2d(inner, channels, (kernel, 1), (stride, 1), around, activation=fused)
    return make.add(op, (column,), (batch, channels, length // stride, 1))


def transposed(make: NetworkMaker) -> str:
    """Add a transposed convolution."""
    random, source = make.random, make.image()
    batch, inner, height, width = make.shape(source)
    channels = random.choice(CHANNEL_COUNTS)
    kernel, stride, padding, more = random.choice(_TRANSPOSED)
    op = ConvTranspose2d(
        inner,
        channels,
        (kernel, kernel),
        (stride, stride),
        (padding, padding),
        (more, more),
        has_bias=random.random() < 0.7,
        activation=random.choice(FUSED),
    )
    sides = [stride * (size - 1) - 2 * padding + kernel + more for size in (height, width)]
    return make.add(op, (source,), (batch, channels, *sides))
