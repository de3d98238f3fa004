"""Records of captured ops, and ops made up for one test."""

from typing import TypeVar

from autosched.cost.ops.families import read_features
from autosched.cost.ops.work import Record
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TensorInfo

Captures = dict[str, tuple[DeviceOp, ...]]
Kind = TypeVar("Kind", bound=Record)


def record_of(ops: tuple[DeviceOp, ...], kind: type[Kind]) -> Kind:
    """Return the record of the first op of a kind."""
    return next(found for op in ops if isinstance(found := read_features(op), kind))


def made_op(code: str, source: TensorInfo, target: TensorInfo, attributes: str = "") -> DeviceOp:
    """Return an op of one input and one output on four cores."""
    return DeviceOp(code, attributes, (source,), (target,), cores=4)
