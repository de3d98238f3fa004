from dataclasses import dataclass, replace

from autosched.cost.ops.families import Record
from autosched.cost.ops.movement import MovementOp, read_movement
from autosched.cost.ops.traffic import TILE, first
from autosched.schedule.outcomes import DeviceOp


def read_softmax(op: DeviceOp) -> Record:
    one = read_movement(op, SoftmaxOp)
    return replace(one, masked=first(op.inputs).shape[-1] % TILE != 0)


@dataclass(frozen=True)
class SoftmaxOp(MovementOp):
    """Softmax over rows; ``masked`` where rows end within a tile."""

    masked: bool = False


class ReduceOp(MovementOp):
    """Sum or mean over rows, columns or both."""


class NormOp(MovementOp):
    """Layer or batch normalisation."""


class GroupNormOp(MovementOp):
    """Group normalisation, which passes over its data several times for every group."""
