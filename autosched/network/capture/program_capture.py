"""From an exported program to a network: lowered, rewritten, and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, float32
from torch.export import ExportedProgram
from torch.fx import Node

from autosched.errors import NetworkFileError, UnsupportedOperatorError
from autosched.network.capture.definitions import inline_regions, join_rows
from autosched.network.capture.program_lowering import RULES, lower, results
from autosched.network.capture.spectra import sink_transforms
from autosched.network.draft_graph import Draft, DraftGraph, UnsupportedOperator
from autosched.network.graph import Layer, Network, Packing
from autosched.network.operators import ActivatedOutput, Input, LayerOp, Output
from autosched.network.rewrites.channel_orders import fold_channel_orders
from autosched.network.rewrites.folding import (
    activate_at_outputs,
    bias_scales,
    fold_batch_norms,
    fold_padding,
    fuse_activations,
    join_gates,
    nest_concats,
    rejoin_slices,
    remove_dead,
)
from autosched.network.rewrites.ordered_weights import fold_flattening
from autosched.network.rewrites.parted_windows import part_dilated_kernels, part_large_windows
from autosched.network.rewrites.pixel_shuffles import fold_packed_pixels, fold_pixel_shuffles
from autosched.network.rewrites.whole_heads import widen_heads
from autosched.network.rules.rulebook import Lowering, shape_of
from autosched.network.rules.views import View
from autosched.network.source_places import unique_names

_REWRITES = (
    join_gates,
    rejoin_slices,
    remove_dead,
    nest_concats,
    fold_padding,
    fold_batch_norms,
    activate_at_outputs,
    fuse_activations,
    bias_scales,
    part_large_windows,
    part_dilated_kernels,
    fold_pixel_shuffles,
    fold_packed_pixels,
    widen_heads,
    fold_channel_orders,
    fold_flattening,
)


@dataclass(frozen=True)
class CapturedProgram:
    """A network, the program it was lowered from, and which node's tensor each layer makes.

    ``made`` has the last node of each layer that has one, as a view of the layer's output.
    """

    network: Network
    program: ExportedProgram
    made: Mapping[str, tuple[Node, View]]


def capture_program(
    program: ExportedProgram, name: str, *, allow_host: bool = False
) -> CapturedProgram:
    """Turn an exported program into layers and edges.

    Raises:
        NetworkFileError: The program returns no tensor.
        UnsupportedOperatorError: Operators without a layer, each with its place.
    """
    if all(value is None for value in results(program)):
        raise NetworkFileError(
            f"{name}: the model returns no tensor; end its forward() with a return of the result."
        )
    inline_regions(program)
    join_rows(program)
    sink_transforms(program.graph)
    lowering = lower(program, RULES, allow_host=allow_host)
    graph = lowering.graph
    for rewrite in _REWRITES:
        rewrite(graph)
    if graph.problems:
        raise UnsupportedOperatorError(_message(name, graph.problems))
    names = _names(graph)
    return CapturedProgram(_network(name, graph, names), program, _made(lowering, names))


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


def _names(graph: DraftGraph) -> dict[str, str]:
    """Unique names of the drafts by key: inputs first, outputs last."""
    drafts = sorted(graph, key=lambda draft: _position(draft.op))
    unique = unique_names([draft.name for draft in drafts])
    return {draft.key: name for draft, name in zip(drafts, unique, strict=True)}


def _network(name: str, graph: DraftGraph, names: Mapping[str, str]) -> Network:
    """Freeze the drafts, in the order of their names."""
    layers = tuple(_layer(graph, graph.drafts[key], names) for key in names)
    callers = {
        layer.name: draft.shape
        for layer, draft in zip(layers, map(graph.drafts.__getitem__, names), strict=True)
        if layer.shape != draft.shape
    }
    weights = {
        names[draft.key]: draft.weights
        for draft in map(graph.drafts.__getitem__, names)
        if draft.weights is not None
    }
    return Network(name, layers, weights, Packing(callers=callers))


def _position(op: object) -> int:
    return 0 if isinstance(op, Input) else 2 if isinstance(op, Output) else 1


def _layer(graph: DraftGraph, draft: Draft, names: Mapping[str, str]) -> Layer:
    """Freeze a draft; what is handed back has the shape in which its producer leaves it."""
    assert isinstance(draft.op, LayerOp)  # noqa: S101 - the folds left no other kind
    inputs = tuple(names[key] for key in draft.inputs)
    hands_back = type(draft.op) in {Output, ActivatedOutput}
    shape = graph.producer(draft).shape if hands_back else draft.shape
    return Layer(names[draft.key], draft.op, inputs, shape, draft.place.source, _reason(draft))


def _reason(draft: Draft) -> str:
    if len(draft.reasons) == 1:
        return draft.reasons[0][1]
    return "; ".join(f"{operator}: {why}" for operator, why in draft.reasons)


def _made(lowering: Lowering, names: Mapping[str, str]) -> dict[str, tuple[Node, View]]:
    found: dict[str, tuple[Node, View]] = {}
    for node in lowering.first_views:
        value = node.meta.get("val")
        if node._erased or not isinstance(value, Tensor) or value.dtype != float32:
            continue
        for view in (lowering.first_views[node], lowering.views[node]):
            draft = lowering.graph.remaining(view.key)
            # What only repeats a tensor has no layer of its own.
            is_all = view.shape == shape_of(node)
            if draft is not None and is_all and view.base == draft.shape:
                found[names[draft.key]] = (node, view)
    return found
