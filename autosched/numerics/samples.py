"""A network's samples: computed layer by layer in float32, and with fewer pixels.

What a format costs is a share of the outputs' spread, which a map of some thousand pixels shows as
well as one of a million. So batches are cut to some images, and large images to their middle, if
the network takes such samples: each layer then makes as many channels as before.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from autosched.network.graph import Layer, Network
from autosched.network.operators import HostOp, Input, Output
from autosched.network.reference import evaluate_layer, evaluate_output

_ENOUGH = 1 << 20
"""Numbers of a network's largest tensor."""
_MULTIPLE, _SMALLEST = 32, 96
"""What halves five times without a rest, and a side below which borders would count for much."""
_IMAGE = 4


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


def with_smaller_samples(network: Network) -> Network:
    """Return a network with samples cut as far as it takes them, and no further than is enough.

    Its layers keep their names and weights; their shapes are those of whole images.
    """
    if network.packing.callers or any(isinstance(layer.op, HostOp) for layer in network):
        return network
    network = _with_fewer_images(network)
    for samples in _cut_images(network):
        smaller = replace(network, samples=samples)
        if _is_taken(smaller):
            return smaller
    return network


def _share_that_is_enough(network: Network) -> float:
    return _ENOUGH / max(math.prod(layer.shape) for layer in network)


def _with_fewer_images(network: Network) -> Network:
    batch = network.batch
    number = max(math.ceil(batch * _share_that_is_enough(network)), 1)
    if number >= batch or any(sample.shape[:1] != (batch,) for sample in network.samples):
        return network
    layers = tuple(
        replace(layer, shape=(number, *layer.shape[1:])) if layer.shape[:1] == (batch,) else layer
        for layer in network
    )
    samples = tuple(sample[:number] for sample in network.samples)
    smaller = replace(network, layers=layers, samples=samples)
    return smaller if _is_taken(smaller) else network


def _cut_images(network: Network) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield samples of smaller images, of the smallest that are enough first."""
    share = _share_that_is_enough(network)
    while share < 1:
        yield tuple(_middle(sample, math.sqrt(share)) for sample in network.samples)
        share *= 2


def _middle(sample: torch.Tensor, share: float) -> torch.Tensor:
    """Return the middle of images, so much of each side."""
    if sample.dim() != _IMAGE:
        return sample
    for axis in (2, 3):
        side = sample.shape[axis]
        kept = min(math.ceil(max(side * share, _SMALLEST) / _MULTIPLE) * _MULTIPLE, side)
        sample = sample.narrow(axis, (side - kept) // 2, kept)
    return sample


def _is_taken(network: Network) -> bool:
    """Whether from its samples each layer makes what it is to, but for fewer pixels."""
    try:
        with torch.no_grad():
            made = forward(network, network.samples)
            return all(_is_part(values.shape, layer.shape) for layer, _, values in made)
    except (RuntimeError, ValueError, IndexError):
        return False  # shapes that do not meet


def _is_part(shape: Sequence[int], whole: Sequence[int]) -> bool:
    fixed = 2 if len(whole) == _IMAGE else len(whole)
    return len(shape) == len(whole) and shape[:fixed] == whole[:fixed] and min(shape, default=1) > 0
