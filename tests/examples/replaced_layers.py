"""How much a network's outputs tell about each of its layers: each replaced by noise in turn."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from autosched.network.graph import Layer, Network
from autosched.network.operators import Constant, Input, Output
from autosched.network.reference import evaluate_layer


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    """Pearson's, over all elements."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())[0, 1])


def least_correlations(network: Network, inputs: Sequence[torch.Tensor]) -> dict[str, float]:
    """By layer, the least correlation of an output with the same one when the layer is noise.

    The noise is normal with the mean and the standard deviation of all that the layer computes.
    """
    generator = torch.Generator().manual_seed(0)
    found = {}
    with torch.no_grad():
        values = _values(network, dict(zip(_inputs_of(network), inputs, strict=True)), {})
        for layer in _computing(network):
            value = values[layer.name]
            noise = torch.randn(value.shape, generator=generator) * value.std() + value.mean()
            changed = _values(network, {layer.name: noise}, values)
            found[layer.name] = min(
                correlation(values[name], changed.get(name, values[name]))
                for name in _results(network)
            )
    return found


def _computing(network: Network) -> Iterator[Layer]:
    return (x for x in network if not isinstance(x.op, (Input, Output, Constant)))


def _inputs_of(network: Network) -> list[str]:
    return [layer.name for layer in network if isinstance(layer.op, Input)]


def _results(network: Network) -> list[str]:
    return [layer.inputs[0] for layer in network if isinstance(layer.op, Output)]


def _values(
    network: Network, given: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The given tensors and those that follow from them, where ``others`` has what does not."""
    values = dict(given)
    for layer in network:
        known = layer.name in values or isinstance(layer.op, Output)
        affected = not others or any(name in values for name in layer.inputs)
        if not known and affected:
            sources = [values[name] if name in values else others[name] for name in layer.inputs]
            values[layer.name] = evaluate_layer(layer, sources, network.weights.get(layer.name))
    return values
