"""A network in float32, layer by layer, with the tensors that are live at each."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from autosched.network.graph import Layer, Network
from autosched.network.operators import Input, Output
from autosched.network.reference import evaluate_layer, evaluate_output


def forward(
    network: Network, inputs: Sequence[torch.Tensor]
) -> Iterator[tuple[Layer, Mapping[str, torch.Tensor], torch.Tensor]]:
    """Yield each layer with what is live before anything is freed, and its output.

    Args:
        network: what is computed, with its weights.
        inputs: one tensor for each ``Input`` layer, as the caller has it.
    """
    waiting = list(inputs)
    live: dict[str, torch.Tensor] = {}
    for layer in network:
        sources = [live[name] for name in layer.inputs]
        made = layer_output(network, layer, sources, waiting)
        live[layer.name] = made
        yield layer, dict(live), made
        for name in network.freed_after(layer):
            del live[name]


def layer_output(
    network: Network, layer: Layer, sources: Sequence[torch.Tensor], waiting: list[torch.Tensor]
) -> torch.Tensor:
    """Return a layer's output; an ``Input`` takes the first of what waits to come in."""
    if isinstance(layer.op, Input):
        given = waiting.pop(0)
        return given.reshape(layer.shape) if network.packing.callers else given
    weights = network.weights.get(layer.name)
    if isinstance(layer.op, Output):
        return evaluate_output(layer, sources, weights)
    return evaluate_layer(layer, sources, weights)
