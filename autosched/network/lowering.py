"""From an exported program to a graph of drafts, operator by operator."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from autosched.network.drafts import Draft, DraftGraph, DraftOp, Problem, Unknown
from autosched.network.graph import Input, Output, Permute, Reshape, Weights
from autosched.network.naming import Place, place_of
from autosched.network.views import View

_WRITES = ("slice_scatter", "select_scatter", "index_put", "copy", "fill", "masked_fill", "scatter")


class Refusal(Exception):  # noqa: N818 - it never leaves this room
    """Why one operator cannot be lowered."""


class Lowering:
    """What a rule sees: the drafts so far, constant tensors, and a node's arguments by name."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.graph = DraftGraph()
        self.constants: dict[Node, torch.Tensor] = {}
        self.views: dict[Node, View] = {}

    def arguments(self, node: Node) -> dict[str, Any]:
        """The node's arguments by the names of its ATen schema, with defaults filled in."""
        schema = node.target._schema  # type: ignore[union-attr]
        values = dict(zip((a.name for a in schema.arguments), node.args, strict=False))
        values.update(node.kwargs)
        return {a.name: values.get(a.name, a.default_value) for a in schema.arguments}

    def view(self, node: Node) -> View:
        """The node's tensor as a rearrangement of a draft's."""
        if node not in self.views:
            raise Refusal("its input is a constant")
        return self.views[node]

    def draft(self, node: Node) -> Draft:
        """The draft that makes the node's tensor, rearranged by a layer where it has to be."""
        view = self.view(node)
        self.views[node] = view = View.whole(self.rearranged(node, view), view.shape)
        return self.graph.drafts[view.key]

    def base(self, view: View) -> Draft:
        """The draft that a view is of."""
        return self.graph.drafts[view.key]

    def rearranged(self, node: Node, view: View, suffix: str = "") -> str:
        """Add the layer that brings a view's elements into their order, and return its key."""
        source = self.base(view)
        if view.is_whole:
            return source.key
        suffix = self._free_suffix(node, suffix)
        if view.flat != tuple(range(len(view.sizes))):
            op = Permute(view.sizes, view.flat)
            return self.add(node, op, [source.key], shape=view.shape, suffix=suffix)
        while source.op == Reshape():
            source = self.graph.producer(source)
        if source.shape == view.shape:
            return source.key
        return self.add(node, Reshape(), [source.key], shape=view.shape, suffix=suffix)

    def _free_suffix(self, node: Node, suffix: str) -> str:
        wanted = [suffix, *(f"{suffix}view{number or ''}" for number in range(len(self.views)))]
        keys = self.graph.drafts
        return next(text for text in wanted if node.name + (f".{text}" if text else "") not in keys)

    def channels_at(self, node: Node, dim: int) -> View:
        """The node's tensor as a view of a draft whose channels are dimension ``dim`` of it.

        Where the draft's are others, a layer makes them so: an image of one column.
        """
        view = self.view(node)
        dim %= len(view.dims)
        if view.has_channels_at(dim):
            return view
        if dim == 0:
            raise Refusal("it works along the batch")
        order = [0, dim, *(d for d in range(1, len(view.dims)) if d != dim)]
        sizes = [view.shape[d] for d in order]
        image = view.permuted(order).reshaped((*sizes[:2], math.prod(sizes[2:]), 1))
        assert image is not None  # noqa: S101 - merging dimensions always succeeds
        key = self.rearranged(node, image, suffix="channels")
        whole = View.whole(key, image.shape).reshaped(sizes)
        assert whole is not None  # noqa: S101 - the reverse of the merging
        self.views[node] = whole.permuted([order.index(d) for d in range(len(order))])
        return self.views[node]

    def arranged_as(self, node: Node, view: View) -> str | None:
        """The key of a draft of which the node's tensor is the same view as ``view`` of its own.

        None where no view of the node's draft gives the elements in that order.
        """
        own = self.view(node)
        if own.same_arrangement(view):
            return own.key
        cut = own.reshaped([view.sizes[part] for part in view.flat])
        if cut is None:
            return None
        whole = cut.permuted([view.flat.index(part) for part in range(len(view.sizes))])
        target = whole.reshaped(view.base)
        return None if target is None else self.rearranged(node, target, suffix="arranged")

    def is_constant(self, value: Any) -> bool:
        """Whether a value is known without running the network."""
        return not isinstance(value, Node) or value in self.constants

    def constant(self, value: Any, what: str) -> torch.Tensor:
        """A float32 parameter, contiguous; it shares the module's memory where it can."""
        if value not in self.constants:
            raise Refusal(f"its {what} is computed from the input")
        return self.constants[value].detach().to(torch.float32).contiguous()

    def image(self, node: Node) -> Draft:
        """The draft of an input that must have shape (N, C, H, W)."""
        shape = self.view(node).shape
        if len(shape) != 4:
            raise Refusal(f"its input has shape {shape}, not (N, C, H, W)")
        return self.draft(node)

    def add(
        self,
        node: Node,
        op: DraftOp,
        inputs: list[str],
        *,
        shape: tuple[int, ...] | None = None,
        weights: Weights | None = None,
        suffix: str = "",
    ) -> str:
        """Append a draft for ``node``; ``suffix`` tells a second draft of one node apart."""
        place = place_of(node)
        name = place.name(operator_name(node)) + (f".{suffix}" if suffix else "")
        key = node.name + (f".{suffix}" if suffix else "")
        shape = shape_of(node) if shape is None else shape
        return self.graph.add(Draft(key, name, op, inputs, shape, place, weights))


Rule = Callable[[Lowering, Node], str | View]
"""Returns the key of the draft that makes the node's tensor, or a view of one."""

SomeRule = TypeVar("SomeRule", bound=Rule)


class RuleBook(dict[str, Rule]):
    """Rules by the operators' plain names."""

    def rule(self, *names: str) -> Callable[[SomeRule], SomeRule]:
        """Register the decorated function for operators of these names."""

        def register(function: SomeRule) -> SomeRule:
            self.update(dict.fromkeys(names, function))
            return function

        return register


def operator_name(node: Node) -> str:
    """The operator's plain name: "relu" for ``aten.relu_.default``."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return getattr(node.target, "__name__", str(node.target)).strip("_")
    return str(schema.name).split("::")[-1].strip("_")


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node's (first) result; -1 is what depends on values or is no tensor."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (tuple, list)) and value else value
    if not isinstance(value, torch.Tensor):
        return (-1,)
    return tuple(size if isinstance(size, int) else -1 for size in value.shape)


def lower(program: ExportedProgram, rules: Mapping[str, Rule]) -> DraftGraph:
    """Lower every operator that an output depends on; refusals are collected as problems."""
    lowering = Lowering(program)
    _add_placeholders(lowering)
    needed = _needed(_results(program))
    for node in program.graph.nodes:
        if node.op == "call_function" and node in needed and not _fold_constant(lowering, node):
            made = _apply(lowering, rules, node)
            lowering.views[node] = _whole(lowering, made) if isinstance(made, str) else made
    _add_outputs(lowering)
    _refuse_memory(lowering)
    return lowering.graph


def _whole(lowering: Lowering, key: str) -> View:
    return View.whole(key, lowering.graph.drafts[key].shape)


def _add_placeholders(lowering: Lowering) -> None:
    program = lowering.program
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for spec in program.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind is InputKind.USER_INPUT:
            draft = Draft(node.name, node.name, Input(), [], shape_of(node))
            lowering.views[node] = View.whole(lowering.graph.add(draft), draft.shape)
        elif spec.target in program.state_dict:
            lowering.constants[node] = program.state_dict[spec.target]
        elif spec.target in program.constants:
            lowering.constants[node] = program.constants[spec.target]


def _results(program: ExportedProgram) -> list[Any]:
    """What the module returns, flattened: nodes, and values that are no tensors."""
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    specs = program.graph_signature.output_specs
    pairs = zip(specs, output.args[0], strict=True)
    return [value for spec, value in pairs if spec.kind is OutputKind.USER_OUTPUT]


def _needed(results: list[Any]) -> set[Node]:
    needed: set[Node] = set()
    waiting = [value for value in results if isinstance(value, Node)]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting.extend(node.all_input_nodes)
    return needed


def _fold_constant(lowering: Lowering, node: Node) -> bool:
    """Compute a node that depends on parameters only, such as a transposed weight."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    if target._schema.is_mutable and target is not torch.ops.aten.detach_.default:
        return False
    if torch.Tag.nondeterministic_seeded in target.tags:
        return False
    if any(source not in lowering.constants for source in node.all_input_nodes):
        return False
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lowering.constants.__getitem__)
    with torch.no_grad():
        value = target(*args, **kwargs)
    if isinstance(value, torch.Tensor):
        lowering.constants[node] = value
    return isinstance(value, torch.Tensor)


def _apply(lowering: Lowering, rules: Mapping[str, Rule], node: Node) -> str | View:
    """Lower one node, or record why not; after a refused producer nothing can be said."""
    views = [lowering.views[n] for n in node.all_input_nodes if n in lowering.views]
    sources = [lowering.base(view) for view in views]
    if any(-1 in source.shape for source in sources):
        return lowering.add(node, Unknown(), [])
    if operator_name(node) not in rules:
        return _refuse(lowering, node, _why_unknown(node))
    try:
        _check(node, sources)
        return rules[operator_name(node)](lowering, node)
    except Refusal as refusal:
        return _refuse(lowering, node, str(refusal))


def _why_unknown(node: Node) -> str:
    """Why an operator has no layer, as far as its result tells."""
    value = node.meta.get("val")
    if operator_name(node) in _WRITES:
        return "it writes into a part of a tensor; put the parts together with torch.cat instead"
    if isinstance(value, torch.Tensor) and -1 in shape_of(node):
        return "the shape of its result depends on the values of a tensor; keep all shapes fixed"
    if isinstance(value, torch.Tensor) and value.dtype != torch.float32:
        return f"its result is {value.dtype}, and only torch.float32 is captured"
    return "there is no layer for this operator"


def _check(node: Node, sources: list[Draft]) -> None:
    """What every operator must fulfil before its rule looks at it."""
    if not sources:
        raise Refusal("it draws at random, or changes a constant in place")
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor) and value.dtype != torch.float32:
        raise Refusal(f"its result is {value.dtype}, and only torch.float32 is captured")


def _refuse(lowering: Lowering, node: Node, reason: str) -> str:
    key = lowering.add(node, Unknown(), [])
    lowering.graph.refuse(lowering.graph.drafts[key], str(node.target), reason)
    return key


def _add_outputs(lowering: Lowering) -> None:
    for index, value in enumerate(_results(lowering.program)):
        if value is None:
            continue
        draft = Draft(f"output.{index}", "output", Output(), [], (), Place())
        if isinstance(value, Node) and value in lowering.views:
            source = lowering.draft(value)
            draft.inputs, draft.shape = [source.key], source.shape
            lowering.graph.add(draft)
        else:
            lowering.graph.add(draft)
            lowering.graph.refuse(draft, "return", "a result does not depend on the input")


def _refuse_memory(lowering: Lowering) -> None:
    """Refuse what remembers: a buffer that every call changes has no one value to schedule."""
    program = lowering.program
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    for spec, value in zip(program.graph_signature.output_specs, output.args[0], strict=True):
        if spec.kind is OutputKind.BUFFER_MUTATION and isinstance(value, Node):
            place = place_of(value)
            reason = "every call changes this buffer; make it an input, or leave it as it is"
            lowering.graph.problems.append(
                Problem(str(spec.target), str(value.target), place.source, reason)
            )
