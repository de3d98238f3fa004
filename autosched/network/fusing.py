"""Activations fused into the layer that makes their input, and layers that nobody reads removed."""

from dataclasses import replace

from autosched.network.drafts import DraftGraph
from autosched.network.graph import Activation, Binary, Conv2d, Input, Linear, Output, Unary

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


def fuse_activations(graph: DraftGraph) -> None:
    """Fuse each activation into the convolution, linear or binary layer it alone reads."""
    for draft in graph:
        if not isinstance(draft.op, Unary):
            continue
        producer = graph.producer(draft)
        if (
            isinstance(producer.op, (Conv2d, Linear, Binary))
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
