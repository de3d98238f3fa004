"""Rules for operators that cut tensors, roll or pad them, or make pixels of channels.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Node

from autosched.network.draft_graph import Unknown, ZeroPad
from autosched.network.operators import (
    Activation,
    Binary,
    Concat,
    Crop,
    Pair,
    PixelShuffle,
    Slice,
    Span,
    Unary,
)
from autosched.network.rules.arithmetic import with_constant
from autosched.network.rules.expansions import mixed
from autosched.network.rules.resizing import padded_by_matrices
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()

_SPLITS = ("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk", "tensor_split")


@RULES.rule("glu")
def _glu(lowering: Lowering, node: Node) -> View:
    """Lower a gated linear unit: the first half times the sigmoid of the second."""
    arguments = lowering.arguments(node)
    view = _cuttable(lowering, arguments["self"], arguments["dim"])
    dim = arguments["dim"] % len(view.dims)
    half = view.shape[dim] // 2
    values = _slice(lowering, node, view, dim, (0, half), "values")
    gates = _slice(lowering, node, view, dim, (half, 2 * half), "gates")
    op = Unary(Activation("sigmoid"))
    key = lowering.add(node, op, [gates.key], shape=gates.base, suffix="sigmoid")
    inputs = [values.key, key]
    return values.of(lowering.add(node, Binary("mul"), inputs, shape=values.base))


@RULES.rule(*_SPLITS, "unbind")
def _split(lowering: Lowering, node: Node) -> View:
    """Nothing yet: each part that is read is a slice of its own."""
    arguments = lowering.arguments(node)
    return _cuttable(lowering, arguments["self"], arguments["dim"])


def _cuttable(lowering: Lowering, source: Node, dim: int) -> View:
    """The view of a tensor whose dimension ``dim`` can be cut in the channels of its draft."""
    view = lowering.view(source)
    dim %= len(view.dims)
    if not view.leads_channels(dim):
        if dim == CHANNELS and len(view.shape) in {2, 4}:
            return View.whole(lowering.draft(source).key, view.shape)
        return lowering.channels_at(source, dim)
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
    dim %= len(view.dims)
    if not view.leads_channels(dim):
        if (axis := view.side_at(dim)) is not None and len(view.parts(axis)) == 1:
            return _cropped(lowering, node, view, axis)
        if len(view.dims) == 4 and dim in {2, 3}:
            view = View.whole(lowering.draft(arguments["self"]).key, view.shape)
            return _cropped(lowering, node, view, dim)
    view = _cuttable(lowering, arguments["self"], dim)
    dim %= len(view.dims)
    if arguments.get("step", 1) != 1:
        raise Refusal("cutting every second channel, or fewer, has no layer")
    start = arguments["start"] or 0
    start += view.shape[dim] if start < 0 else 0
    return _slice(lowering, node, view, dim, (start, start + shape_of(node)[dim]))


def _cropped(lowering: Lowering, node: Node, view: View, side: int) -> View:
    """Lower a cut of rows or columns, together with one of the others just before it."""
    arguments = lowering.arguments(node)
    source, axis = lowering.base(view), side - 2
    size, step = source.shape[side], arguments.get("step", 1)
    start = arguments["start"] or 0
    start += size if start < 0 else 0
    count = shape_of(node)[arguments["dim"]]
    span = (start, start + (count - 1) * step + 1, step)
    spans: list[Span] = [(0, side, 1) for side in source.shape[2:]]
    before = source.op
    if isinstance(before, Crop) and (before.rows, before.columns)[axis] == (0, size, 1):
        spans, source = [before.rows, before.columns], lowering.graph.producer(source)
    spans[axis] = span
    cropped = view.with_side("", side, count) if view.parts(side) else view
    key = lowering.add(node, Crop(*spans), [source.key], shape=cropped.base)
    return cropped.of(key)


@RULES.rule("roll")
def _roll(lowering: Lowering, node: Node) -> View:
    """Put the end of a dimension before its start, the dimension being made the channels."""
    arguments = lowering.arguments(node)
    view = lowering.view(arguments["self"])
    shifts, dims = list(arguments["shifts"]), list(arguments["dims"])
    if not dims:
        raise Refusal("rolling all elements as one has no layer; name the dimensions")
    for number, (shift, dim) in enumerate(zip(shifts, dims, strict=True)):
        lowering.views[node] = view
        view = lowering.channels_at(node, dim)
        size = view.shape[dim]
        if shift % size == 0:
            continue
        cuts = [(size - shift % size, size), (0, size - shift % size)]
        parts = [
            _slice(lowering, node, view, dim % len(view.dims), part, f"part{number}{place}").key
            for place, part in enumerate(cuts)
        ]
        suffix = f"rolled{number}" if number < len(dims) - 1 else ""
        view = view.of(lowering.add(node, Concat(), parts, shape=view.base, suffix=suffix))
    return view


@RULES.rule("select")
def _select(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    whole = lowering.view(arguments["self"])
    if whole.shape[arguments["dim"]] == 1:
        return whole.without(arguments["dim"] % len(whole.dims))
    view = _cuttable(lowering, arguments["self"], arguments["dim"])
    dim, index = arguments["dim"] % len(view.dims), arguments["index"]
    index += view.shape[dim] if index < 0 else 0
    return _slice(lowering, node, view, dim, (index, index + 1)).without(dim)


def _slice(
    lowering: Lowering,
    node: Node,
    view: View,
    dim: int,
    part: tuple[int, int],
    suffix: str = "",
) -> View:
    """Cut a dimension that leads the channels: to whole runs of the channels inside it."""
    start, stop = part
    if stop - start == view.shape[dim]:
        return view
    inner = view.base[CHANNELS] // view.shape[dim]
    shape = (view.base[0], (stop - start) * inner, *view.base[2:])
    op = Slice(start * inner, stop * inner)
    key = lowering.add(node, op, [view.key], shape=shape, suffix=suffix)
    return view.resized(key, dim, stop - start)


@RULES.rule("pixel_shuffle")
def _pixel_shuffle(lowering: Lowering, node: Node) -> str:
    arguments: dict[str, Any] = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    return lowering.add(node, PixelShuffle(arguments["upscale_factor"]), [source.key])


@RULES.rule("pad", "constant_pad_nd")
def _pad(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    padding = list(arguments["pad"])
    if not any(padding):
        return lowering.view(arguments["self"])
    kind = arguments.get("mode", "constant")
    if kind != "constant":
        return padded_by_matrices(lowering, node, arguments["self"], padding, kind)
    value, rank = float(arguments["value"] or 0), len(shape_of(node))
    pairs = zip(padding[::2], padding[1::2], strict=True)
    ends = {rank - 1 - number: pair for number, pair in enumerate(pairs) if any(pair)}
    if value == -math.inf and min(padding) >= 0 and set(ends) <= {2, 3} and rank == 4:
        source = lowering.image(arguments["self"])
        rows, columns = (ends.get(side, (0, 0)) for side in (2, 3))
        pad = ZeroPad((*rows, *columns), value)
        return View.whole(lowering.add(node, pad, [source.key]), shape_of(node))
    if min(padding) < 0 or 0 in ends or not math.isfinite(value):
        raise Refusal(
            f"padding {padding} with {value:g} cuts, or adds to the batch, or is infinite"
        )
    view = _with_sides(lowering, arguments["self"], ends)
    constant = torch.full((1,) * rank, value)
    if value:
        # Zeros around what is less by the value are the value around it.
        view = with_constant(lowering, node, "sub", view, constant, suffix="less")
    view = _padded(lowering, node, view, ends, "padded" if value else "")
    return with_constant(lowering, node, "add", view, constant) if value else view


def _with_sides(lowering: Lowering, source: Node, ends: Mapping[int, Pair]) -> View:
    """The tensor as a view of an image that has the dimensions of ``ends`` as sides, if it can."""
    view = lowering.view(source)
    if all(_side(view, dim) is not None for dim in ends):
        return view
    if len(view.dims) == 4 and set(ends) <= {2, 3}:
        return View.whole(lowering.draft(source).key, view.shape)
    if len(view.dims) == 3 and set(ends) == {2}:
        column = view.reshaped((*view.shape, 1))
        assert column is not None  # noqa: S101 - it only adds a dimension
        key = lowering.rearranged(source, column, suffix="column")
        return View.whole(key, column.shape).without_trailing(3)
    return view


def _is_plain(view: View) -> bool:
    """Whether it is a whole image, or a series, which is one of one column."""
    rank = len(view.dims)
    in_order = view.flat == tuple(range(len(view.sizes)))
    return len(view.base) == 4 and rank > 2 and in_order and view.shape == view.base[:rank]


def _side(view: View, dim: int) -> int | None:
    """The side of an image that a dimension is as a whole."""
    if _is_plain(view):
        return dim if dim > CHANNELS else None
    axis = view.side_at(dim)
    return axis if axis is not None and len(view.parts(axis)) == 1 else None


def _padded(
    lowering: Lowering, node: Node, view: View, ends: Mapping[int, Pair], suffix: str
) -> View:
    """Zeros around an image, and before and after what lies in channels."""
    axes = {dim: _side(view, dim) for dim in ends}
    sides = {axis: ends[dim] for dim, axis in axes.items() if axis is not None}
    others = [dim for dim, axis in axes.items() if axis is None]
    if sides:
        name = f"{suffix}sides" if others else suffix
        view = _with_zeros(lowering, node, view, sides, name)
    for number, dim in enumerate(others, 1):
        lowering.views[node] = view
        view = lowering.channels_at(node, dim)
        before, after = ends[dim]
        matrix = torch.nn.functional.pad(torch.eye(view.shape[dim]), (0, 0, before, after))
        name = suffix if number == len(others) else f"{suffix}{dim}"
        key = mixed(lowering, node, view, matrix, name)
        view = view.resized(key, dim, len(matrix))
    return view


def _with_zeros(
    lowering: Lowering, node: Node, view: View, sides: Mapping[int, Pair], suffix: str
) -> View:
    rows, columns = (sides.get(axis, (0, 0)) for axis in (2, 3))
    batch, channels, height, width = view.base
    base = (batch, channels, height + sum(rows), width + sum(columns))
    key = lowering.add(node, ZeroPad((*rows, *columns)), [view.key], shape=base, suffix=suffix)
    if _is_plain(view):
        return View.whole(key, base).without_trailing(len(view.dims))
    for axis in sides:
        view = view.with_side(key, axis, base[axis])
    return view
