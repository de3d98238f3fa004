"""Rules for arithmetic of two tensors, one of which may be smaller, or a constant.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from typing import Any

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Activation, Binary, Constant, Unary, Upsample
from autosched.network.rules.eltwise import LARGEST
from autosched.network.rules.expansions import broadcast, expanded, last_as_channels, mixed
from autosched.network.rules.norms import per_channel
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import BATCH, CHANNELS, View

RULES = RuleBook()

# What swaps the operands of these: a - b = -b + a, a / b = (1 / b) * a.
_SWAPPED = {"sub": ("neg", "add"), "div": ("recip", "mul")}
_EXTREMES = ("maximum", "minimum")
_NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}
_AS_INFINITE = 1e9


Operand = View | torch.Tensor
"""What is computed, or a constant."""


@RULES.rule("add", "sub", "mul", "div", "rsub", "neg", "maximum", "minimum")
def of_two(lowering: Lowering, node: Node) -> View:
    """Lower a function of two tensors, or of one and a constant.

    Raises:
        Refusal: one would have to be repeated in a way that has no layer, or it rounds.
    """
    arguments = lowering.arguments(node)
    if arguments.get("rounding_mode"):
        raise Refusal("a rounding division has no layer")
    function, left = operator_name(node), arguments["self"]
    right = arguments.get("other", 0)
    if function == "neg":
        function, left, right = "sub", 0, left
    if function == "rsub":
        function, left, right = "sub", right, left
    if function in {"max", "min"}:
        function += "imum"
    rank = len(shape_of(node))
    first, second = (operand(lowering, item, rank) for item in (left, right))
    alpha = float(arguments.get("alpha", 1))
    if alpha != 1:
        second = of_operands(lowering, node, "mul", second, alpha, "alpha")
    return _computed(of_operands(lowering, node, function, first, second))


_OF_MASKS = {"and": "mul", "or": "maximum"}


@RULES.rule(*(f"{kind}_{name}" for kind in ("logical", "bitwise") for name in _OF_MASKS))
def _of_masks(lowering: Lowering, node: Node) -> View:
    """Lower a function of two masks, which are ones and zeros."""
    arguments, rank = lowering.arguments(node), len(shape_of(node))
    items = [arguments["self"], arguments["other"]]
    if any(isinstance(x, Node) and x.meta["val"].dtype != torch.bool for x in items):
        raise Refusal("it is of numbers rather than masks")
    one, other = (operand(lowering, item, rank) for item in items)
    function = _OF_MASKS[operator_name(node).partition("_")[2]]
    return _computed(of_operands(lowering, node, function, one, other))


@RULES.rule("addcmul", "addcdiv")
def _added_product(lowering: Lowering, node: Node) -> View:
    arguments, rank = lowering.arguments(node), len(shape_of(node))
    base, one, two = (
        operand(lowering, arguments[name], rank) for name in ("self", "tensor1", "tensor2")
    )
    function = "mul" if operator_name(node) == "addcmul" else "div"
    product = of_operands(lowering, node, function, one, two, "product")
    if arguments["value"] != 1:
        product = of_operands(lowering, node, "mul", product, float(arguments["value"]), "value")
    return _computed(of_operands(lowering, node, "add", base, product))


@RULES.rule("lerp")
def _lerp(lowering: Lowering, node: Node) -> View:
    """Go a share of the way from one tensor to another: a + w * (b - a)."""
    arguments, rank = lowering.arguments(node), len(shape_of(node))
    start, end, weight = (
        operand(lowering, arguments[name], rank) for name in ("self", "end", "weight")
    )
    way = of_operands(lowering, node, "sub", end, start, "way")
    part = of_operands(lowering, node, "mul", way, weight, "part")
    return _computed(of_operands(lowering, node, "add", start, part))


@RULES.rule("where")
def _where(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    condition, one, other = (arguments[name] for name in ("condition", "self", "other"))
    return _chosen(lowering, node, condition, one, other)


@RULES.rule("masked_fill")
def _masked_fill(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    return _chosen(lowering, node, arguments["mask"], arguments["value"], arguments["self"])


def _chosen(lowering: Lowering, node: Node, mask: Node, yes: Any, no: Any) -> View:
    """One tensor where a mask is true, another elsewhere: both times zeros and ones."""
    rank = len(shape_of(node))
    share = operand(lowering, mask, rank)
    rest = of_operands(lowering, node, "sub", aligned(1, rank), share, "rest")
    parts: list[Operand] = []
    for value, part, suffix in ((yes, share, "yes"), (no, rest, "no")):
        found = operand(lowering, value, rank)
        if isinstance(found, torch.Tensor):
            # An infinity times zero would be no number; in a softmax this is as good as one.
            found = found.nan_to_num(posinf=_AS_INFINITE, neginf=-_AS_INFINITE)
            if not bool(found.any()):
                continue
        parts.append(of_operands(lowering, node, "mul", found, part, suffix))
    if len(parts) < 2:
        return _computed(parts[0])
    return _computed(of_operands(lowering, node, "add", parts[0], parts[1]))


def operand(lowering: Lowering, value: Any, rank: int) -> Operand:
    """A node's tensor or a number, with at least ``rank`` dimensions; a narrow one is not repeated.

    Raises:
        Refusal: nothing is known of the node.
    """
    if not lowering.is_constant(value):
        return lowering.narrow_view(value).aligned(rank)
    return aligned(lowering.constants[value] if isinstance(value, Node) else value, rank)


def aligned(value: Any, rank: int) -> torch.Tensor:
    """A number or tensor in float32, with at least ``rank`` dimensions."""
    constant = torch.as_tensor(value).detach().to(torch.float32)
    return constant.reshape((1,) * (rank - constant.dim()) + constant.shape)


def _computed(result: Operand) -> View:
    assert isinstance(result, View)  # noqa: S101 - what depends on no input is folded before
    return result


def of_operands(
    lowering: Lowering,
    node: Node,
    function: str,
    left: Operand,
    right: Operand | float,
    suffix: str = "",
) -> Operand:
    """A function of two operands, of which each may be repeated to the other's shape.

    Raises:
        Refusal: one would have to be repeated in a way that has no layer.
    """
    if isinstance(right, float):
        right = aligned(right, len(left.shape))
    if isinstance(left, View) and isinstance(right, View):
        return combined(lowering, node, function, left, right, suffix)
    if isinstance(left, View):
        assert isinstance(right, torch.Tensor)  # noqa: S101 - narrows the type for mypy
        return _with_constant(lowering, node, function, left, right, suffix, is_left=False)
    if isinstance(right, View):
        is_left = function not in {"add", "mul"} or left.numel() > 1
        return _with_constant(lowering, node, function, right, left, suffix, is_left=is_left)
    result: torch.Tensor = getattr(torch, function)(left, right)
    return result


def combined(
    lowering: Lowering, node: Node, function: str, left: View, right: View, suffix: str = ""
) -> View:
    """A function of two tensors with as many dimensions, which may both be repeated.

    Raises:
        Refusal: one would have to be repeated in a way that has no layer.
    """
    shape = broadcast(left.shape, right.shape)
    views = [left, right]
    if shape not in {left.shape, right.shape}:
        # The one that needs fewer copies.
        index = int(math.prod(right.shape) > math.prod(left.shape))
        views[index] = expanded(lowering, node, views[index], shape, f"{suffix}wide")
    if views[0].shape == views[1].shape:
        return _of_equals(lowering, node, function, views, suffix)
    if views[0].shape != shape:
        views.reverse()
        if function in _SWAPPED:
            name, function = _SWAPPED[function]
            turned, base = Unary(Activation(name)), views[0].base
            key = lowering.add(node, turned, [views[0].key], shape=base, suffix=f"{suffix}{name}")
            views[0] = views[0].of(key)
    large = last_as_channels(lowering, node, views[0], f"{suffix}large")
    small = _narrow(lowering, node, large, views[1], suffix)
    if small is None:
        views = [large, expanded(lowering, node, views[1], shape, f"{suffix}wide")]
        return _of_equals(lowering, node, function, views, suffix)
    op = Binary(function)
    inputs = [large.key, small]
    return large.of(lowering.add(node, op, inputs, shape=large.base, suffix=suffix))


def _of_equals(
    lowering: Lowering, node: Node, function: str, views: list[View], suffix: str
) -> View:
    """A function of two tensors of one shape, which are brought into one order.

    It is the first one's, unless only the other goes from pixel to pixel as its draft does: that is
    how what comes next is likely to want it.
    """
    first, second = views
    kept = second if second.keeps_pixels and not first.keeps_pixels else first
    inputs = [
        lowering.arranged(node, view, kept, suffix=f"{suffix}arranged") for view in (first, second)
    ]
    if None in inputs:
        inputs = [
            lowering.rearranged(node, view, suffix=f"{suffix}{name}")
            for view, name in ((first, "left"), (second, "right"))
        ]
        kept = View.whole(str(inputs[0]), first.shape)
    keys = [key for key in inputs if key is not None]
    op = Binary(function)
    return kept.of(lowering.add(node, op, keys, shape=kept.base, suffix=suffix))


def _narrow(lowering: Lowering, node: Node, large: View, small: View, suffix: str) -> str | None:
    """The key of a draft that goes with each pixel, or each channel, of the larger tensor's draft.

    None where the smaller tensor goes with other parts of it.
    """
    wide = [dim for dim, size in enumerate(small.shape) if size != large.shape[dim]]
    parts = set(large.flat_of(wide))
    axes = {large.axes[part] for part in parts}
    if set(large.parts(*axes)) != parts or BATCH in axes:
        return None
    kept = [part for part in large.flat if part not in parts]
    cut = small.reshaped([large.sizes[part] for part in kept])
    if cut is None:
        return None
    base = tuple(1 if axis in axes else size for axis, size in enumerate(large.base))
    ordered = cut.permuted([kept.index(part) for part in sorted(kept)]).reshaped(base)
    if ordered is None:
        return None
    key = lowering.rearranged(node, ordered, suffix=f"{suffix}small")
    return _completed(lowering, node, View.whole(key, base), large.base, suffix)


def _completed(
    lowering: Lowering, node: Node, view: View, base: tuple[int, ...], suffix: str
) -> str:
    """What ttnn repeats by itself goes with all pixels, or with all channels, but not with both."""
    batch, channels, *sides = view.base
    if channels != base[CHANNELS] and sides and sides != list(base[2:]):
        ones = torch.ones(base[CHANNELS], 1)
        key = mixed(lowering, node, view, ones, f"{suffix}small.channels")
        view = View.whole(key, (batch, base[CHANNELS], *sides))
    if sides and sides not in ([1, 1], list(base[2:])):
        scale = (base[2] // sides[0], base[3] // sides[1])
        op, shape = Upsample("nearest", scale), (batch, base[CHANNELS], *base[2:])
        return lowering.add(node, op, [view.key], shape=shape, suffix=f"{suffix}small.sides")
    return view.key


def _with_constant(
    lowering: Lowering,
    node: Node,
    function: str,
    view: View,
    constant: torch.Tensor,
    suffix: str,
    *,
    is_left: bool,
) -> View:
    """A function of a tensor and a constant that may be the larger one."""
    shape = broadcast(view.shape, constant.shape)
    if shape != view.shape:
        view = expanded(lowering, node, view, shape, f"{suffix}wide")
    if function == "div" and is_left:
        # c / x is c * (1 / x).
        op, base = Unary(Activation("recip")), view.base
        is_one = constant.numel() == 1 and constant.item() == 1
        name = suffix if is_one else f"{suffix}recip"
        view = view.of(lowering.add(node, op, [view.key], shape=base, suffix=name))
        if is_one:
            return view
        function = "mul"
    if function in _EXTREMES and constant.numel() == 1:
        return _bounded(lowering, node, view, function, constant.item(), suffix)
    return with_constant(lowering, node, function, view, constant, is_left=is_left, suffix=suffix)


def with_constant(
    lowering: Lowering,
    node: Node,
    function: str,
    view: View,
    constant: torch.Tensor,
    *,
    is_left: bool = False,
    suffix: str = "",
) -> View:
    """A function of a tensor and a constant with as many dimensions, which repeats to its shape.

    With a number or a value per channel it is what a batch norm does; ``is_left`` tells that the
    constant comes first.
    """
    if not is_left and constant.numel() == 1 and constant.item() == _NEUTRAL.get(function):
        return view
    channels = None if function in _EXTREMES else _of_channels(lowering, node, constant, view)
    if channels is None:
        return _with_tensor(lowering, node, function, constant, view, suffix, is_left=is_left)
    vector = constant.reshape(-1)
    ones = torch.ones_like(vector)
    scale = {"mul": vector, "div": 1 / vector}.get(function, ones)
    shift = {"add": vector, "sub": -vector}.get(function, 0 * ones)
    if function == "sub" and is_left:
        scale, shift = -ones, vector
    tensors = {"weight": scale, "bias": shift}
    return per_channel(lowering, node, channels, tensors, 0.0, suffix=suffix)


def _of_channels(lowering: Lowering, node: Node, constant: torch.Tensor, view: View) -> View | None:
    """The tensor as a view whose channels are what an aligned constant varies with, if it is so."""
    varies = [dim for dim, size in enumerate(constant.shape) if size != 1]
    if len(varies) > 1 or varies == [BATCH]:
        return None
    if len(view.base) not in {2, 4}:
        lowering.views[node] = view
        return lowering.channels_at(node, varies[0] if varies else -1)
    return view if not varies or view.has_channels_at(varies[0]) else None


def _bounded(
    lowering: Lowering, node: Node, view: View, function: str, bound: float, suffix: str
) -> View:
    """The larger, or the smaller, of each value and a number."""
    low, high = (bound, LARGEST) if function == "maximum" else (-LARGEST, bound)
    op = Unary(Activation("clamp_tss", (low, high)))
    return view.of(lowering.add(node, op, [view.key], shape=view.base, suffix=suffix))


def _with_tensor(
    lowering: Lowering,
    node: Node,
    function: str,
    constant: torch.Tensor,
    view: View,
    suffix: str,
    *,
    is_left: bool,
) -> View:
    """Arithmetic with a value for each pixel: the constant is a tensor like any other."""
    if function == "div":
        function, constant = "mul", 1 / constant
    tensor = view.rearrangement_of(constant.expand(view.shape)).contiguous()
    weights, name = Weights(tensor), f"{suffix}constant"
    key = lowering.add(node, Constant(), [], shape=view.base, weights=weights, suffix=name)
    inputs = [key, view.key] if is_left else [view.key, key]
    return view.of(lowering.add(node, Binary(function), inputs, shape=view.base, suffix=suffix))
