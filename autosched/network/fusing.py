"""Layers that others take over, or that nobody reads."""

from dataclasses import replace

from autosched.network.drafts import DraftGraph
from autosched.network.graph import (
    Activation,
    Binary,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Input,
    Linear,
    Output,
    Slice,
    Unary,
)

# x * gate(x) written out by hand is one activation.
_GATED = {"sigmoid": "silu", "hardsigmoid": "hardswish"}


def join_gates(graph: DraftGraph) -> None:
    """Turn x * sigmoid(x) into SiLU, and x * hardsigmoid(x) into hardswish."""
    for draft in graph:
        if draft.op != Binary("mul"):
            continue
        for index in (0, 1):
            gate, source = graph.drafts[draft.inputs[index]], draft.inputs[1 - index]
            if (
                isinstance(gate.op, Unary)
                and gate.inputs == [source]
                and gate.op.activation.name in _GATED
            ):
                draft.op = Unary(Activation(_GATED[gate.op.activation.name]))
                draft.inputs = [source]
                break


def rejoin_slices(graph: DraftGraph) -> None:
    """Let a concatenation of all slices of a tensor, in their order, read the tensor itself."""
    for draft in graph:
        if draft.op == Concat():
            draft.inputs = _rejoined(graph, draft.inputs)
            if len(draft.inputs) == 1:
                graph.absorb(draft)


def _rejoined(graph: DraftGraph, inputs: list[str]) -> list[str]:
    found: list[str] = []
    start = 0
    while start < len(inputs):
        source, end = inputs[start], start + 1
        for stop in range(start + 2, len(inputs) + 1):
            whole = _sliced_whole(graph, inputs[start:stop])
            if whole:
                source, end = whole, stop
        found.append(source)
        start = end
    return found


def _sliced_whole(graph: DraftGraph, keys: list[str]) -> str:
    """The tensor that these slices are all of, or ""."""
    source, reached = "", 0
    for key in keys:
        draft = graph.drafts[key]
        if not isinstance(draft.op, Slice) or draft.op.start != reached:
            return ""
        if source not in {"", draft.inputs[0]}:
            return ""
        source, reached = draft.inputs[0], draft.op.stop
    return source if reached == graph.drafts[source].shape[1] else ""


def nest_concats(graph: DraftGraph) -> None:
    """Let a concatenation that begins with all inputs of an earlier one read that one's output.

    A dense block concatenates ever longer lists; nested, each takes two tensors instead of all
    that came before, and those need not wait any longer.
    """
    by_inputs: dict[tuple[str, ...], str] = {}
    for draft in graph:
        if draft.op != Concat():
            continue
        inputs = tuple(draft.inputs)
        lengths = range(len(inputs) - 1, 1, -1)
        known = next((length for length in lengths if inputs[:length] in by_inputs), 0)
        if known:
            draft.inputs = [by_inputs[inputs[:known]], *inputs[known:]]
        by_inputs.setdefault(inputs, draft.key)


# What ttnn's convolutions and matmuls take as an activation; others run on their own.
_FUSED = (
    *("relu", "relu6", "silu", "gelu", "gelu_tanh", "sigmoid", "hardswish", "hardsigmoid"),
    *("leaky_relu", "mish", "tanh", "elu", "selu"),
)


def fuse_activations(graph: DraftGraph) -> None:
    """Fuse each activation into the convolution, linear or binary layer it alone reads."""
    fusing = (Conv2d, ConvTranspose2d, Linear, Binary)
    for draft in graph:
        if not isinstance(draft.op, Unary) or draft.op.activation.name not in _FUSED:
            continue
        producer = graph.producer(draft)
        if (
            isinstance(producer.op, fusing)
            and producer.op.activation is None
            and graph.is_only_user(draft, producer)
        ):
            producer.op = replace(producer.op, activation=draft.op.activation)
            graph.absorb(draft)


def remove_dead(graph: DraftGraph) -> None:
    """Drop every layer that no output depends on; the caller's inputs stay."""
    for draft in reversed(list(graph)):
        if not isinstance(draft.op, (Input, Output)) and not graph.users(draft.key):
            del graph.drafts[draft.key]
