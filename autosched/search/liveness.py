"""Who may free a tensor early: ttnn's convolutions and pools can free their input in the midst."""

from collections.abc import Mapping
from dataclasses import replace

from autosched.network.graph import Layer, Network
from autosched.schedule import Conv2dConfig, Edge, LayerConfig, Memory, PoolConfig, TensorLayout
from autosched.search.choice import Choice


class Buffers:
    """Which layers' outputs share a buffer: one that runs nothing hands its input on."""

    def __init__(self, network: Network) -> None:
        self._position = {layer.name: index for index, layer in enumerate(network)}
        self._last_uses = network.last_uses
        self._sharing: dict[str, list[str]] = {}

    def add(self, layer: Layer, choice: Choice, reshards: Mapping[Edge, TensorLayout]) -> None:
        """Note the next layer in execution order."""
        names = [layer.name]
        if layer.inputs and not choice.ops and Edge(layer.inputs[0], layer.name) not in reshards:
            names = self._sharing[layer.inputs[0]]
            names.append(layer.name)
        self._sharing[layer.name] = names

    def is_last_reader(self, layer: Layer) -> bool:
        """Whether nothing reads the buffer of a layer's first input after it."""
        return all(
            self._position[self._last_uses.get(name, name)] <= self._position[layer.name]
            for name in self._sharing[layer.inputs[0]]
        )


def with_liveness(
    layer: Layer, choice: Choice, reshards: Mapping[Edge, TensorLayout], buffers: Buffers
) -> LayerConfig:
    """Let the layer free its input early where nobody else reads it."""
    config = choice.config
    if not isinstance(config, Conv2dConfig | PoolConfig):
        return config
    frees = Edge(layer.inputs[0], layer.name) in reshards or (
        choice.input_layouts[0].memory is Memory.L1 and buffers.is_last_reader(layer)
    )
    if isinstance(config, Conv2dConfig):
        return replace(config, deallocate_activation=frees)
    return replace(config, deallocate_input=frees)
