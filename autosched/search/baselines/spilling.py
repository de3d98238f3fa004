"""Which tensors a schedule by rule sends to DRAM when a step does not fit in L1."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autosched.network.graph import Network
from autosched.schedule import Edge, Memory, TensorLayout
from autosched.search.evaluate import Assignment, evaluate
from autosched.search.joint import JointProblem


@dataclass(frozen=True)
class Overflow:
    """The first step that needs more L1 than there is, by how many bytes per core."""

    layer: str
    bytes: int


def overflow(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge]
) -> Overflow | None:
    """Return the first step of a joint choice that does not fit, or None."""
    peaks = _walked(joint, candidates, spills).peak_bytes
    for layer, peak in zip(joint.network, peaks, strict=True):
        if peak > joint.board.l1_bank_bytes:
            return Overflow(layer.name, peak - joint.board.l1_bank_bytes)
    return None


def farthest(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge], step: str
) -> Edge | None:
    """Return the spill of the tensor that waits in L1 at ``step`` and is used last of all.

    The tensor leaves as late as it can: right after the last layer before ``step`` that made or
    read it. None if nothing waits that could leave.
    """
    position = {layer.name: index for index, layer in enumerate(joint.network)}
    waiting = _waiting_in_l1(joint, candidates, spills, step)
    ranked = sorted(waiting, key=lambda edge: -_next_use(joint.network, edge, position, step))
    return next(iter(ranked), None)


def _waiting_in_l1(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge], step: str
) -> Iterator[Edge]:
    """Yield the possible spill of each tensor that is live at ``step`` and not part of it."""
    position = {layer.name: index for index, layer in enumerate(joint.network)}
    now = position[step]
    for name in joint.spills:
        readers = [edge.consumer for edge in joint.network.edges if edge.producer == name]
        uses = [name, *sorted(readers, key=position.__getitem__)]
        is_live = position[name] < now < position[uses[-1]] and step not in uses
        is_spilled = any(edge.producer == name and position[edge.consumer] < now for edge in spills)
        layout = joint.tables[name][candidates[name]].output_layout
        if is_live and not is_spilled and _can_leave(joint, name, layout):
            yield Edge(name, max((use for use in uses if position[use] < now), key=position.get))  # type: ignore[arg-type]


def _can_leave(joint: JointProblem, name: str, layout: TensorLayout) -> bool:
    return any(source == layout for source, _ in joint.spills[name].times_us)


def _next_use(network: Network, spill: Edge, position: Mapping[str, int], step: str) -> int:
    return min(
        position[edge.consumer]
        for edge in network.edges
        if edge.producer == spill.producer and position[edge.consumer] > position[step]
    )


def _walked(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge]
) -> Assignment:
    number = {layer.name: index for index, layer in enumerate(joint.network)}
    place = {layout: index for index, layout in enumerate(joint.layouts)}
    moves = {}
    for edge in spills:
        layout = joint.tables[edge.producer][candidates[edge.producer]].output_layout
        if layout.memory is Memory.L1:
            target = next(t for s, t in joint.spills[edge.producer].times_us if s == layout)
            moves[number[edge.consumer], number[edge.producer]] = place[target]
    return evaluate(joint.problem, [candidates[layer.name] for layer in joint.network], moves)
