"""Operators that no rule lowers, as layers that run on the host."""

import json
import math
from typing import Any

import torch
from torch.fx import Node

from autosched.network.draft_graph import Draft, Unknown
from autosched.network.graph import Weights
from autosched.network.host_ops import LIBRARIES, NotPlainError, to_json
from autosched.network.operators import GETITEM, HostOp, HostOutput, HostStep, HostView
from autosched.network.rules.rulebook import Lowering, operator_name, shape_of
from autosched.network.rules.views import View
from autosched.network.source_places import source_place_of

NO_SOURCE = (
    "it reads nothing that the network computes: it draws at random, or changes a parameter or "
    "constant in place; do that once, before the network is captured"
)


def why_not_on_host(lowering: Lowering, node: Node) -> str:
    """Return why a node cannot run on the host, "" if it can."""
    target = node.target
    if operator_name(node) != GETITEM:
        if not isinstance(target, torch._ops.OpOverload) or target.namespace not in LIBRARIES:
            return "only operators of PyTorch and torchvision run on the host"
        if draws_at_random(lowering, node):
            return "it draws at random"
    if not any(source in lowering.views for source in node.all_input_nodes):
        return NO_SOURCE
    if -1 in shape_of(node):
        return "the shape of its result depends on the values of a tensor"
    try:
        to_json([node.args, *node.kwargs.values()], lambda _: None)
    except NotPlainError as error:
        return str(error)
    return ""


def draws_at_random(lowering: Lowering, node: Node) -> bool:
    """Whether no two results of an operator are alike; not if it is told to leave chance out."""
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return False
    arguments = lowering.arguments(node)
    switches = [arguments[name] for name in ("train", "training") if name in arguments]
    shares = [arguments[name] for name in ("p", "dropout_p") if name in arguments]
    return not (False in switches or 0 in shares)


def on_host(lowering: Lowering, node: Node, reason: str) -> str:
    """Add a host layer for a node and return its key; ``reason`` says why, "" if its input is one.

    It takes over the steps of the host layers that it reads, so that nothing goes to the device
    and back between them; what nobody else reads of those is dropped later.
    """
    program = _Program(lowering)
    program.append(node)
    op = HostOp(tuple(program.steps), tuple(program.views))
    key = lowering.add(node, op, program.inputs, weights=program.weights)
    own = [(operator_name(node), reason)] if reason else []
    lowering.graph.drafts[key].reasons = tuple(dict.fromkeys([*program.reasons, *own]))
    if not fits_device(node):
        lowering.host_only[key] = _result_words(node)
    return key


def stays_on_host(lowering: Lowering, node: Node) -> bool:
    """Return whether what a node makes is for the caller alone, and of no use to the device."""
    base = lowering.base(lowering.views[node])
    if isinstance(base.op, HostOp):
        return base.key in lowering.host_only or not lowering.graph.users(base.key)
    return not fits_device(node) and not isinstance(base.op, Unknown)


def host_output(lowering: Lowering, node: Node, key: str) -> Draft:
    """Return the output that hands a node's result to the caller without the device.

    What the device makes of other types, such as a mask of ones and zeros, is only put in them.
    """
    program = _Program(lowering)
    base = lowering.base(lowering.views[node])
    if isinstance(base.op, HostOp):
        program.end_with(node)
        name, place, reasons = base.name, base.place, tuple(dict.fromkeys(program.reasons))
    else:
        program.cast(node)
        place = source_place_of(node)
        name = place.name(operator_name(node))
        reasons = ((operator_name(node), f"the caller gets {_result_words(node)}"),)
    dtype = str(node.meta["val"].dtype).removeprefix("torch.")
    op = HostOutput(tuple(program.steps), tuple(program.views), dtype)
    return Draft(key, name, op, program.inputs, shape_of(node), place, program.weights, reasons)


def fits_device(node: Node) -> bool:
    """Return whether a node's result can be uploaded: float32 of one dimension or more."""
    value = node.meta.get("val")
    is_float = isinstance(value, torch.Tensor) and value.dtype == torch.float32
    shape = shape_of(node)
    return is_float and bool(shape) and math.prod(shape) > 0


def _result_words(node: Node) -> str:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return "several tensors"
    return f"{value.dtype!s} of shape {tuple(value.shape)}"


class _Program:
    """The steps of one host layer, growing."""

    def __init__(self, lowering: Lowering) -> None:
        self.steps: list[HostStep] = []
        self.inputs: list[str] = []
        self.views: list[HostView] = []
        self.constants: list[torch.Tensor] = []
        self.reasons: list[tuple[str, str]] = []
        self._lowering = lowering
        self._taken: dict[str, int] = {}

    @property
    def weights(self) -> Weights | None:
        """The constants, if there are any."""
        if not self.constants:
            return None
        return Weights(self.constants[0], None, tuple(self.constants[1:]))

    def append(self, node: Node) -> int:
        """Append the step of a node, after all that it needs of other host layers."""
        if operator_name(node) == GETITEM:
            source, place = node.args
            return self._step(GETITEM, [[self._results(source), place], {}])
        operator = str(node.target)
        positional = to_json(list(node.args), self._refer)
        by_name = {name: to_json(value, self._refer) for name, value in node.kwargs.items()}
        return self._step(operator, [positional, by_name])

    def _results(self, node: Any) -> dict[str, Any]:
        """Refer to all results of a node; a layer of it on the device makes one of them alone."""
        is_on_host = isinstance(self._lowering.base(self._lowering.views[node]).op, HostOp)
        return self._refer(node) if is_on_host else {"step": self.append(node)}

    def end_with(self, node: Node) -> None:
        """Append the steps that make a node's result, which is a host layer's or a view of one."""
        place = self._refer(node)["step"]
        del self.steps[place + 1 :]

    def cast(self, node: Node) -> None:
        """Append the step that gives a node's result its own shape and type."""
        dtype = str(node.meta["val"].dtype).removeprefix("torch.")
        self._step("aten._to_copy.default", [[self._refer(node)], {"dtype": {"dtype": dtype}}])

    def _step(self, operator: str, arguments: Any) -> int:
        step = HostStep(operator, json.dumps(arguments, sort_keys=True, separators=(",", ":")))
        if step not in self.steps:
            self.steps.append(step)
        return self.steps.index(step)

    def _refer(self, node: Node) -> dict[str, Any]:
        if node in self._lowering.constants:
            return self._constant(self._lowering.constants[node])
        view = self._lowering.view(node)
        draft = self._lowering.base(view)
        if isinstance(draft.op, HostOp):
            return {"step": self._viewed_step(self._take_over(draft), view)}
        return {"input": self._input(draft.key, _host_view(view))}

    def _constant(self, tensor: torch.Tensor) -> dict[str, Any]:
        known = next((i for i, other in enumerate(self.constants) if other is tensor), None)
        if known is None:
            known = len(self.constants)
            self.constants.append(tensor)
        dtype = str(tensor.dtype).removeprefix("torch.")
        return {"constant": known, "shape": list(tensor.shape), "dtype": dtype}

    def _input(self, key: str, view: HostView) -> int:
        pairs = list(zip(self.inputs, self.views, strict=True))
        if (key, view) not in pairs:
            self.inputs.append(key)
            self.views.append(view)
            return len(pairs)
        return pairs.index((key, view))

    def _take_over(self, draft: Draft) -> int:
        """Copy another host layer's steps, and return the place of its result."""
        if draft.key in self._taken:
            return self._taken[draft.key]
        assert isinstance(draft.op, HostOp)  # noqa: S101 - only called for host layers
        theirs = () if draft.weights is None else (draft.weights.weight, *draft.weights.others)
        places: dict[str, list[int]] = {
            "constant": [self._constant(tensor)["constant"] for tensor in theirs],
            "input": [
                self._input(key, view)
                for key, view in zip(draft.inputs, draft.op.views, strict=True)
            ],
            "step": [],
        }
        for step in draft.op.steps:
            arguments = _renumbered(json.loads(step.arguments), places)
            places["step"].append(self._step(step.operator, arguments))
        self.reasons += draft.reasons
        self._taken[draft.key] = places["step"][-1]
        return self._taken[draft.key]

    def _viewed_step(self, place: int, view: View) -> int:
        """Add the steps that rearrange a result as a view of it does."""
        if view.is_whole or not view.base:
            return place
        how = _host_view(view)
        for operator, argument in (
            ("aten.reshape.default", how.sizes),
            ("aten.permute.default", how.order),
            ("aten.reshape.default", how.shape),
        ):
            place = self._step(operator, [[{"step": place}, list(argument)], {}])
        return place


def _host_view(view: View) -> HostView:
    return HostView(view.sizes, view.flat, view.shape)


def _renumbered(plain: Any, places: dict[str, list[int]]) -> Any:
    if isinstance(plain, list):
        return [_renumbered(item, places) for item in plain]
    if not isinstance(plain, dict):
        return plain
    return {
        key: places[key][value] if key in places else _renumbered(value, places)
        for key, value in plain.items()
    }
