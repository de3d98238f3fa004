"""Rules for sums, means, norms and extremes along dimensions.

Sums over channels are products with ones, means over pixels are poolings, and so are maxima; a
tensor that lies in another way is brought into one of these forms first.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node

from autosched.network.operators import Activation, GlobalAvgPool2d, Pool2d, Unary
from autosched.network.rules.arithmetic import combined, of_two, with_constant
from autosched.network.rules.expansions import mixed
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name
from autosched.network.rules.views import BATCH, CHANNELS, View

RULES = RuleBook()

_ROWS, _COLUMNS = 2, 3
# A sum over the rows of more channels than these is rather one over channels of as many rows.
_MOST_CHANNELS = 8192
_MOST_WEIGHTS = 1 << 22

Reduction = Callable[[View, tuple[int, ...], str], View]
"""Reduces dimensions of a view to size 1; the text tells its drafts apart."""


@RULES.rule("sum", "mean")
def _sum(lowering: Lowering, node: Node) -> str | View:
    is_mean = operator_name(node) == "mean"
    stacked = _stacked(lowering, node)
    if stacked:
        total = _chained(lowering, node, "add", stacked, "total" if is_mean else "")
        constant = torch.full((1,) * len(total.dims), 1 / len(stacked))
        return with_constant(lowering, node, "mul", total, constant) if is_mean else total

    def reduce(view: View, dims: tuple[int, ...], suffix: str) -> View:
        count = math.prod(view.shape[dim] for dim in dims)
        return summed(lowering, node, view, dims, 1 / count if is_mean else 1.0, suffix)

    return _reduced(lowering, node, reduce)


@RULES.rule("amax", "amin")
def _extreme(lowering: Lowering, node: Node) -> str | View:
    function = "maximum" if "max" in operator_name(node) else "minimum"
    stacked = _stacked(lowering, node)
    if stacked:
        return _chained(lowering, node, function, stacked)

    def reduce(view: View, dims: tuple[int, ...], suffix: str) -> View:
        if function == "maximum":
            return largest(lowering, node, view, dims, suffix)
        turned = _applied(lowering, node, view, f"{suffix}less", "neg")
        found = largest(lowering, node, turned, dims, f"{suffix}largest")
        return _applied(lowering, node, found, suffix, "neg")

    return _reduced(lowering, node, reduce)


@RULES.rule("max", "min")
def _extreme_of_some_kind(lowering: Lowering, node: Node) -> str | View:
    """Lower what is of two tensors, or of one along a dimension, whose places nobody may read."""
    return (of_two if "other" in lowering.arguments(node) else _extreme)(lowering, node)


@RULES.rule("linalg_vector_norm", "norm", "frobenius_norm")
def _norm(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    order = arguments.get("ord", arguments.get("p", 2))
    order = 2.0 if order is None else float(order)
    if order <= 0 or order == -math.inf:
        raise Refusal(f"the norm of order {order:g} has no layer")

    def reduce(view: View, dims: tuple[int, ...], suffix: str) -> View:
        name, back = ("square", "sqrt") if order == 2 else ("abs", "")
        values = _applied(lowering, node, view, f"{suffix}{name}", name)
        if order == math.inf:
            return largest(lowering, node, values, dims, suffix)
        if order not in {1, 2}:
            values = _applied(lowering, node, values, f"{suffix}power", "power", order)
        total = summed(lowering, node, values, dims, 1.0, f"{suffix}sum" if order != 1 else suffix)
        if order == 1:
            return total
        parameters = () if back else (1 / order,)
        return _applied(lowering, node, total, suffix, back or "power", *parameters)

    return _reduced(lowering, node, reduce)


@RULES.rule("var", "std")
def _spread(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    correction = arguments.get("correction", arguments.get("unbiased", True))
    correction = 1 if correction is None else correction

    def reduce(view: View, dims: tuple[int, ...], suffix: str) -> View:
        count = math.prod(view.shape[dim] for dim in dims)
        mean = summed(lowering, node, view, dims, 1 / count, f"{suffix}mean")
        centred = combined(lowering, node, "sub", view, mean, f"{suffix}centred")
        squares = _applied(lowering, node, centred, f"{suffix}square", "square")
        weight, is_std = 1 / (count - float(correction)), operator_name(node) == "std"
        var = summed(lowering, node, squares, dims, weight, f"{suffix}var" if is_std else suffix)
        return _applied(lowering, node, var, suffix, "sqrt") if is_std else var

    return _reduced(lowering, node, reduce)


def _reduced(lowering: Lowering, node: Node, reduce: Reduction) -> str | View:
    """The node's tensor reduced along the dimensions that it names, or along all."""
    arguments = lowering.arguments(node)
    view = lowering.view(arguments["self"])
    dims = _dims(arguments, len(view.dims))
    result = reduce(view, dims, "")
    if not arguments.get("keepdim"):
        kept = tuple(parts for dim, parts in enumerate(result.dims) if dim not in dims)
        result = replace(result, dims=kept)
    # Vectors are what linear layers and outputs take: nothing is gained by waiting.
    if len(result.dims) == 2:
        return lowering.rearranged(node, result, suffix="flatten")
    return result


def _dims(arguments: dict[str, Any], rank: int) -> tuple[int, ...]:
    given = arguments.get("dim")
    if given is None or given == []:
        return tuple(range(rank))
    return tuple(sorted(dim % rank for dim in ([given] if isinstance(given, int) else given)))


def _stacked(lowering: Lowering, node: Node) -> list[View]:
    """The tensors that a reduction along the dimension of a stack has to put together, or none."""
    arguments = lowering.arguments(node)
    stack, rank = arguments["self"], len(lowering.narrow_view(arguments["self"]).dims)
    if operator_name(stack) != "stack" or arguments.get("keepdim"):
        return []
    of_stack = lowering.arguments(stack)
    if any(lowering.is_constant(item) for item in of_stack["tensors"]):
        return []
    if _dims(arguments, rank) != (of_stack["dim"] % rank,):
        return []
    return [lowering.view(item) for item in of_stack["tensors"]]


def _chained(
    lowering: Lowering, node: Node, function: str, views: Sequence[View], last: str = ""
) -> View:
    """A function of two tensors from the first to the last of several."""
    result = views[0]
    for number, view in enumerate(views[1:], 2):
        suffix = last if number == len(views) else f"{number}."
        result = combined(lowering, node, function, result, view, suffix)
    return result


def _applied(
    lowering: Lowering, node: Node, view: View, suffix: str, name: str, *parameters: float
) -> View:
    op = Unary(Activation(name, parameters))
    return view.of(lowering.add(node, op, [view.key], shape=view.base, suffix=suffix))


def summed(
    lowering: Lowering,
    node: Node,
    view: View,
    dims: Sequence[int],
    weight: float,
    suffix: str = "",
) -> View:
    """``weight`` times the sums along some dimensions, which keep size 1."""
    if not _is_poolable(view, dims) or _matrix_size(view, dims) > _MOST_WEIGHTS:
        view = _with_rows(lowering, node, view, dims, suffix)
    axes = {view.axes[part] for part in view.flat_of(dims)}
    sides, in_channels = axes & {_ROWS, _COLUMNS}, CHANNELS in axes
    if sides:
        weight *= math.prod(view.base[axis] for axis in sides)
        is_last = not in_channels and math.isclose(weight, 1.0)
        view = _pooled(lowering, node, view, sides, "avg", suffix if is_last else f"{suffix}pool")
        if is_last:
            return view
    if in_channels:
        return _channels_summed(lowering, node, view, dims, weight, suffix)
    if not sides and weight == 1:
        return view
    constant = torch.full((1,) * len(view.dims), weight)
    return with_constant(lowering, node, "mul", view, constant, suffix=suffix)


def largest(
    lowering: Lowering, node: Node, view: View, dims: Sequence[int], suffix: str = ""
) -> View:
    """The largest values along some dimensions, which keep size 1."""
    axes = {view.axes[part] for part in view.flat_of(dims)}
    if CHANNELS in axes or not _is_poolable(view, dims):
        view = _with_rows(lowering, node, view, dims, suffix, needs_rows=True)
        axes = {view.axes[part] for part in view.flat_of(dims)}
    return _pooled(lowering, node, view, axes, "max", suffix) if axes else view


def _is_poolable(view: View, dims: Sequence[int]) -> bool:
    """Whether dimensions are whole rows, whole columns or some channels of images."""
    if len(view.base) not in {2, 4}:
        return False
    parts = set(view.flat_of(dims))
    sides = {view.axes[part] for part in parts} - {CHANNELS}
    return BATCH not in sides and set(view.parts(*sides)) <= parts


def _matrix_size(view: View, dims: Sequence[int]) -> int:
    gone = set(view.flat_of(dims)) & set(view.parts(CHANNELS))
    channels = view.base[CHANNELS]
    return channels * channels // math.prod(view.sizes[part] for part in gone) if gone else 0


def _with_rows(
    lowering: Lowering,
    node: Node,
    view: View,
    dims: Sequence[int],
    suffix: str,
    *,
    needs_rows: bool = False,
) -> View:
    """The tensor as a view of images whose rows, or channels, are what is reduced."""
    rank = len(view.dims)
    lead = [] if 0 in dims else [0]
    kept = [dim for dim in range(rank) if dim not in dims and dim not in lead]
    batch, channels, rows = (
        math.prod(view.shape[dim] for dim in group) for group in (lead, kept, dims)
    )
    image, order = (batch, channels, rows, 1), [*lead, *kept, *dims]
    placed = sorted(kept, key=view.dims.__getitem__)  # as the draft has them: fewer are moved
    inner = [dim for dim in placed if _is_of_channels(view, dim)] or kept[-1:]
    if needs_rows and channels > _MOST_CHANNELS and len(inner) < len(kept):
        others = [dim for dim in placed if dim not in inner]
        deep, wide = (math.prod(view.shape[dim] for dim in group) for group in (inner, others))
        image, order = (batch, deep, rows, wide), [*lead, *inner, *dims, *others]
    if not needs_rows and (channels == 1 or channels > _MOST_CHANNELS):
        image, order = (batch, rows, channels, 1), [*lead, *dims, *kept]
    laid = view.permuted(order).reshaped(image)
    assert laid is not None  # noqa: S101 - merging dimensions always succeeds
    key = lowering.rearranged(node, laid, suffix=f"{suffix}rows")
    whole = View.whole(key, image).reshaped([view.shape[dim] for dim in order])
    assert whole is not None  # noqa: S101 - the reverse of the merging
    return whole.permuted([order.index(dim) for dim in range(rank)])


def _is_of_channels(view: View, dim: int) -> bool:
    """Whether a dimension is made of parts of the draft's channels alone."""
    of_channels = {view.axes[part] for part in view.dims[dim]} == {CHANNELS}
    return of_channels and len(view.base) in {2, 4}


def _pooled(
    lowering: Lowering, node: Node, view: View, axes: set[int], mode: str, suffix: str
) -> View:
    """Pool all rows, or all columns, or both, of a view's images to one."""
    height, width = (view.base[axis] if axis in axes else 1 for axis in (_ROWS, _COLUMNS))
    base = (*view.base[:2], view.base[2] // height, view.base[3] // width)
    is_whole = mode == "avg" and base[2:] == (1, 1)
    window = (height, width)
    op = GlobalAvgPool2d() if is_whole else Pool2d(mode, window, window)
    key = lowering.add(node, op, [view.key], shape=base, suffix=suffix)
    return view.reduced(key, base, view.parts(*axes))


def _channels_summed(
    lowering: Lowering, node: Node, view: View, dims: Sequence[int], weight: float, suffix: str
) -> View:
    """``weight`` times the sums over some parts of the channels, by a matrix of zeros and ones."""
    gone = [part for part in view.flat_of(dims) if view.axes[part] == CHANNELS]
    matrix = torch.full((1, 1), weight)
    for part in view.parts(CHANNELS):
        size = view.sizes[part]
        matrix = torch.kron(matrix, torch.ones(1, size) if part in gone else torch.eye(size))
    key = mixed(lowering, node, view, matrix, suffix)
    return view.reduced(key, (view.base[0], len(matrix), *view.base[2:]), gone)
