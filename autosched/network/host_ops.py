"""Operators that run in PyTorch on the host: how they are written down, and how they run.

A step's arguments are JSON, [positional, by name], in which these stand for what JSON lacks:
{"input": 0} the layer's inputs, {"step": 0} the results of earlier steps, {"constant": 0} its
constants (with their shape and type, which the network's signature thus covers), and {"dtype":
"float32"}, {"device": "cpu"}, {"layout": "strided"} and {"memory_format": "preserve_format"}.
"""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from autosched.network.graph import Weights
from autosched.network.operators import GETITEM, HostOp, HostStep, HostView

_NAMED: Mapping[str, type] = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
}

LIBRARIES = ("aten", "torchvision")
"""Whose operators run on the host: PyTorch's own, and torchvision's, such as deformable
convolutions and the alignment of regions. These are there once torchvision is imported."""


class NotPlainError(Exception):
    """An argument that cannot be written down as data."""


def to_json(value: Any, refer: Callable[[Any], Any]) -> Any:
    """Return an argument as JSON types; ``refer`` gives those of a node of the graph.

    Raises:
        NotPlainError: if it is none of the kinds that ATen operators take as data.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [to_json(item, refer) for item in value]
    if isinstance(value, torch.fx.Node):
        return refer(value)
    if isinstance(value, torch.device):
        return {"device": value.type}
    for name, kind in _NAMED.items():
        if isinstance(value, kind):
            return {name: str(value).removeprefix("torch.")}
    raise NotPlainError(f"an argument of type {type(value).__name__} cannot be written down")


def _from_json(plain: Any, known: Mapping[str, Sequence[Any]]) -> Any:
    if isinstance(plain, list):
        return [_from_json(item, known) for item in plain]
    if not isinstance(plain, Mapping):
        return plain
    for kind, values in known.items():
        if kind in plain:
            return values[plain[kind]]
    ((kind, name),) = plain.items()
    return torch.device(name) if kind == "device" else getattr(torch, name)


def run_on_host(
    op: HostOp, sources: Sequence[torch.Tensor], weights: Weights | None
) -> torch.Tensor:
    """Run a host layer on its inputs, in PyTorch's order of elements."""
    constants = () if weights is None else (weights.weight, *weights.others)
    inputs = [_viewed(source, view) for source, view in zip(sources, op.views, strict=True)]
    results: list[Any] = []
    known = {"input": inputs, "step": results, "constant": constants}
    with torch.no_grad():
        for step in op.steps:
            result = _run_step(step, known)
            results.append(result)  # later steps read it through ``known``
    last: torch.Tensor = results[-1]
    return last


def _viewed(source: torch.Tensor, view: HostView) -> torch.Tensor:
    return source.reshape(view.sizes).permute(view.order).reshape(view.shape)


def _run_step(step: HostStep, known: Mapping[str, Sequence[Any]]) -> Any:
    positional, by_name = json.loads(step.arguments)
    arguments = [_from_json(item, known) for item in positional]
    if step.operator == GETITEM:
        return arguments[0][arguments[1]]
    operator = _operator(step.operator)
    if operator._schema.is_mutable:
        # The graph shows no one who reads the argument later; a constant must stay as it is.
        arguments[0] = arguments[0].clone()
    return operator(*arguments, **{key: _from_json(item, known) for key, item in by_name.items()})


def _operator(path: str) -> Any:
    library, name, overload = path.split(".")
    if library not in LIBRARIES:
        raise NotPlainError(f"{path} is none of the operators of {' and '.join(LIBRARIES)}")
    if library == "torchvision":
        importlib.import_module(library)
    return getattr(getattr(getattr(torch.ops, library), name), overload)
