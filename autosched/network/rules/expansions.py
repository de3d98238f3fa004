"""Rules for operators that repeat a tensor, and what repeats one for a reader that needs it.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, Linear, Reshape, Upsample
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, shape_of
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()

# Up to this many weights channels are repeated by a matrix of zeros and ones.
_MAX_WEIGHTS = 1 << 24


@RULES.rule("expand", "expand_as", "broadcast_to")
def _expand(lowering: Lowering, node: Node) -> View:
    """Nothing yet: most readers take the smaller tensor as it is."""
    return postponed(lowering, node, lowering.narrow_view(lowering.arguments(node)["self"]))


@RULES.rule("repeat", "tile")
def _repeat(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    counts = list(arguments["repeats" if "repeats" in arguments else "dims"])
    rank = len(shape_of(node))
    counts = [1] * (rank - len(counts)) + counts
    view = lowering.narrow_view(arguments["self"]).aligned(rank)
    if all(count == 1 or size == 1 for count, size in zip(counts, view.shape, strict=True)):
        return postponed(lowering, node, view)
    view = lowering.view(arguments["self"]).aligned(rank)
    pairs = [pair for dim in view.dims for pair in ((), dim)]
    shape = [size for pair in zip(counts, view.shape, strict=True) for size in pair]
    return _merged(lowering, node, replace(view, dims=tuple(pairs)), shape)


@RULES.rule("repeat_interleave")
def _repeat_each(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view, count, dim = lowering.view(arguments["self"]), arguments.get("repeats"), arguments["dim"]
    if not isinstance(count, int) or dim is None:
        raise Refusal("repeating each element needs one number of times, and a dimension")
    after = dim % len(view.dims) + 1
    shape = (*view.shape[:after], count, *view.shape[after:])
    return _merged(
        lowering, node, replace(view, dims=(*view.dims[:after], (), *view.dims[after:])), shape
    )


def _merged(lowering: Lowering, node: Node, view: View, shape: Sequence[int]) -> View:
    """A tensor repeated to ``shape``, and read as the node's."""
    result = expanded(lowering, node, view, shape).reshaped(shape_of(node))
    assert result is not None  # noqa: S101 - merging dimensions always succeeds
    return result


def postponed(lowering: Lowering, node: Node, view: View) -> View:
    """A node that only repeats ``view`` along dimensions of size 1: done once a reader needs it."""
    shape = shape_of(node)
    small = view.aligned(len(shape))
    if small.shape != shape:
        lowering.postponed[node] = lambda: expanded(lowering, node, small, shape)
    return small


def expanded(
    lowering: Lowering, node: Node, view: View, shape: Sequence[int], suffix: str = "expanded"
) -> View:
    """A tensor repeated along its dimensions of size 1, up to ``shape``.

    Channels are repeated by a product with ones, pixels by an enlargement.

    Raises:
        Refusal: its channels would have to be repeated, and are too many.
    """
    view = last_as_channels(lowering, node, view.aligned(len(shape)), suffix)
    wide = [dim for dim, size in enumerate(view.shape) if size != shape[dim]]
    if wide and view.base[CHANNELS] == 1:
        dim = CHANNELS if CHANNELS in wide else wide[-1]
        view = _repeated(lowering, node, view, dim, shape[dim], f"{suffix}.channels")
        wide.remove(dim)
    if wide and len(view.base) == 2:
        pixels = (*view.base, 1, 1)
        key = lowering.add(node, Reshape(), [view.key], shape=pixels, suffix=f"{suffix}.pixels")
        view = replace(view, key=key, base=pixels)
    free = [axis for axis in (2, 3) if len(view.base) == 4 and view.base[axis] == 1]
    sides = dict(zip(free, wide, strict=False))
    if sides:
        view = _enlarged(
            lowering, node, view, {a: (dim, shape[dim]) for a, dim in sides.items()}, suffix
        )
    for dim in wide[len(sides) :]:
        view = _repeated(lowering, node, view, dim, shape[dim], f"{suffix}.{dim}")
    return view


def broadcast(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    """The shape that two shapes with as many dimensions are repeated to."""
    return tuple(b if a == 1 else a for a, b in zip(one, other, strict=True))


def _enlarged(
    lowering: Lowering, node: Node, view: View, sides: dict[int, tuple[int, int]], suffix: str
) -> View:
    """Repeat the one row or column of an image; ``sides`` has of each the dimension and count."""
    scale = tuple(sides.get(axis, (0, 1))[1] for axis in (2, 3))
    base = (*view.base[:2], view.base[2] * scale[0], view.base[3] * scale[1])
    op = Upsample("nearest", (scale[0], scale[1]))
    key = lowering.add(node, op, [view.key], shape=base, suffix=f"{suffix}.sides")
    for axis, (dim, count) in sides.items():
        view = view.grown(key, dim, axis, count)
    return view


def last_as_channels(lowering: Lowering, node: Node, view: View, suffix: str) -> View:
    """A view of an image or of vectors, of one of another draft: its last dimension as channels."""
    if len(view.base) in {2, 4}:
        return view
    first, *middle, last = view.shape if len(view.shape) > 1 else (1, *view.shape)
    flat = view.reshaped((first, torch.Size(middle).numel(), last))
    assert flat is not None  # noqa: S101 - merging dimensions always succeeds
    image = flat.permuted((0, 2, 1)).reshaped((first, last, flat.shape[1], 1))
    assert image is not None  # noqa: S101 - it only adds a dimension
    key = lowering.rearranged(node, image, suffix=f"{suffix}.image")
    column = View.whole(key, image.shape).reshaped(image.shape[:3])
    assert column is not None  # noqa: S101 - it only drops a dimension
    result = column.permuted((0, 2, 1)).reshaped(view.shape)
    assert result is not None  # noqa: S101 - the reverse of the merging
    return result


def _repeated(
    lowering: Lowering, node: Node, view: View, dim: int, count: int, suffix: str
) -> View:
    """Repeat all channels ``count`` times, one run after the other, as dimension ``dim``."""
    channels = view.base[CHANNELS]
    if count * channels**2 > _MAX_WEIGHTS:
        raise Refusal(f"copying {view.shape} {count} times along dimension {dim} has no layer")
    matrix = torch.eye(channels).repeat(count, 1)
    key = mixed(lowering, node, view, matrix, suffix)
    return view.grown(key, dim, CHANNELS, count)


def mixed(
    lowering: Lowering, node: Node, view: View, matrix: torch.Tensor, suffix: str = ""
) -> str:
    """Multiply the channels of a view's draft by a matrix (new, old); the key of what that makes.

    The draft is an image or has vectors.
    """
    new, old = matrix.shape
    shape = (view.base[0], new, *view.base[2:])
    op: Linear | Conv2d = Linear(old, new, has_bias=False)
    if len(view.base) == 4:
        op, matrix = Conv2d(old, new, (1, 1), has_bias=False), matrix[:, :, None, None]
    weights = Weights(matrix.contiguous())
    return lowering.add(node, op, [view.key], shape=shape, weights=weights, suffix=suffix)
