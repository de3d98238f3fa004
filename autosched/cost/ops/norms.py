"""Ops that reduce rows or columns and spread the result: softmax, sums and normalisations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autosched.cost.ops.movement import (
    MovementOp,
    movement_formula,
    movement_priors,
    movement_reader,
    read_movement,
)
from autosched.cost.ops.traffic import first
from autosched.cost.ops.work import (
    OpFamily,
    Prior,
    Quantities,
    Resource,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TILE


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


def read_softmax(op: DeviceOp) -> SoftmaxOp:
    """Read a softmax, and whether a mask leaves out the end of its rows."""
    one = read_movement(op, SoftmaxOp)
    return replace(one, masked=first(op.inputs).shape[-1] % TILE != 0)


def _mask(op: SoftmaxOp) -> Quantities:
    return {"mask": float(op.masked)}


_PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "softmax": {**movement_priors(800.0), "mask": Prior(10000.0, Resource.READER)},
    "reduce": movement_priors(300.0),
    "norm": movement_priors(1500.0),
    "group_norm": movement_priors(6000.0),
}

FAMILY = OpFamily(
    readers={
        "softmax": read_softmax,
        "reduce": movement_reader(ReduceOp),
        "layernorm": movement_reader(NormOp),
        "batchnorm": movement_reader(NormOp),
        "groupnorm": movement_reader(GroupNormOp),
    },
    formulas={
        SoftmaxOp: movement_formula("softmax", pieces=_mask),
        ReduceOp: movement_formula("reduce"),
        NormOp: movement_formula("norm"),
        GroupNormOp: movement_formula("group_norm"),
    },
    priors=_PRIORS,
)
