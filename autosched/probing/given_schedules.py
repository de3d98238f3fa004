"""What a schedule known beforehand chose, as candidates of the joint search."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from autosched.network.graph import Layer, Network, in_execution_order
from autosched.probing.candidates import Choice
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, Memory, PageLayout, TensorLayout
from autosched.space.layers import Option

UPLOADED = TensorLayout(page=PageLayout.ROW_MAJOR)
"""How a network's inputs come from the host."""


def known_choices(
    network: Network, schedule: Schedule, ask: Callable[[Layer, Option], Sequence[Choice]]
) -> Iterator[tuple[str, Choice]]:
    """Yield what a schedule chose for each layer, asked in the layouts that it has there.

    What the device rejects alone is left out, and so is what would read its output: nobody knows
    in which layout.

    Raises:
        ScheduleError: if the schedule runs a layer before one whose output it reads.
    """
    waiting: dict[str, TensorLayout] = {}
    for layer in in_execution_order(network, schedule):
        inputs = _input_layouts(layer, schedule, waiting)
        if inputs is not None:
            for choice in ask(layer, Option(_freeing(schedule.layers[layer.name], inputs), inputs)):
                waiting[layer.name] = choice.output_layout
                yield layer.name, choice
        for edge, target in schedule.moves.items():
            if edge.consumer == layer.name:
                waiting[edge.producer] = target


def _input_layouts(
    layer: Layer, schedule: Schedule, waiting: dict[str, TensorLayout]
) -> tuple[TensorLayout, ...] | None:
    found = []
    for index, producer in enumerate(layer.inputs):
        edge = Edge(producer, layer.name, index)
        if edge not in schedule.reshards and producer not in waiting:
            return None
        found.append(schedule.reshards.get(edge) or waiting[producer])
    return tuple(found) or (UPLOADED,)


def _freeing(config: LayerConfig, inputs: tuple[TensorLayout, ...]) -> LayerConfig:
    """Free the input where that makes room, as every probe does."""
    frees = inputs[0].memory is Memory.L1
    if isinstance(config, Conv2dConfig):
        return replace(config, deallocate_activation=frees)
    if isinstance(config, PoolConfig):
        return replace(config, deallocate_input=frees)
    return config
