"""In which layouts a schedule's layers read their inputs, and what it brings into another one."""

from collections.abc import Mapping
from dataclasses import dataclass

from autosched.network.graph import Layer, Network, in_execution_order
from autosched.network.operators import DeviceInput, LayerOp
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, PageLayout, TensorLayout, move_label

UPLOADED = TensorLayout(page=PageLayout.ROW_MAJOR)
"""How a network's inputs come from the host, but those that wait where their readers want them."""


def uploaded(op: LayerOp, config: LayerConfig) -> TensorLayout:
    """Return the layout in which an input comes from the host, by its configuration."""
    if isinstance(op, DeviceInput) and isinstance(config, FixedConfig):
        return config.output
    return UPLOADED


@dataclass(frozen=True)
class LayoutStep:
    """A tensor, the output of ``producer``, that a reshard or move brings into another layout.

    ``label`` is what its device ops carry as their layer.
    """

    label: str
    producer: Layer
    source: TensorLayout
    target: TensorLayout


@dataclass(frozen=True)
class ReadLayouts:
    """The layouts in which layers read, by layer, and every change of layout in between."""

    inputs: Mapping[str, tuple[TensorLayout, ...]]
    changes: tuple[LayoutStep, ...]


def read_layouts(
    network: Network, schedule: Schedule, left: Mapping[str, TensorLayout]
) -> ReadLayouts:
    """Follow a schedule whose layers leave their outputs in the layouts ``left``.

    A tensor that is packed where it lies changes no layout.

    Raises:
        ScheduleError: if the schedule runs a layer before one whose output it reads.
    """
    inputs: dict[str, tuple[TensorLayout, ...]] = {}
    changes: list[LayoutStep] = []
    waiting: dict[str, TensorLayout] = {}

    def brought(label: str, producer: str, target: TensorLayout | None) -> TensorLayout:
        source = waiting[producer]
        if target is None or target == source:
            return source
        changes.append(LayoutStep(label, network.by_name[producer], source, target))
        return target

    for layer in in_execution_order(network, schedule):
        edges = [Edge(name, layer.name, index) for index, name in enumerate(layer.inputs)]
        inputs[layer.name] = tuple(
            brought(str(edge), edge.producer, schedule.reshards.get(edge)) for edge in edges
        )
        waiting[layer.name] = left[layer.name]
        for edge, target in schedule.moves.items():
            if edge.consumer == layer.name:
                waiting[edge.producer] = brought(move_label(edge), edge.producer, target)
    return ReadLayouts(inputs, tuple(changes))
