"""What bringing a tensor from one layout into another takes, for each edge that may need it."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from autosched.device.interface import ReshardRequest, TensorShape
from autosched.network.graph import Layer, Network
from autosched.probing.candidates import Tables
from autosched.probing.probe_book import (
    LayerProgress,
    ProbeBook,
    Probed,
    reshard_signature,
)
from autosched.schedule.outcomes import INCONCLUSIVE, Rejection, RejectionKind, TimeKind
from autosched.schedule.tensors import Edge, Memory, ShardLayout, TensorLayout

LayoutChange = tuple[TensorLayout, TensorLayout]
"""From one layout into another."""
_Place = TypeVar("_Place", str, Edge)
_Answered = tuple[LayoutChange, Probed | Rejection]
_FILLED_ROWS = Rejection(RejectionKind.ACCURACY, "rows filled up with channels are moved wrong")


@dataclass(frozen=True)
class ReshardTable:
    """Times in microseconds by (source, target) for one tensor; other pairs cannot be chosen.

    ``impossible`` has the pairs that the device was asked for and does not do; nothing is known of
    those that are in neither. ``measured`` has the pairs whose time is not estimated.
    """

    times_us: Mapping[LayoutChange, float]
    impossible: frozenset[LayoutChange] = frozenset()
    measured: frozenset[LayoutChange] = frozenset()

    def kind(self, pair: LayoutChange) -> TimeKind:
        """Return where the time of a possible pair is from."""
        return TimeKind.MEASURED if pair in self.measured else TimeKind.ESTIMATED

    def joined(self, other: "ReshardTable") -> "ReshardTable":
        """Return the pairs of both."""
        return ReshardTable(
            {**self.times_us, **other.times_us},
            self.impossible | other.impossible,
            self.measured | other.measured,
        )


Reshards = tuple[Mapping[Edge, ReshardTable], Mapping[str, ReshardTable]]
"""What was probed between layers: reshards by edge, and spills by the tensor's layer."""


def probe_reshards(
    network: Network,
    tables: Tables,
    book: ProbeBook,
    progress: LayerProgress,
    known: Reshards = ({}, {}),
    changed: Container[str] = frozenset(),
    *,
    converts: bool = True,
) -> Reshards:
    """Probe every reshard that a joint choice may need.

    Returns the times by edge, from each layout the producer can leave (and DRAM, where a spilled
    tensor waits) to each the consumer can take; and for every tensor that has to wait for a
    consumer, the times of its spill to DRAM. What is ``known`` is taken over where the tables of
    its layers are not among the ``changed``. Without ``converts``, no tensor is brought into a
    format that its producer can leave itself.
    """
    edges = [
        edge
        for edge in network.edges
        if edge not in known[0] or edge.producer in changed or edge.consumer in changed
    ]

    def arrived(edge: Edge, done: int) -> None:
        progress(network.by_name[edge.consumer], done, len(edges))

    for edge in edges[:1]:
        arrived(edge, 0)
    to_dram = {
        name: (network.by_name[name], _spilling(tables, name))
        for name in _waiting(network)
        if name not in known[1] or name in changed
    }
    spills = {**known[1], **probe_pairs(to_dram, book)}
    between = {
        edge: (network.by_name[edge.producer], _between(tables, spills, edge, converts=converts))
        for edge in edges
    }
    return {**known[0], **probe_pairs(between, book, arrived)}, spills


def _waiting(network: Network) -> list[str]:
    """Return the layers whose output is not read by the next layer alone."""
    position = {layer.name: index for index, layer in enumerate(network)}
    late = {e.producer for e in network.edges if position[e.consumer] > position[e.producer] + 1}
    return [layer.name for layer in network if layer.name in late]


def _spilling(tables: Tables, name: str) -> list[LayoutChange]:
    left = distinct(choice.output_layout for choice in tables[name])
    return [(layout, in_dram(layout)) for layout in left if layout.memory is Memory.L1]


def _moves_right(shape: tuple[int, ...], pair: LayoutChange) -> bool:
    """Whether neither layout fills rows up with channels, which ttnn then moves wrong."""
    return len(shape) != 4 or not any(
        layout.sharding is ShardLayout.HEIGHT and layout.fills_rows(shape[1]) for layout in pair
    )


def _between(
    tables: Tables, spills: Mapping[str, ReshardTable], edge: Edge, *, converts: bool
) -> list[LayoutChange]:
    left = [choice.output_layout for choice in tables[edge.producer]]
    if edge.producer in spills:
        left += [target for _, target in spills[edge.producer].times_us]
    wanted = distinct(choice.input_layouts[edge.index] for choice in tables[edge.consumer])
    formats = set() if converts else {layout.dtype for layout in left}
    return [
        (source, target)
        for source in distinct(left)
        for target in wanted
        if source != target and (source.dtype is target.dtype or target.dtype not in formats)
    ]


def probe_pairs(
    asked: Mapping[_Place, tuple[Layer, Iterable[LayoutChange]]],
    book: ProbeBook,
    arrived: Callable[[_Place, int], object] = lambda _place, _done: None,
) -> dict[_Place, ReshardTable]:
    """Probe pairs of layouts of layers' outputs, all together; those known to go wrong are none.

    ``arrived`` is called with the place of each answer, and how far among the places that is.
    """
    places = [
        (place, layer, pair)
        for place, (layer, pairs) in asked.items()
        for pair in pairs
        if _moves_right(layer.shape, pair)
    ]
    numbers: dict[tuple[TensorShape, LayoutChange], int] = {}
    for number, (_, layer, pair) in enumerate(places):
        numbers.setdefault((layer.shape, pair), number)
    firsts = list(numbers.values())
    furthest = 0

    def count(index: int) -> None:
        nonlocal furthest
        furthest = max(furthest, firsts[index])
        arrived(places[firsts[index]][0], furthest * len(asked) // len(places))

    asks = [
        (reshard_signature(shape), ReshardRequest(shape, source, target))
        for shape, (source, target) in numbers
    ]
    answers = dict(zip(numbers, book.ask_all(asks, arrived=count), strict=True))
    answered: dict[_Place, list[_Answered]] = {
        place: [(pair, _FILLED_ROWS) for pair in pairs if not _moves_right(layer.shape, pair)]
        for place, (layer, pairs) in asked.items()
    }
    for place, layer, pair in places:
        answered[place].append((pair, answers[layer.shape, pair]))
    return {place: _table(answers) for place, answers in answered.items()}


def _table(answers: Iterable[_Answered]) -> ReshardTable:
    times_us: dict[LayoutChange, float] = {}
    impossible, measured = set(), set()
    for pair, answer in answers:
        if isinstance(answer, Rejection) and answer.kind in INCONCLUSIVE:
            continue  # nothing is known of it
        # ttnn may leave the tensor elsewhere than asked; such a reshard helps nobody.
        if isinstance(answer, Rejection) or answer.outcome.output_layout != pair[1]:
            impossible.add(pair)
            continue
        times_us[pair] = answer.time_us
        if answer.kind is TimeKind.MEASURED:
            measured.add(pair)
    return ReshardTable(times_us, frozenset(impossible), frozenset(measured))


def reshard_shapes(network: Network) -> set[tuple[int, ...]]:
    """Return the shapes of all tensors that some layer reads."""
    return {network.by_name[edge.producer].shape for edge in network.edges}


def in_dram(layout: TensorLayout) -> TensorLayout:
    """Return the interleaved layout in DRAM of the same format and pages."""
    return TensorLayout(Memory.DRAM, dtype=layout.dtype, page=layout.page)


def distinct(layouts: Iterable[TensorLayout]) -> list[TensorLayout]:
    """Return the layouts, each once, in order."""
    return list(dict.fromkeys(layouts))
