"""Where the layers of a network are drawn: one below the other, each tensor down a lane."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosched.network.graph import Network
from autosched.report import words
from autosched.report.layer_rows import LayerRow, ReshardRow, place
from autosched.report.page.memory import output_layouts
from autosched.schedule.tensors import Edge, Memory, ShardLayout, TensorLayout
from autosched.store.trials import TrialRecord

ROW_PX, LANE_PX, EDGE_PX = 26, 14, 12
"""Pixels of a row and a lane of the graph, and left of the first lane."""

LIES = {
    "height": "height shards",
    "width": "width shards",
    "block": "block shards",
    "l1": "L1 interleaved",
    "dram": "DRAM",
}
"""What the colours of the graph mean, by :func:`layout_class`."""

DRAWN = "schedule"
"""Of the changes of layout these are on edges of the network."""

_MADE_BY = {
    DRAWN: "on edges of the network",
    "move": "of tensors that wait",
    "ttnn": "by ttnn itself, inside a layer",
}


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


def layout_class(layout: TensorLayout | None) -> str:
    """Return how a layer's output lies, as the style sheet names it."""
    if layout is None:
        return "unknown"
    if layout.memory is Memory.DRAM:
        return "dram"
    return layout.sharding.value if layout.sharding is not ShardLayout.INTERLEAVED else "l1"


def graph(
    network: Network,
    order: Sequence[str],
    trial: TrialRecord | None,
    rows: Mapping[str, LayerRow],
    reshards: Iterable[ReshardRow],
) -> dict[str, Any]:
    """Return the network, a layer a row, with edges that reshard apart."""
    drawing = drawn(network, order)
    left: Mapping[str, TensorLayout] = {}
    if trial is not None and trial.schedule is not None:
        left = output_layouts(network, trial.schedule, trial.ops)
    reshards = list(reshards)
    drawn_rows = [row for row in reshards if row.by == DRAWN]
    changed = {(row.producer, row.consumer): row for row in drawn_rows}
    nodes = []
    for node in drawing.nodes:
        layout, row = left.get(node.layer), rows.get(node.layer)
        x, y = _centre(node)
        lies = "" if layout is None else place(layout)
        cores = f" {layout.cores}" if layout is not None and layout.is_sharded else ""
        time = "" if row is None else f"{words.microseconds(row.time_us)} {words.MICRO}"
        nodes.append(
            {
                "layer": node.layer,
                "op": type(network.by_name[node.layer].op).__name__,
                "x": x,
                "y": y,
                "kind": layout_class(layout) if trial is not None else "unknown",
                "lies": f"{lies}{cores}",
                "time": time,
                "tip": ", ".join(
                    part
                    for part in (
                        node.layer,
                        row.configuration if row else "",
                        f"output {lies}{cores}" if lies else "",
                        time,
                        f"limited by {row.limited_by}" if row and row.limited_by else "",
                    )
                    if part
                ),
            }
        )
    lines = []
    for line in drawing.lines:
        change = changed.get((line.edge.producer, line.edge.consumer))
        lines.append(
            {
                "path": _path(line),
                "points": _points(line),
                "reshard": change is not None,
                "tip": ""
                if change is None
                else f"{line.edge}: {change.change}, {words.microseconds(change.time_us)} "
                f"{words.MICRO}",
            }
        )
    lines.sort(key=lambda line: bool(line["reshard"]))
    return {
        "nodes": nodes,
        "lines": lines,
        "width": 2 * EDGE_PX + LANE_PX * (drawing.lanes - 1),
        "height": ROW_PX * len(nodes),
        "row": ROW_PX,
        "reshards": words.count(len(drawn_rows), "edge"),
        "reshards_us": words.microseconds(sum(row.time_us or 0.0 for row in drawn_rows)),
        "not_drawn": changes(row for row in reshards if row.by != DRAWN),
    }


def changes(reshards: Iterable[ReshardRow]) -> str:
    """Return "10 on edges of the network, 1 by ttnn itself, inside a layer"."""
    counts = Counter(row.by for row in reshards)
    return ", ".join(f"{counts[by]:,} {said}" for by, said in _MADE_BY.items() if counts[by])


def _centre(node: LaneNode) -> tuple[float, float]:
    return EDGE_PX + LANE_PX * node.lane, ROW_PX * (node.row + 0.5)


def _path(line: LaneLine) -> str:
    """Return a line down the producer's lane that bends over to the consumer in its last row."""
    (x0, y0), (x1, y1) = _centre(line.start), _centre(line.end)
    if x0 == x1:
        return f"M{x0} {y0}V{y1}"
    bend, middle = y1 - ROW_PX, y1 - ROW_PX / 2
    # A tensor whose lane others have taken leaves it at once.
    return f"M{x0} {y0}V{bend}C{x0} {middle} {x1} {middle} {x1} {y1}"


def _points(line: LaneLine) -> list[tuple[float, float]]:
    """Return the same line with a straight piece for the bend."""
    (x0, y0), (x1, y1) = _centre(line.start), _centre(line.end)
    return [(x0, y0), (x0, max(y0, y1 - ROW_PX)), (x1, y1)]
