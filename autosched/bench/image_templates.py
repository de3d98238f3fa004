"""Random networks around a convolution, or another operator of images."""

from autosched.bench.network_maker import ACTIVATIONS, CHANNEL_COUNTS, FUSED, RARE, NetworkMaker
from autosched.network.operators import (
    Activation,
    Binary,
    Concat,
    ConcatRows,
    Conv2d,
    ConvTranspose2d,
    Crop,
    Gather,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    HostStep,
    HostView,
    Input,
    LayerNorm,
    Pad,
    Padding,
    PixelShuffle,
    PlainGroupNorm,
    Pool2d,
    Reshape,
    Slice,
    Softmax,
    Span,
    Unary,
    Upsample,
)

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


_FUNCTIONS = ("add", "add", "mul", "sub", "div")
_POSITIVE = ("sqrt", "rsqrt", "log", "recip")
_NAMES = ("abs", "exp", "square", "softsign", "sin", "cos", *_POSITIVE)
_ALONE = (
    *ACTIVATIONS,
    *RARE,
    *(Activation(name) for name in _NAMES),
    Activation("softplus", (1.0, 20.0)),
    Activation("clamp_tss", (-1.0, 1.0)),
)
# Kernel, stride, padding.
_WINDOWS: tuple[tuple[tuple[int, int], tuple[int, int], Padding], ...] = (
    ((2, 2), (2, 2), (0, 0, 0, 0)),
    ((3, 3), (2, 2), (1, 1, 1, 1)),
    ((3, 3), (2, 2), (0, 1, 0, 1)),
    ((3, 3), (1, 1), (1, 1, 1, 1)),
    ((3, 3), (3, 3), (0, 0, 0, 0)),
    ((5, 5), (1, 1), (2, 2, 2, 2)),
    ((7, 7), (2, 2), (3, 3, 3, 3)),
    ((9, 9), (1, 1), (4, 4, 4, 4)),
    ((2, 1), (2, 1), (0, 0, 0, 0)),
    ((3, 1), (1, 1), (1, 1, 0, 0)),
    ((1, 4), (1, 4), (0, 0, 0, 0)),
    ((3, 5), (1, 2), (1, 1, 2, 2)),
)


def pool(make: NetworkMaker) -> str:
    """Add a pool of any kind of window; the mean where the image is too small for it."""
    random, source = make.random, make.image()
    batch, channels, height, width = make.shape(source)
    kernel, stride, padding = random.choice(_WINDOWS)
    if height < kernel[0] or width < kernel[1]:
        return make.add(GlobalAvgPool2d(), (source,), (batch, channels, 1, 1))
    ceil = padding[0] == padding[1] and random.random() < 0.3
    sides = [
        _count(size, kernel[axis], stride[axis], padding[2 * axis : 2 * axis + 2], ceil)
        for axis, size in enumerate((height, width))
    ]
    op = Pool2d(
        random.choice(("max", "avg")),
        kernel,
        stride,
        padding,
        ceil_mode=ceil,
        count_include_pad=padding[0] != padding[1] or random.random() < 0.7,
    )
    return make.add(op, (source,), (batch, channels, *sides))


def _count(size: int, kernel: int, stride: int, padding: tuple[int, ...], ceil: bool) -> int:
    """Return how many windows there are: with ``ceil``, one more that begins in the image."""
    before, after = padding
    free = size + before + after - kernel
    count = (free + stride - 1 if ceil else free) // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= size + before else count


def mean(make: NetworkMaker) -> str:
    """Add the mean of each image."""
    source = make.image()
    return make.add(GlobalAvgPool2d(), (source,), (*make.shape(source)[:2], 1, 1))


def binary(make: NetworkMaker) -> str:
    """Add a function of two images."""
    source, function = make.image(), make.random.choice(_FUNCTIONS)
    branch = make.pointwise(source, make.shape(source)[1], "sigmoid" if function == "div" else "")
    inputs = (source, branch) if function == "div" else (branch, source)
    return make.add(Binary(function, make.random.choice(FUSED)), inputs, make.shape(source))


def shifted(make: NetworkMaker) -> str:
    """Add a function of an image and a parameter of its size, in either order."""
    source, function = make.image(), make.random.choice(("add", "mul", "sub"))
    inputs = (source, make.constant(make.shape(source)))
    if make.random.random() < 0.3:
        inputs = inputs[::-1]
    return make.add(Binary(function), inputs, make.shape(source))


def gate(make: NetworkMaker) -> str:
    """Add a function of an image and of a number for each channel."""
    source = make.image()
    shape = make.shape(source)
    small = make.add(GlobalAvgPool2d(), (source,), (*shape[:2], 1, 1))
    factors = make.pointwise(small, shape[1], "sigmoid")
    op = Binary(make.random.choice(("mul", *_FUNCTIONS)), make.random.choice(FUSED))
    return make.add(op, (source, factors), shape)


def pixel_gate(make: NetworkMaker) -> str:
    """Add a function of an image and of a number for each pixel."""
    source = make.image()
    factors = make.pointwise(source, 1, "sigmoid")
    op = Binary(make.random.choice(("mul", *_FUNCTIONS)), make.random.choice(FUSED))
    return make.add(op, (source, factors), make.shape(source))


def single_values(make: NetworkMaker) -> str:
    """Add a function of each value; where it is defined for positive values only, of those."""
    source, activation = make.image(), make.random.choice(_ALONE)
    if activation.name in _POSITIVE:
        source = make.pointwise(source, make.shape(source)[1], "sigmoid")
    return make.add(Unary(activation), (source,), make.shape(source))


def concat(make: NetworkMaker) -> str:
    """Add images beside each other."""
    source = make.image()
    batch, _, *sides = make.shape(source)
    count = make.random.choice((1, 1, 2))
    others = [make.pointwise(source, make.random.choice(CHANNEL_COUNTS)) for _ in range(count)]
    channels = sum(make.shape(name)[1] for name in (source, *others))
    return make.add(Concat(), (source, *others), (batch, channels, *sides))


def concat_rows(make: NetworkMaker) -> str:
    """Add images below each other: of pixels in tiles, or not."""
    source = make.image()
    batch, channels, height, width = make.shape(source)
    others = [make.pointwise(source, channels) for _ in range(make.random.choice((1, 2)))]
    rows = height * (1 + len(others))
    return make.add(ConcatRows(), (source, *others), (batch, channels, rows, width))


def channel_slice(make: NetworkMaker) -> str:
    """Add the first half, second half or middle of an image's channels."""
    source = make.image()
    batch, channels, *sides = make.shape(source)
    half, quarter = channels // 2, channels // 4
    start, stop = make.random.choice(((0, half), (half, channels), (quarter, channels - quarter)))
    return make.add(Slice(start, stop), (source,), (batch, stop - start, *sides))


def crop(make: NetworkMaker) -> str:
    """Add some rows and columns of an image."""
    source = make.image()
    batch, channels, *sides = make.shape(source)
    rows, columns = (_span(make, size) for size in sides)
    shape = (batch, channels, len(range(*rows)), len(range(*columns)))
    return make.add(Crop(rows, columns), (source,), shape)


def _span(make: NetworkMaker, size: int) -> Span:
    start, step = make.random.randrange((size + 1) // 2), make.random.choice((1, 1, 2))
    taken = range(start, make.random.randrange(start, size) + 1, step)
    return (start, taken[-1] + 1, step)


def pad(make: NetworkMaker) -> str:
    """Add zeros around an image, or move it by some."""
    source = make.image()
    batch, channels, height, width = make.shape(source)
    top, bottom, left, right = padding = make.random.choice(
        ((1, 1, 1, 1), (0, 1, 0, 1), (3, 3, 3, 3), (0, 0, 2, 1), (1, -1, 2, -2))
    )
    if min(height, width) <= max(padding):
        top, bottom, left, right = padding = (1, 1, 1, 1)
    sides = (height + top + bottom, width + left + right)
    return make.add(Pad(padding), (source,), (batch, channels, *sides))


def gather(make: NetworkMaker) -> str:
    """Add an image padded by reflection, rolled or mirrored."""
    source = make.image()
    batch, channels, *sides = make.shape(source)
    rows, columns = (_taken(make, size) for size in sides)
    return make.add(Gather(rows, columns), (source,), (batch, channels, len(rows), len(columns)))


def _taken(make: NetworkMaker, size: int) -> tuple[int, ...]:
    lines = list(range(size))
    match make.random.choice(("reflect", "roll", "mirror")):
        case "reflect":
            border = min(make.random.choice((1, 1, 3)), size - 1)
            lines = [abs(line) for line in range(-border, size)] + lines[-2 : -2 - border : -1]
        case "roll":
            lines = lines[size // 2 :] + lines[: size // 2]
        case _:
            lines.reverse()
    return tuple(lines)


def upsample(make: NetworkMaker) -> str:
    """Add an image enlarged."""
    source = make.image()
    batch, channels, height, width = make.shape(source)
    scale = make.random.choice(((2, 2), (2, 2), (4, 4), (3, 3), (2, 1)))
    op = Upsample(make.random.choice(("nearest", "nearest", "bilinear")), scale)
    return make.add(op, (source,), (batch, channels, scale[0] * height, scale[1] * width))


def pixel_shuffle(make: NetworkMaker) -> str:
    """Add an image whose pixels were channels."""
    factor, channels = make.random.choice((2, 2, 3)), make.random.choice((3, 8, 32))
    source = make.image((channels * factor**2,))
    batch, _, height, width = make.shape(source)
    shape = (batch, channels, height * factor, width * factor)
    return make.add(PixelShuffle(factor), (source,), shape)


def layer_norm(make: NetworkMaker) -> str:
    """Add pixels normalised each for itself."""
    source = make.image()
    return make.add(LayerNorm(1e-5), (source,), make.shape(source))


def group_norm(make: NetworkMaker) -> str:
    """Add groups of channels normalised, which ttnn does in whole tiles."""
    source = make.image((32, 64, 96, 128))
    channels = make.shape(source)[1]
    groups = make.random.choice([count for count in (1, 2, 3, 4, 8, 32) if not channels % count])
    kind = make.random.choice((GroupNorm, PlainGroupNorm))
    return make.add(kind(groups, 1e-5), (source,), make.shape(source))


def classes(make: NetworkMaker) -> str:
    """Add shares of classes for each pixel."""
    source = make.pointwise(make.image(), make.random.choice((2, 21, 32, 150)))
    return make.add(Softmax(1), (source,), make.shape(source))


def host(make: NetworkMaker) -> str:
    """Add a mirrored image, which ttnn has no operator for."""
    source = make.image()
    shape = make.shape(source)
    view = HostView(shape, tuple(range(len(shape))), shape)
    op = HostOp((HostStep("aten.flip.default", '[[{"input":0},[3]],{}]'),), (view,))
    return make.add(op, (source,), shape)
