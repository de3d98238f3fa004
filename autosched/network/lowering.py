"""From an exported program to a graph of drafts, operator by operator."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from autosched.network.drafts import Draft, DraftGraph, DraftOp, Unknown
from autosched.network.graph import Input, Output, Weights
from autosched.network.naming import Place, place_of


class Refusal(Exception):  # noqa: N818 - it never leaves this room
    """Why one operator cannot be lowered."""


class Lowering:
    """What a rule sees: the drafts so far, constant tensors, and a node's arguments by name."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.graph = DraftGraph()
        self.constants: dict[Node, torch.Tensor] = {}
        self.keys: dict[Node, str] = {}

    def arguments(self, node: Node) -> dict[str, Any]:
        """The node's arguments by the names of its ATen schema, with defaults filled in."""
        schema = node.target._schema  # type: ignore[union-attr]
        values = dict(zip((a.name for a in schema.arguments), node.args, strict=False))
        values.update(node.kwargs)
        return {a.name: values.get(a.name, a.default_value) for a in schema.arguments}

    def draft(self, node: Node) -> Draft:
        """The draft that makes the node's tensor."""
        if node not in self.keys:
            raise Refusal("its input is a constant")
        return self.graph.drafts[self.keys[node]]

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
        draft = self.draft(node)
        if len(draft.shape) != 4:
            raise Refusal(f"its input has shape {draft.shape}, not (N, C, H, W)")
        return draft

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


Rule = Callable[[Lowering, Node], str]


class RuleBook(dict[str, Rule]):
    """Rules by the operators' plain names."""

    def rule(self, *names: str) -> Callable[[Rule], Rule]:
        """Register the decorated function for operators of these names."""

        def register(function: Rule) -> Rule:
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
            lowering.keys[node] = _apply(lowering, rules, node)
    _add_outputs(lowering)
    return lowering.graph


def _add_placeholders(lowering: Lowering) -> None:
    program = lowering.program
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for spec in program.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind is InputKind.USER_INPUT:
            lowering.keys[node] = lowering.graph.add(
                Draft(node.name, node.name, Input(), [], shape_of(node))
            )
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


def _apply(lowering: Lowering, rules: Mapping[str, Rule], node: Node) -> str:
    """Lower one node, or record why not; after a refused producer nothing can be said."""
    sources = [lowering.draft(n) for n in node.all_input_nodes if n in lowering.keys]
    if any(-1 in source.shape for source in sources):
        return lowering.add(node, Unknown(), [])
    if operator_name(node) not in rules:
        return _refuse(lowering, node, "there is no layer for this operator")
    try:
        _check(node, sources)
        return rules[operator_name(node)](lowering, node)
    except Refusal as refusal:
        return _refuse(lowering, node, str(refusal))


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
        lowering.graph.add(draft)
        if isinstance(value, Node) and value in lowering.keys:
            draft.inputs, draft.shape = [lowering.keys[value]], lowering.draft(value).shape
        else:
            lowering.graph.refuse(draft, "return", "a result does not depend on the input")
