"""Random networks around an operator of vectors or tokens, or another order of elements.

Tokens are an image's pixels, or those of an image of one column: a linear layer of them is a
pointwise convolution.
"""

import math

from autosched.bench.network_maker import FUSED, NetworkMaker
from autosched.network.operators import (
    Activation,
    Attention,
    Binary,
    Concat,
    LayerNorm,
    LayerOp,
    Matmul,
    Reshape,
    Slice,
    Softmax,
    Unary,
)

_FEW = (4, 7, 8, 10)
_WIDTHS = (32, 48, 64, 96)


def head(make: NetworkMaker) -> str:
    """Add a classifier."""
    logits = make.linear(make.vector(), make.random.choice((10, 64, 100)))
    return make.add(Softmax(1), (logits,), make.shape(logits))


def vectors(make: NetworkMaker) -> str:
    """Add an operator of vectors between linear layers."""
    random, source = make.random, make.vector()
    batch, width = make.shape(source)
    twin = make.linear(source, width)
    found: tuple[tuple[LayerOp, tuple[str, ...], int], ...] = (
        (Binary(random.choice(("add", "mul", "sub"))), (twin, source), width),
        (Concat(), (twin, source), 2 * width),
        (Slice(0, width // 2), (twin,), width // 2),
        (LayerNorm(1e-5), (twin,), width),
        (Unary(Activation("exp")), (twin,), width),
    )
    op, inputs, features = random.choice(found)
    return make.linear(make.add(op, inputs, (batch, features)), 10)


def flat(make: NetworkMaker) -> str:
    """Add a linear layer of all of an image's values."""
    source = make.image((8, 16, 32, 64), _FEW)
    batch, *sizes = make.shape(source)
    vector = make.add(Reshape(), (source,), (batch, math.prod(sizes)))
    return make.linear(vector, make.random.choice((10, 64)))


def unflat(make: NetworkMaker) -> str:
    """Add an image made of a vector."""
    channels, side = make.random.choice((8, 32)), make.random.choice((4, 7))
    vector = make.linear(make.vector(), channels * side * side)
    return make.add(Reshape(), (vector,), (make.shape(vector)[0], channels, side, side))


def channel_shuffle(make: NetworkMaker) -> str:
    """Add an image with the channels of groups in turn."""
    groups = make.random.choice((2, 3, 4))
    source = make.image([groups * width for width in (8, 16, 32)])
    batch, channels, height, width = make.shape(source)
    sizes = (batch, groups, channels // groups, height, width)
    return make.permuted(source, sizes, (0, 2, 1, 3, 4), (batch, channels, height, width))


def pixel_unshuffle(make: NetworkMaker) -> str:
    """Add an image whose channels were pixels."""
    factor = make.random.choice((2, 4))
    source = make.image((3, 8, 16, 32), (8, 16, 32))
    batch, channels, *sides = make.shape(source)
    height, width = (size // factor for size in sides)
    sizes = (batch, channels, height, factor, width, factor)
    shape = (batch, channels * factor**2, height, width)
    return make.permuted(source, sizes, (0, 1, 3, 5, 2, 4), shape)


def turned(make: NetworkMaker) -> str:
    """Add an image with rows for columns."""
    source = make.image()
    batch, channels, height, width = shape = make.shape(source)
    return make.permuted(source, shape, (0, 1, 3, 2), (batch, channels, width, height))


def mlp(make: NetworkMaker) -> str:
    """Add the part of a transformer block that works on each token for itself."""
    source = make.image(_WIDTHS, _FEW)
    positions = make.constant(make.shape(source))
    return _mlp(make, make.add(Binary("add"), (source, positions), make.shape(source)))


def _mlp(make: NetworkMaker, source: str) -> str:
    channels, shape = make.shape(source)[1], make.shape(source)
    normed = make.add(LayerNorm(1e-6), (source,), shape)
    wide = make.pointwise(normed, 4 * channels, make.random.choice(("gelu", "gelu_tanh")))
    return make.add(Binary("add"), (source, make.pointwise(wide, channels)), shape)


def class_token(make: NetworkMaker) -> str:
    """Add a token of its own before those of an image, a block's work on them, and its result."""
    source = make.image(_WIDTHS, _FEW)
    batch, channels, height, width = make.shape(source)
    count = height * width + 1
    tokens = _tokens(make, source)
    column = make.add(Reshape(), (tokens,), (batch, count - 1, channels, 1))
    first = make.constant((batch, 1, channels, 1))
    joined = make.add(Concat(), (first, column), (batch, count, channels, 1))
    order = (0, 2, 1, 3)
    sizes = (batch, count, channels, 1)
    block = _mlp(make, make.permuted(joined, sizes, order, (batch, channels, count, 1)))
    back = make.permuted(block, make.shape(block), order, sizes)
    token = make.add(Slice(0, 1), (back,), (batch, 1, channels, 1))
    return make.linear(make.add(Reshape(), (token,), (batch, channels)), 10)


def _tokens(make: NetworkMaker, source: str) -> str:
    """Add (N, tokens, C) of an image (N, C, H, W)."""
    batch, channels, height, width = shape = make.shape(source)
    return make.permuted(source, shape, (0, 2, 3, 1), (batch, height * width, channels))


def attended(make: NetworkMaker) -> str:
    """Add attention of pixels, or to fewer of them, or with a mask."""
    random = make.random
    heads, width = random.choice((1, 2, 3, 4)), random.choice((16, 20, 32, 64))
    channels = heads * width
    source = make.image((channels,), (4, 7, 8, 14))
    few = source
    if random.random() < 0.3:
        few = make.convolution(source, channels, (2, 2), stride=2)
    inputs = [make.pointwise(name, channels) for name in (source, few, few)]
    if random.random() < 0.3:
        batch, tokens, keys = (
            make.shape(source)[0],
            *(math.prod(make.shape(name)[2:]) for name in (source, few)),
        )
        inputs.append(make.constant((random.choice((1, batch * heads)), tokens, keys)))
    op = Attention(heads, 1 / math.sqrt(width))
    result = make.add(op, tuple(inputs), make.shape(source))
    return make.add(Binary("add", random.choice(FUSED)), (source, result), make.shape(source))


def split_attention(make: NetworkMaker) -> str:
    """Add attention whose queries, keys and values one layer has made."""
    heads, width = make.random.choice((1, 2, 3)), make.random.choice((16, 32, 48))
    channels = heads * width
    source = make.pointwise(make.image(sides=_FEW), 3 * channels)
    shape = (make.shape(source)[0], channels, *make.shape(source)[2:])
    parts = [
        make.add(Slice(part * channels, (part + 1) * channels), (source,), shape)
        for part in range(3)
    ]
    return make.add(Attention(heads, 1 / math.sqrt(width)), tuple(parts), shape)


def scores(make: NetworkMaker) -> str:
    """Add shares of each token for each other, as written out by hand."""
    source = make.image(_WIDTHS, _FEW)
    batch, channels, height, width = make.shape(source)
    count = height * width
    left, right = (_tokens(make, make.pointwise(source, channels)) for _ in range(2))
    product = make.add(Matmul(transposed=True), (left, right), (batch, count, count))
    column = make.permuted(product, (batch, count, count), (0, 2, 1), (batch, count, count, 1))
    return make.add(Softmax(1), (column,), (batch, count, count, 1))


def channel_scores(make: NetworkMaker) -> str:
    """Add the product of each channel with each other."""
    source = make.image(_WIDTHS, _FEW)
    batch, channels, *sides = make.shape(source)
    left, right = (
        make.add(Reshape(), (name,), (batch, channels, math.prod(sides)))
        for name in (source, make.pointwise(source, channels))
    )
    op = Matmul(transposed=True)
    return make.add(op, (left, right), (batch, channels, channels))


def resizing(make: NetworkMaker) -> str:
    """Add an image of another size, by a matrix of all pixels."""
    source = make.image(sides=_FEW)
    batch, channels, height, width = make.shape(source)
    side = make.random.choice((5, 8, 12))
    matrix = make.constant((batch, side * side, height * width))
    shape = (batch, side * side, channels)
    product = make.add(Matmul(), (matrix, _tokens(make, source)), shape)
    sizes = (batch, side, side, channels)
    return make.permuted(product, sizes, (0, 3, 1, 2), (batch, channels, side, side))
