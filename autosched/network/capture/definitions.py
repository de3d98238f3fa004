"""Operators without a layer, as the operators that they are made of.

PyTorch defines many of its operators by others: a root mean square norm is a mean of squares, a
distance a norm of a difference. What it defines in a way that has no layers either, such as by
indexing, :mod:`.compositions` defines anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.func import functionalize
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx

from autosched.network.capture.compositions import COMPOSITIONS
from autosched.network.capture.exporting import export_quiet
from autosched.network.capture.spectra import Spectrum, spectrum_of
from autosched.network.capture.window_compositions import WINDOWS
from autosched.network.rules.rulebook import operator_name

Definition = Callable[..., Any]

_PLACES = ("nn_module_stack", "stack_trace")
_KNOWN: WeakKeyDictionary[Graph, dict[Any, "MadeOf | None"]] = WeakKeyDictionary()
"""What was traced for nodes of a graph, which repeats its operators and is lowered twice."""


@dataclass(frozen=True)
class MadeOf:
    """The graph of what a node's operator is made of; its placeholders are the node's inputs.

    With a ``spectrum``, its results stand for that one's readers, not for the node itself, and
    the spectrum's factors are further inputs.
    """

    graph: Graph
    spectrum: Spectrum | None = None


def definition_of(node: Node) -> MadeOf | None:
    """What a node's operator is made of; None if nothing is known, or values of tensors count."""
    spectrum = spectrum_of(node)
    if spectrum is not None:
        return _traced([*node.all_input_nodes, *spectrum.factors], spectrum.made, spectrum)
    key = (node.target, *_told(node))
    known = _KNOWN.setdefault(node.graph, {})
    if key not in known:
        made = _made(node)
        known[key] = None if made is None else _traced(node.all_input_nodes, made)
    return known[key]


def _told(node: Node) -> tuple[str, ...]:
    """What a definition is told of a node's arguments: all but the values of tensors."""
    inputs = node.all_input_nodes
    places = {source: number for number, source in enumerate(inputs)}
    told = torch.fx.map_arg((node.args, node.kwargs), lambda source: _Place(places[source]))
    return repr(told), *(_form(source.meta.get("val")) for source in inputs)


class _Place(int):
    """Stands for an input, as no number does."""

    def __repr__(self) -> str:
        return f"input {int(self)}"


def _form(value: Any) -> str:
    if not isinstance(value, FakeTensor):
        return type(value).__name__
    return f"{value.dtype} {tuple(value.shape)} {value.stride()} {value.requires_grad}"


def _made(node: Node) -> Callable[[Mapping[Node, torch.Tensor]], Any] | None:
    definition = _definition(node)
    if definition is None:
        return None

    def made(known: Mapping[Node, torch.Tensor]) -> Any:
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), known.__getitem__)
        return definition(*args, **kwargs)

    return made


def _traced(
    inputs: Sequence[Node],
    made: Callable[[Mapping[Node, torch.Tensor]], Any],
    spectrum: Spectrum | None = None,
) -> MadeOf | None:
    values: list[Any] = [source.meta.get("val") for source in inputs]
    if not all(isinstance(value, FakeTensor) for value in values):
        return None

    def call(*tensors: torch.Tensor) -> Any:
        return made(dict(zip(inputs, tensors, strict=True)))

    try:
        with export_quiet(), torch.no_grad(), values[0].fake_mode:
            graph: Graph = make_fx(functionalize(call, remove="mutations"))(*values).graph
    except MemoryError:  # the machine's failure, which says nothing of the operator
        raise
    except Exception:  # whatever a definition raises, it is of no use here
        return None
    graph.eliminate_dead_code()
    is_plain = all(_is_plain(step) for step in graph.nodes)
    return MadeOf(graph, spectrum) if is_plain else None


def _definition(node: Node) -> Definition | None:
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    name = operator_name(node)
    own = COMPOSITIONS.get(name) or WINDOWS.get(name)
    if own is not None:
        return own
    if target._can_decompose():
        return target.decompose
    return torch._decomp.decomposition_table.get(target)


def _is_plain(node: Node) -> bool:
    """Whether a step has its own inputs alone: a constant tensor would have no values here."""
    return node.op in {"placeholder", "call_function", "output"}


@contextmanager
def inserted(node: Node, definition: MadeOf) -> Iterator[tuple[list[Node], Any]]:
    """Put a definition's steps before a node, and yield these and their results.

    All that is before the node by then is taken out again where an exception leaves the block.
    """
    before = node.prev
    factors = definition.spectrum.factors if definition.spectrum else ()
    steps, results = _copied(node, definition.graph, [*node.all_input_nodes, *factors])
    try:
        yield steps, results
    except BaseException:
        while node.prev is not before:
            node.graph.erase_node(node.prev)
        raise


def _copied(node: Node, definition: Graph, inputs: Sequence[Any]) -> tuple[list[Node], Any]:
    """Copy a graph's steps before a node; its placeholders are ``inputs``."""
    taken = (step for step in definition.nodes if step.op == "placeholder")
    known = dict(zip(taken, inputs, strict=True))
    steps, results = [], None
    with node.graph.inserting_before(node):
        for step in definition.nodes:
            if step.op == "output":
                results = torch.fx.map_arg(step.args[0], known.__getitem__)
            elif step.op != "placeholder":
                known[step] = node.graph.node_copy(step, known.__getitem__)
                for place in _PLACES:
                    known[step].meta.setdefault(place, node.meta.get(place))
                steps.append(known[step])
    return steps, results


_REGIONS = ("wrap_with_autocast", "wrap_with_set_grad_enabled")


def inline_regions(program: ExportedProgram) -> None:
    """Put what ran in another mode (autocast, no_grad) where it was: each result has its type."""
    module = program.graph_module
    for node in list(module.graph.nodes):
        if operator_name(node) not in _REGIONS or _casts(node):
            continue
        place = next(number for number, item in enumerate(node.args) if _is_module(item))
        region: Any = node.args[place]
        body = module.get_submodule(region.target)
        _, results = _copied(node, body.graph, node.args[place + 1 :])
        replaced(node, results)
        if not region.users:
            module.graph.erase_node(region)


def _casts(node: Node) -> bool:
    """Whether a region computes in another format: autocast of what lies on the host, enabled."""
    return operator_name(node) == "wrap_with_autocast" and node.args[:3:2] == ("cpu", True)


def _is_module(value: Any) -> bool:
    return isinstance(value, Node) and value.op == "get_attr"


_FLATTENS = ("view", "reshape", "flatten", "_unsafe_view")


def join_rows(program: ExportedProgram) -> None:
    """Join flattened maps row by row where what they are joined to is only read in rows.

    Detectors flatten each map's boxes or classes, join them, and see rows of four coordinates or
    of the classes in that: the same numbers as of maps seen so before they are joined, which lie
    in rows on the device.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        length = _row_length(node)
        if length is None:
            continue
        batch = node.meta["val"].shape[0]
        with graph.inserting_before(node):
            flat: Any = node.args[0]
            parts = [_seen(node, part.args[0], [batch, -1, length]) for part in flat]
            joined = _called(node, torch.ops.aten.cat.default, parts, 1)
        for user in list(node.users):
            user.replace_all_uses_with(joined)
            graph.erase_node(user)
        graph.erase_node(node)


def _row_length(node: Node) -> int | None:
    """How long the rows are that a node joins flattened tensors of; None if it does not."""
    is_joined = operator_name(node) == "cat" and node.args[1:] in {(1,), (-1,)}
    if not is_joined or node.meta["val"].dim() != 2:
        return None
    parts: Any = node.args[0]
    if not all(_is_flattened(part) for part in parts) or not node.users:
        return None
    if any(operator_name(user) not in _FLATTENS for user in node.users):
        return None
    shape, *others = {tuple(user.meta["val"].shape) for user in node.users}
    if others or len(shape) != 3 or shape[0] != node.meta["val"].shape[0]:
        return None
    length: int = shape[2]
    fits = length > 1 and not any(part.meta["val"].shape[1] % length for part in parts)
    return length if fits else None


def _is_flattened(part: Node) -> bool:
    source: Any = part.args[0] if part.args else None
    is_flat = operator_name(part) in _FLATTENS and isinstance(source, Node)
    return is_flat and source.meta["val"].dim() > 2 and part.meta["val"].dim() == 2


def _seen(place: Node, source: Node, shape: list[int]) -> Node:
    return _called(place, torch.ops.aten.reshape.default, source, shape)


def _called(place: Node, operator: Any, *args: Any) -> Node:
    """Add a call where another node is, with what it makes of these arguments."""
    made = place.graph.call_function(operator, args)
    for name in _PLACES:
        made.meta[name] = place.meta.get(name)
    values = torch.fx.map_arg(args, lambda source: source.meta["val"])
    with place.meta["val"].fake_mode:
        made.meta["val"] = operator(*values)
    return made


def replaced(node: Node, results: Any, spectrum: Spectrum | None = None) -> dict[Node, Any]:
    """Let everybody read a definition's results instead of a node's, and say what stands for it."""
    instead: dict[Node, Any] = {}
    if spectrum is not None:
        for reader, result in zip(spectrum.readers, results, strict=True):
            instead |= replaced(reader, result)
        for item in reversed(spectrum.nodes):
            item.graph.erase_node(item)
        return instead
    instead[node] = results
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
