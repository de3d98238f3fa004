"""Rules for operators that give a tensor's elements another shape or order, or take some of them.

Which are taken is known before. Operator names and argument names are those of PyTorch's ATen
schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from autosched.network.operators import Reshape
from autosched.network.rules.expansions import mixed, postponed
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


_MOST_WEIGHTS = 1 << 24


@RULES.rule("flip")
def _flip(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view = lowering.view(arguments["self"])
    rank = len(view.dims)
    chosen: dict[int, Sequence[int]] = {
        dim % rank: range(view.shape[dim])[::-1] for dim in arguments["dims"]
    }
    return _gathered(lowering, node, view, chosen)


@RULES.rule("index_select")
def _index_select(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view, indices = lowering.view(arguments["self"]), arguments["index"]
    dim = arguments["dim"] % len(view.dims)
    return _gathered(lowering, node, view, {dim: _places(lowering, indices, view.shape[dim])})


@RULES.rule("index")
def _index(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view = lowering.view(arguments["self"])
    given = {dim: index for dim, index in enumerate(arguments["indices"]) if index is not None}
    if len(given) != 1:
        raise Refusal("taking elements by several index tensors at once has no layer")
    ((dim, indices),) = given.items()
    return _gathered(lowering, node, view, {dim: _places(lowering, indices, view.shape[dim])})


def _places(lowering: Lowering, indices: Node, size: int) -> list[int]:
    """Places counted from the front, of constant indices or of a mask."""
    if indices not in lowering.constants:
        raise Refusal("its indices are computed from the input")
    values = lowering.constants[indices]
    if values.dim() != 1:
        raise Refusal(f"its indices have shape {tuple(values.shape)}; one dimension has a layer")
    found = values.nonzero()[:, 0] if values.dtype == torch.bool else values % size
    return [int(place) for place in found]


def _gathered(lowering: Lowering, node: Node, view: View, chosen: dict[int, Sequence[int]]) -> View:
    """The places chosen of some dimensions, each by a matrix of zeros and ones."""
    for number, (dim, places) in enumerate(chosen.items(), 1):
        if list(places) == list(range(view.shape[dim])):
            continue
        if view.shape[dim] * len(places) > _MOST_WEIGHTS:
            raise Refusal(f"it takes {len(places)} of {view.shape[dim]} elements by their places")
        lowering.views[node] = view
        view = lowering.channels_at(node, dim)
        matrix = torch.eye(view.shape[dim])[list(places)]
        suffix = "" if number == len(chosen) else f"{number}"
        key = mixed(lowering, node, view, matrix, suffix)
        view = view.resized(key, dim, len(places))
    return view
