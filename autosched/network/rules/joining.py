"""Rules for operators that put tensors one after the other.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from torch.fx import Node

from autosched.network.operators import Concat, ConcatRows
from autosched.network.rules.expansions import last_as_channels
from autosched.network.rules.rulebook import Lowering, RuleBook, shape_of
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()


@RULES.rule("cat", "concat", "concatenate")
def _concat(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    nodes = [part for part in arguments["tensors"] if 0 not in shape_of(part)]
    dim = arguments["dim"] % len(shape_of(node))
    views = _views(lowering, node, nodes)
    if len(views) == 1:
        return views[0]
    if (rows := _joined_rows(lowering, node, views, dim)) is not None:
        return rows
    if not _are_alike(views, dim) and len(shape_of(node)) in {2, 4} and dim == CHANNELS:
        return lowering.add(node, Concat(), [lowering.draft(source).key for source in nodes])
    if not _are_alike(views, dim):
        views = [_with_channels(lowering, source, dim) for source in nodes]
    channels = sum(view.base[CHANNELS] for view in views)
    shape = (views[0].base[0], channels, *views[0].base[2:])
    key = lowering.add(node, Concat(), [view.key for view in views], shape=shape)
    return views[0].resized(key, dim, shape_of(node)[dim])


def _joined_rows(lowering: Lowering, node: Node, views: Sequence[View], dim: int) -> View | None:
    """Put pixels one after the other, which are rows of channels; None if that is not meant."""
    if dim == 2 and len(shape_of(node)) == 4 and all(view.is_whole for view in views):
        key = lowering.add(node, ConcatRows(), [view.key for view in views])
        return View.whole(key, shape_of(node))
    at = next((d for d in range(1, len(views[0].dims)) if d != dim and views[0].dims[d]), None)
    if at is None or not all(_has_rows_at(view, dim, at) for view in views):
        return None
    columns = views[0].shape[at]
    if all(view.base[2:] == (1, 1) and view.base[CHANNELS] > columns for view in views):
        return None
    groups = [list(group) for _, group in groupby(map(_column, views), lambda view: view.shape[1])]
    parts = [
        _in_rows(_below(lowering, node, group, f"part{number}" if groups[1:] else ""), columns)
        for number, group in enumerate(groups)
    ]
    whole = _below(lowering, node, parts, "")
    place = {0: whole.dims[0], at: whole.dims[1], dim: whole.dims[2]}
    return replace(whole, dims=tuple(place.get(d, ()) for d in range(len(views[0].dims))))


def _has_rows_at(view: View, dim: int, at: int) -> bool:
    """Whether ``dim`` is all pixels of an image and, in each, parts of its channels that ``at`` is.

    Such are the boxes that a detector has at each pixel, of four channels each.
    """
    channels, inner = view.parts(CHANNELS), view.dims[at]
    outer = channels[: len(channels) - len(inner)]
    is_inner = inner != () and channels == outer + inner
    rows = view.parts(2, 3) + outer
    return len(view.base) == 4 and view.keeps_images and is_inner and view.dims[dim] == rows


def _column(view: View) -> View:
    """The whole draft as an image of one column."""
    batch, channels, height, width = view.base
    column = View.whole(view.key, view.base).reshaped((batch, channels, height * width, 1))
    assert column is not None  # noqa: S101 - merging dimensions always succeeds
    return column


def _in_rows(image: View, columns: int) -> View:
    """An image of one column with ``columns`` channels, each part of them a pixel."""
    batch, channels, pixels, _ = image.shape
    parts = image.reshaped((batch, channels // columns, columns, pixels, 1))
    assert parts is not None  # noqa: S101 - they are equal parts
    rows = parts.permuted((0, 2, 3, 1, 4)).reshaped(
        (batch, columns, channels // columns * pixels, 1)
    )
    assert rows is not None  # noqa: S101 - as above
    return rows


def _below(lowering: Lowering, node: Node, images: Sequence[View], suffix: str) -> View:
    """Put images of one column below each other; one is as it is."""
    if len(images) == 1:
        return images[0]
    keys = [
        lowering.rearranged(node, image, f"{suffix}pixels{number}")
        for number, image in enumerate(images)
    ]
    shape = (*images[0].shape[:2], sum(image.shape[2] for image in images), 1)
    return View.whole(lowering.add(node, ConcatRows(), keys, shape=shape, suffix=suffix), shape)


def _views(lowering: Lowering, node: Node, sources: Sequence[Node]) -> list[View]:
    """Return the tensors to put together; constants among them become layers."""
    for number, source in enumerate(sources):
        if source in lowering.constants:
            value = lowering.constants[source]
            lowering.views[source] = lowering.constant_view(node, value, f"constant{number}")
    return [lowering.view(source) for source in sources]


@RULES.rule("stack")
def _stack(lowering: Lowering, node: Node) -> View:
    """Put tensors one after the other along the channels, which are then the new dimension, too."""
    arguments = lowering.arguments(node)
    nodes = [part for part in arguments["tensors"] if 0 not in shape_of(part)]
    dim = arguments["dim"] % len(shape_of(node))
    views = _views(lowering, node, nodes)
    views[0] = last_as_channels(lowering, node, views[0], "first")
    keys = [
        lowering.arranged(node, view, views[0], f"arranged{number}")
        for number, view in enumerate(views)
    ]
    known = [key for key in keys if key is not None]
    if len(known) < len(keys):
        views = [
            last_as_channels(
                lowering, node, View.whole(lowering.rearranged(node, view), view.shape), f"{number}"
            )
            for number, view in enumerate(views)
        ]
        known = [view.key for view in views]
    first = replace(views[0], dims=(*views[0].dims[:dim], (), *views[0].dims[dim:]))
    if len(known) == 1:
        return first
    batch, channels, *sides = first.base
    shape = (batch, channels * len(known), *sides)
    key = lowering.add(node, Concat(), known, shape=shape)
    return first.grown(key, dim, CHANNELS, len(known))


def _are_alike(views: Sequence[View], dim: int) -> bool:
    """Whether ``dim`` is the channels of all, and everything else lies in the same way."""
    if not all(view.has_channels_at(dim) for view in views):
        return False
    first, *others = (view.resized("", dim, 1) for view in views)
    return all(first.same_arrangement(other) for other in others)


def _with_channels(lowering: Lowering, source: Node, dim: int) -> View:
    """The tensor as a view of an image of one column, whose channels are dimension ``dim``."""
    view = View.whole(lowering.draft(source).key, lowering.view(source).shape)
    lowering.views[source] = view
    return lowering.channels_at(source, dim)
