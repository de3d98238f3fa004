"""What bringing a tensor from one layout into another takes, for each edge that may need it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autosched.network.graph import Network
from autosched.probing.candidates import Tables
from autosched.probing.probe_book import ProbeBook, Progress
from autosched.schedule.outcomes import Rejection
from autosched.schedule.tensors import Edge, Memory, TensorLayout


@dataclass(frozen=True)
class ReshardTable:
    """Times in microseconds by (source, target) for one tensor; a missing pair is impossible."""

    times_us: Mapping[tuple[TensorLayout, TensorLayout], float]


def in_dram(layout: TensorLayout) -> TensorLayout:
    """Return the interleaved layout in DRAM of the same format and pages."""
    return TensorLayout(Memory.DRAM, dtype=layout.dtype, page=layout.page)


def probe_reshards(
    network: Network, tables: Tables, book: ProbeBook, progress: Progress
) -> tuple[dict[Edge, ReshardTable], dict[str, ReshardTable]]:
    """Probe every reshard that a joint choice may need.

    Returns the times by edge, from each layout the producer can leave (and DRAM, where a spilled
    tensor waits) to each the consumer can take; and for every tensor that has to wait for a
    consumer, the times of its spill to DRAM.
    """
    position = {layer.name: index for index, layer in enumerate(network)}
    spills: dict[str, ReshardTable] = {}
    reshards: dict[Edge, ReshardTable] = {}
    for layer in network:
        left = _distinct(choice.output_layout for choice in tables[layer.name])
        waits = any(
            position[edge.consumer] > position[layer.name] + 1
            for edge in network.edges
            if edge.producer == layer.name
        )
        if waits:
            in_l1 = [layout for layout in left if layout.memory is Memory.L1]
            pairs = [(layout, in_dram(layout)) for layout in in_l1]
            spills[layer.name] = _probe_pairs(layer.shape, pairs, book)
    for done, edge in enumerate(network.edges):
        consumer = network.by_name[edge.consumer]
        progress(consumer, done, len(network.edges))
        left = [choice.output_layout for choice in tables[edge.producer]]
        if edge.producer in spills:
            left += [target for _, target in spills[edge.producer].times_us]
        wanted = _distinct(choice.input_layouts[edge.index] for choice in tables[edge.consumer])
        pairs = [
            (source, target) for source in _distinct(left) for target in wanted if source != target
        ]
        reshards[edge] = _probe_pairs(network.by_name[edge.producer].shape, pairs, book)
    return reshards, spills


def reshard_shapes(network: Network) -> set[tuple[int, ...]]:
    """Return the shapes of all tensors that some layer reads."""
    return {network.by_name[edge.producer].shape for edge in network.edges}


def _probe_pairs(
    shape: tuple[int, ...], pairs: Iterable[tuple[TensorLayout, TensorLayout]], book: ProbeBook
) -> ReshardTable:
    times_us = {}
    for source, target in pairs:
        answer = book.reshard(shape, source, target)
        # ttnn may leave the tensor elsewhere than asked; such a reshard helps nobody.
        if not isinstance(answer, Rejection) and answer.outcome.output_layout == target:
            times_us[source, target] = answer.time_us
    return ReshardTable(times_us)


def _distinct(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    return list(dict.fromkeys(layouts))
