"""Makes room where L1 is fragmented: a schedule that fits by its bytes may still not fit in place.

The solver counts bytes; tt-metal's allocator needs them in one piece. When the device runs out of
L1 in the middle of a network, the tensors that are live there are moved together (``ttnn.move``
packs a tensor to the free end of L1), and a convolution's halo output is moved to where its input
was. Both cost a device op, which the trial's time includes.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from autosched.errors import ScheduleError
from autosched.network.graph import Network
from autosched.schedule import (
    Conv2dConfig,
    DeviceOp,
    Edge,
    Memory,
    PoolConfig,
    Rejection,
    RejectionKind,
    Schedule,
    labelled_edge,
    move_label,
)
from autosched.search.joint import JointProblem

MEMORY_KINDS = (
    RejectionKind.L1_OVERFLOW,
    RejectionKind.CIRCULAR_BUFFER_CLASH,
)


def failing_layer(network: Network, rejection: Rejection) -> str | None:
    """Return the layer in whose step a run was rejected, reshards and moves included."""
    if rejection.layer in network.by_name:
        return rejection.layer
    try:
        name = labelled_edge(rejection.layer).consumer
    except ScheduleError:
        return None
    return name if name in network.by_name else None


def repaired(joint: JointProblem, schedule: Schedule, rejection: Rejection) -> Schedule | None:
    """Return ``schedule`` with more room at the step that was rejected, or None.

    None means that everything that can be moved is moved there already, or that memory was not
    the reason.
    """
    name = failing_layer(joint.network, rejection)
    if name is None or rejection.kind not in MEMORY_KINDS:
        return None
    packed = _with_packed_tensors(joint, schedule, name)
    return packed or _with_moved_halo(schedule, name)


def packings_us(schedule: Schedule, ops: Sequence[DeviceOp]) -> dict[Edge, float]:
    """Return the microseconds that each packing of a schedule took, the longest first.

    It is 0 for a tensor that lay at the free end of L1 already: the device runs no op then.
    """
    took = {
        edge: sum(op.time_ns or 0.0 for op in ops if op.layer == move_label(edge)) / 1e3
        for edge, target in schedule.moves.items()
        if target.memory is Memory.L1
    }
    return dict(sorted(took.items(), key=lambda item: -item[1]))


def without_moves(schedule: Schedule, edges: Collection[Edge]) -> Schedule:
    """Return a schedule that leaves some tensors where they are."""
    moves = {edge: target for edge, target in schedule.moves.items() if edge not in edges}
    return replace(schedule, moves=moves)


def _with_packed_tensors(joint: JointProblem, schedule: Schedule, name: str) -> Schedule | None:
    """Pack every tensor that is live when layer ``name`` starts."""
    names = [layer.name for layer in joint.network]
    step = names.index(name)
    if step == 0:
        return None
    before = names[step - 1]
    moves = dict(schedule.moves)
    waiting = joint.waiting_layouts(schedule, before)
    for producer in names[:step]:
        layout = waiting[producer]
        is_live = names.index(joint.network.last_uses.get(producer, producer)) >= step
        edge = Edge(producer, before)
        if is_live and layout.memory is Memory.L1 and edge not in moves:
            moves[edge] = layout
    return replace(schedule, moves=moves) if moves != schedule.moves else None


def _with_moved_halo(schedule: Schedule, name: str) -> Schedule | None:
    config = schedule.layers[name]
    if not isinstance(config, Conv2dConfig | PoolConfig) or config.reallocate_halo_output:
        return None
    layers = {**schedule.layers, name: replace(config, reallocate_halo_output=True)}
    return replace(schedule, layers=layers)
