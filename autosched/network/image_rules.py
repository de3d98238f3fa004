"""Rules for operators that enlarge images, or put them beside and cut them from each other.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from typing import Any

from torch.fx import Node

from autosched.network.drafts import Draft, Unknown
from autosched.network.graph import (
    Concat,
    Crop,
    PixelShuffle,
    Slice,
    Span,
    Upsample,
)
from autosched.network.lowering import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.views import CHANNELS, View

RULES = RuleBook()

_SPLITS = ("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk", "tensor_split")


@RULES.rule("cat", "concat", "concatenate")
def _concat(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    nodes, dim = list(arguments["tensors"]), arguments["dim"] % len(shape_of(node))
    views = [lowering.view(source) for source in nodes]
    if len(views) == 1:
        return views[0]
    if not _are_alike(views, dim):
        _check_channels(shape_of(node), dim, "are put one after the other")
        return lowering.add(node, Concat(), [lowering.draft(source).key for source in nodes])
    channels = sum(view.base[CHANNELS] for view in views)
    shape = (views[0].base[0], channels, *views[0].base[2:])
    key = lowering.add(node, Concat(), [view.key for view in views], shape=shape)
    return views[0].resized(key, dim, shape_of(node)[dim])


def _are_alike(views: Sequence[View], dim: int) -> bool:
    """Whether ``dim`` is the channels of all, and everything else lies in the same way."""
    if not all(view.has_channels_at(dim) for view in views):
        return False
    first, *others = (view.resized("", dim, 1) for view in views)
    return all(first.same_arrangement(other) for other in others)


def _check_channels(shape: tuple[int, ...], dim: int, what: str) -> None:
    rank = len(shape)
    if rank not in {2, 4} or dim % rank != 1:
        raise Refusal(
            f"only channels of (N, C, H, W) or features of (N, features) {what}, "
            f"not dimension {dim} of {shape}"
        )


@RULES.rule(*_SPLITS, "unbind")
def _split(lowering: Lowering, node: Node) -> View:
    """Nothing yet: each part that is read is a slice of its own."""
    arguments = lowering.arguments(node)
    return _cuttable(lowering, arguments["self"], arguments["dim"], "are split")


def _cuttable(lowering: Lowering, source: Node, dim: int, what: str) -> View:
    """The view of a tensor whose dimension ``dim`` can be cut in the channels of its draft."""
    view = lowering.view(source)
    dim %= len(view.dims)
    if not view.leads_channels(dim):
        if len(view.base) not in {2, 4} and dim:
            return lowering.channels_at(source, dim)
        _check_channels(view.shape, dim, what)
        view = View.whole(lowering.draft(source).key, view.shape)
    return view


@RULES.rule("getitem")
def _result(lowering: Lowering, node: Node) -> str | View:
    several, index = node.args
    assert isinstance(several, Node)  # noqa: S101 - narrows the types for mypy
    assert isinstance(index, int)  # noqa: S101
    view = lowering.view(several)
    if lowering.base(view).op == Unknown():
        return view
    name = operator_name(several)
    if name == "unbind" or name in _SPLITS:
        dim = lowering.arguments(several)["dim"] % len(view.dims)
        if name == "unbind":
            return _slice(lowering, node, view, dim, (index, index + 1)).without(dim)
        widths = [part.shape[dim] for part in several.meta["val"]]
        start = sum(widths[:index])
        return _slice(lowering, node, view, dim, (start, start + widths[index]))
    if index == 0:
        return view
    raise Refusal(f"result {index} of {operator_name(several)} is not available")


@RULES.rule("slice", "narrow")
def _cut(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    dim, view = arguments["dim"], lowering.view(arguments["self"])
    if shape_of(node) == view.shape:
        return view
    if len(view.dims) == 4 and dim % 4 in {2, 3} and not view.leads_channels(dim):
        return _cropped(lowering, node)
    view = _cuttable(lowering, arguments["self"], dim, "are cut")
    dim %= len(view.dims)
    if arguments.get("step", 1) != 1:
        raise Refusal("cutting every second channel, or fewer, has no layer")
    start = arguments["start"] or 0
    start += view.shape[dim] if start < 0 else 0
    return _slice(lowering, node, view, dim, (start, start + shape_of(node)[dim]))


def _cropped(lowering: Lowering, node: Node) -> View:
    """Lower a cut of rows or columns, together with one of the others just before it."""
    arguments = lowering.arguments(node)
    source, axis = lowering.image(arguments["self"]), arguments["dim"] % 4 - 2
    size, step = source.shape[2 + axis], arguments.get("step", 1)
    start = arguments["start"] or 0
    start += size if start < 0 else 0
    span = (start, start + (shape_of(node)[2 + axis] - 1) * step + 1, step)
    spans: list[Span] = [(0, side, 1) for side in source.shape[2:]]
    before = source.op
    if isinstance(before, Crop) and (before.rows, before.columns)[axis] == (0, size, 1):
        spans, source = [before.rows, before.columns], lowering.graph.producer(source)
    spans[axis] = span
    return View.whole(lowering.add(node, Crop(*spans), [source.key]), shape_of(node))


@RULES.rule("select")
def _select(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view = _cuttable(lowering, arguments["self"], arguments["dim"], "are cut")
    dim, index = arguments["dim"] % len(view.dims), arguments["index"]
    index += view.shape[dim] if index < 0 else 0
    return _slice(lowering, node, view, dim, (index, index + 1)).without(dim)


def _slice(lowering: Lowering, node: Node, view: View, dim: int, part: tuple[int, int]) -> View:
    """Cut a dimension that leads the channels: to whole runs of the channels inside it."""
    start, stop = part
    if stop - start == view.shape[dim]:
        return view
    inner = view.base[CHANNELS] // view.shape[dim]
    shape = (view.base[0], (stop - start) * inner, *view.base[2:])
    key = lowering.add(node, Slice(start * inner, stop * inner), [view.key], shape=shape)
    return view.resized(key, dim, stop - start)


@RULES.rule("upsample_nearest2d", "upsample_nearest_exact2d")
def _nearest(lowering: Lowering, node: Node) -> str:
    return _enlarged(lowering, node, "nearest")


@RULES.rule("upsample_bilinear2d")
def _bilinear(lowering: Lowering, node: Node) -> str:
    if lowering.arguments(node)["align_corners"] and not _is_constant(_source(lowering, node)):
        raise Refusal("ttnn interpolates with align_corners=False only; pass that")
    return _enlarged(lowering, node, "bilinear")


def _source(lowering: Lowering, node: Node) -> Draft:
    return lowering.image(node.all_input_nodes[0])


def _is_constant(source: Draft) -> bool:
    return source.shape[2:] == (1, 1)


def _enlarged(lowering: Lowering, node: Node, mode: str) -> str:
    source, target = _source(lowering, node), shape_of(node)
    if target == source.shape:
        return source.key
    return lowering.add(node, enlargement(source.shape, target, mode), [source.key])


def enlargement(before: tuple[int, ...], after: tuple[int, ...], mode: str) -> Upsample:
    """The layer that enlarges an image; a single pixel is repeated, whatever the mode.

    Raises:
        Refusal: the factors are no whole numbers.
    """
    (height, width), (rows, columns) = before[2:], after[2:]
    if rows % height or columns % width:
        raise Refusal(
            f"it resizes {height}x{width} to {rows}x{columns}; only whole factors have a layer"
        )
    mode = "nearest" if (height, width) == (1, 1) else mode
    return Upsample(mode, (rows // height, columns // width))


@RULES.rule("pixel_shuffle")
def _pixel_shuffle(lowering: Lowering, node: Node) -> str:
    arguments: dict[str, Any] = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    return lowering.add(node, PixelShuffle(arguments["upscale_factor"]), [source.key])
