"""Operators without a layer, as the operators that they are made of.

PyTorch defines many of its operators by others: a root mean square norm is a mean of squares, a
distance a norm of a difference. What it defines in a way that has no layers either, such as by
indexing, :mod:`.compositions` defines anew.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.func import functionalize

from autosched.network.capture.compositions import COMPOSITIONS
from autosched.network.capture.exporting import export_quiet
from autosched.network.rules.rulebook import operator_name

Definition = Callable[..., Any]

_PLACES = ("nn_module_stack", "stack_trace")


def definition_of(node: Node) -> Graph | None:
    """The graph of what a node's operator is made of; its placeholders are the node's inputs.

    None where nothing is known, or the definition asks for the values of tensors.
    """
    definition = _definition(node)
    inputs = node.all_input_nodes
    values = [source.meta.get("val") for source in inputs]
    if definition is None or not all(isinstance(value, FakeTensor) for value in values):
        return None

    def call(*tensors: torch.Tensor) -> Any:
        known = dict(zip(inputs, tensors, strict=True))
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
        return definition(*args, **kwargs)

    try:
        with export_quiet(), torch.no_grad(), values[0].fake_mode:
            graph: Graph = make_fx(functionalize(call, remove="mutations"))(*values).graph
    except Exception:  # noqa: BLE001 - whatever a definition raises, it is of no use here
        return None
    return graph if all(_is_plain(step) for step in graph.nodes) else None


def _definition(node: Node) -> Definition | None:
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    own = COMPOSITIONS.get(operator_name(node))
    if own is not None:
        return own
    if target._can_decompose():
        return target.decompose  # type: ignore[no-any-return]
    return torch._decomp.decomposition_table.get(target)


def _is_plain(node: Node) -> bool:
    """Whether a step has its own inputs alone: a constant tensor would have no values here."""
    return node.op in {"placeholder", "call_function", "output"}


@contextmanager
def inserted(node: Node, definition: Graph) -> Iterator[tuple[list[Node], Any]]:
    """Put a definition's steps before a node, and yield these and their results.

    All that is before the node by then is taken out again where an exception leaves the block.
    """
    taken = (step for step in definition.nodes if step.op == "placeholder")
    known = dict(zip(taken, node.all_input_nodes, strict=True))
    before, steps, results = node.prev, [], None
    with node.graph.inserting_before(node):
        for step in definition.nodes:
            if step.op == "call_function":
                known[step] = node.graph.node_copy(step, known.__getitem__)
                known[step].meta.update({key: node.meta[key] for key in _PLACES if key in node.meta})
                steps.append(known[step])
            elif step.op == "output":
                results = torch.fx.map_arg(step.args[0], known.__getitem__)
    try:
        yield steps, results
    except BaseException:
        while node.prev is not before:
            node.graph.erase_node(node.prev)
        raise


def replaced(node: Node, results: Any) -> dict[Node, Any]:
    """Let everybody read a definition's results instead of a node's, and say what stands for it."""
    instead: dict[Node, Any] = {node: results}
    if isinstance(results, Node):
        node.replace_all_uses_with(results)
    else:
        for user in list(node.users):
            place: Any = user.args[1]
            instead[user] = results[place]
            user.replace_all_uses_with(results[place])
            node.graph.erase_node(user)
    node.graph.erase_node(node)
    return instead
