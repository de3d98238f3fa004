"""Rules for operators that only give a tensor's elements another shape or order.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from typing import Any

from torch.fx import Node

from autosched.network.operators import Reshape
from autosched.network.rules.expansions import postponed
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, shape_of
from autosched.network.rules.views import View

RULES = RuleBook()


@RULES.rule("flatten", "view", "reshape", "unsafe_view", "view_as", "unflatten")
@RULES.rule("squeeze", "unsqueeze")
def _reshape(lowering: Lowering, node: Node) -> str | View:
    source, shape = node.all_input_nodes[0], shape_of(node)
    view = _unshaped(lowering, source).reshaped(shape) or lowering.view(source).reshaped(shape)
    if view is None:
        draft = lowering.draft(source)
        view = View.whole(draft.key, draft.shape).reshaped(shape)
        if view is None:
            return lowering.add(node, Reshape(), [draft.key])
    # Vectors are what linear layers and outputs take: nothing is gained by waiting.
    return lowering.rearranged(node, view) if len(shape) <= 2 else view


def _unshaped(lowering: Lowering, source: Node) -> View:
    """The source, or what it is a mere reshape of."""
    view = lowering.view(source)
    draft = lowering.base(view)
    while view.is_whole and draft.op == Reshape():
        draft = lowering.graph.producer(draft)
        view = View.whole(draft.key, draft.shape)
    return view


@RULES.rule("permute", "transpose", "swapaxes", "swapdims", "t", "numpy_T", "mT")
def _permute(lowering: Lowering, node: Node) -> View:
    source = node.all_input_nodes[0]
    view = lowering.narrow_view(source)
    order = list(range(len(view.dims)))
    arguments: list[Any] = list(node.args[1:])
    if arguments and isinstance(arguments[0], Sequence):
        order = [dim % len(order) for dim in arguments[0]]
    else:
        # Without arguments there are two dimensions, or the last two are meant.
        first, second = arguments or (-2, -1)
        order[first], order[second] = order[second], order[first]
    return postponed(lowering, node, view.permuted(order))


@RULES.rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    batch, channels, height, width = source.shape
    groups = arguments["groups"]
    parts = (batch, groups, channels // groups, height, width)
    return _rearranged(source.key, source.shape, parts, (0, 2, 1, 3, 4), source.shape)


@RULES.rule("pixel_unshuffle")
def _pixel_unshuffle(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    batch, channels, height, width = source.shape
    factor = arguments["downscale_factor"]
    parts = (batch, channels, height // factor, factor, width // factor, factor)
    return _rearranged(source.key, source.shape, parts, (0, 1, 3, 5, 2, 4), shape_of(node))


def _rearranged(
    key: str,
    shape: tuple[int, ...],
    parts: Sequence[int],
    order: Sequence[int],
    target: tuple[int, ...],
) -> View:
    cut = View.whole(key, shape).reshaped(parts)
    view = None if cut is None else cut.permuted(order).reshaped(target)
    if view is None:
        raise Refusal(f"its input of shape {shape} is not divisible")
    return view


@RULES.rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def _dropout(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if arguments["train"] and arguments["p"]:
        raise Refusal("it drops at random even in eval mode; pass training=self.training")
    return lowering.view(node.all_input_nodes[0])


@RULES.rule("identity", "contiguous", "detach", "clone", "alias", "lift_fresh_copy")
@RULES.rule("to", "to_copy", "type_as", "positive")
def _nothing(lowering: Lowering, node: Node) -> View:
    source = node.all_input_nodes[0]
    if shape_of(source) != shape_of(node):
        raise Refusal(f"it copies {shape_of(source)} to {shape_of(node)}")
    return postponed(lowering, node, lowering.narrow_view(source))
