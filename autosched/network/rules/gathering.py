"""Rules that take some of a tensor's channels, rows or columns, in an order known before.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence

import torch
from torch.fx import Node

from autosched.network.rules.expansions import mixed
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook
from autosched.network.rules.views import View

RULES = RuleBook()

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
