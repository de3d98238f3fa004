"""Where the layers of a network are drawn: one below the other, each tensor down a lane."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autosched.network.graph import Network
from autosched.schedule.tensors import Edge


@dataclass(frozen=True)
class LaneNode:
    """A layer in its row and lane."""

    layer: str
    row: int
    lane: int


@dataclass(frozen=True)
class LaneLine:
    """A tensor on its way: down the lane of ``start``, then over to ``end``."""

    edge: Edge
    start: LaneNode
    end: LaneNode


@dataclass(frozen=True)
class Drawing:
    """All rows and lines, and how many lanes there are."""

    nodes: tuple[LaneNode, ...]
    lines: tuple[LaneLine, ...]
    lanes: int


def drawn(network: Network, order: Sequence[str]) -> Drawing:
    """Return the rows of a network in an execution order.

    A tensor keeps its lane until its last reader, which takes the lane over; so no two tensors are
    drawn over each other.
    """
    row = {name: number for number, name in enumerate(order)}
    readers: dict[str, list[str]] = {}
    for edge in network.edges:
        readers.setdefault(edge.producer, []).append(edge.consumer)
    last = {name: max(reading, key=row.__getitem__) for name, reading in readers.items()}
    taken: dict[int, str] = {}
    nodes: dict[str, LaneNode] = {}
    for name in order:
        left = {lane for lane, tensor in taken.items() if last.get(tensor) == name}
        lane = min(left, default=_free(taken))
        nodes[name] = LaneNode(name, row[name], lane)
        for gone in left:
            del taken[gone]
        if name in last:
            taken[lane] = name
    lines = tuple(
        LaneLine(edge, nodes[edge.producer], nodes[edge.consumer]) for edge in network.edges
    )
    return Drawing(
        tuple(nodes.values()), lines, 1 + max((n.lane for n in nodes.values()), default=0)
    )


def _free(taken: Mapping[int, str] | Iterable[int]) -> int:
    lane = 0
    used = set(taken)
    while lane in used:
        lane += 1
    return lane
