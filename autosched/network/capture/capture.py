"""Capture of a PyTorch module as a :class:`~autosched.network.graph.Network`."""

import torch
from torch import nn

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.exporting import check_module, check_tensors, export_program
from autosched.network.capture.program_lowering import RULES, lower
from autosched.network.capture.rewrites import (
    fold_batch_norms,
    fold_padding,
    fuse_activations,
    join_gates,
    nest_concats,
    rejoin_slices,
    remove_dead,
)
from autosched.network.draft_graph import Draft, DraftGraph, UnsupportedOperator
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input, LayerOp, Output
from autosched.network.source_places import unique_names

_REWRITES = (
    join_gates,
    rejoin_slices,
    remove_dead,
    nest_concats,
    fold_padding,
    fold_batch_norms,
    fuse_activations,
)


def capture(
    module: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    name: str = "network",
    *,
    allow_host: bool = False,
) -> Network:
    """Turn a module in eval mode into layers and edges.

    The shapes of ``example_inputs`` (images (N, C, H, W), vectors (N, features), tokens
    (N, length, C) or series (N, C, length); float32, on the host) become those of the network.
    Weights that nothing was folded into share the module's memory.

    With ``allow_host``, operators without a layer run on the host, in PyTorch, where they can:
    :attr:`Network.host_layers` has them, each with its reason.

    Raises:
        NetworkFileError: The module is in training mode, not float32 on the host, or raises on
            these inputs.
        UnsupportedOperatorError: Operators without a layer, each with its place; or control
            flow that depends on values.
    """
    check_module(module, name)
    check_tensors(module, example_inputs, name)
    graph = lower(export_program(module, example_inputs, name), RULES, allow_host=allow_host)
    for rewrite in _REWRITES:
        rewrite(graph)
    if graph.problems:
        raise UnsupportedOperatorError(_message(name, graph.problems))
    return _network(name, graph)


def _message(name: str, problems: list[UnsupportedOperator]) -> str:
    lines = "\n".join(f"  {problem}" for problem in problems)
    count = f"{len(problems)} operators" if len(problems) > 1 else "1 operator"
    return f"{name}: {count} cannot be scheduled:\n{lines}\n{_way_out(problems)}"


def _way_out(problems: list[UnsupportedOperator]) -> str:
    possible = sum(problem.for_host for problem in problems)
    if not possible:
        return "Replace them, or leave them out of the network file and run them on the host."
    if possible < len(problems):
        which = f"{possible} of them" if possible > 1 else "1 of them"
        return f"Replace them; --allow-host could run {which} on the host, the others not."
    return (
        "Replace them, or let them run on the host with --allow-host (in Python: "
        "allow_host=True); every transfer to the host and back then counts."
    )


def _network(name: str, graph: DraftGraph) -> Network:
    """Freeze the drafts: inputs first, outputs last, names unique."""
    drafts = sorted(graph, key=lambda draft: _position(draft.op))
    unique = unique_names([draft.name for draft in drafts])
    names = {draft.key: name for draft, name in zip(drafts, unique, strict=True)}
    layers = tuple(_layer(draft, names) for draft in drafts)
    weights = {names[draft.key]: draft.weights for draft in drafts if draft.weights is not None}
    return Network(name, layers, weights)


def _position(op: object) -> int:
    return 0 if isinstance(op, Input) else 2 if isinstance(op, Output) else 1


def _layer(draft: Draft, names: dict[str, str]) -> Layer:
    assert isinstance(draft.op, LayerOp)  # noqa: S101 - the folds left no other kind
    inputs = tuple(names[key] for key in draft.inputs)
    reason = _reason(draft)
    return Layer(names[draft.key], draft.op, inputs, draft.shape, draft.place.source, reason)


def _reason(draft: Draft) -> str:
    if len(draft.reasons) == 1:
        return draft.reasons[0][1]
    return "; ".join(f"{operator}: {why}" for operator, why in draft.reasons)
