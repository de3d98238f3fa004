"""All device ops there are formulas for: from an op to its record, and from there to its work.

Releases name some ops differently (``Tilize`` and ``TilizeDeviceOperation``, ``UpSample`` and
``UpsampleOperation``, with or without namespaces); ``plain_code`` makes them one. A new op is a
file that declares its ``FAMILY`` (or a few lines of one), and its name in :data:`FAMILIES`.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from autosched.cost.ops import (
    conversions,
    convolutions,
    eltwise,
    halo,
    host,
    matmul,
    movement,
    norms,
    pooling,
)
from autosched.cost.ops.attributes import plain_code
from autosched.cost.ops.host import HOST_TRANSFER, TRANSFER_RESOURCES
from autosched.cost.ops.work import Prior, Record, Resource, Work
from autosched.schedule.outcomes import DeviceOp

FAMILIES = (
    convolutions.FAMILY,
    halo.FAMILY,
    matmul.FAMILY,
    movement.FAMILY,
    conversions.FAMILY,
    norms.FAMILY,
    eltwise.FAMILY,
    pooling.FAMILY,
    host.FAMILY,
)
"""What each file of device ops declares."""

READERS: Mapping[str, Callable[[DeviceOp], Record]] = {
    code: reader for family in FAMILIES for code, reader in family.readers.items()
}
"""How an op is read, by its plain code."""

PRIORS: Mapping[str, Mapping[str, Prior]] = {
    name: priors for family in FAMILIES for name, priors in family.priors.items()
}
"""Priors of all coefficients that calibration finds, by :attr:`Work.family`."""

RESOURCES: Mapping[str, Mapping[str, Resource]] = {
    HOST_TRANSFER: TRANSFER_RESOURCES,
    **{
        name: {one: prior.resource for one, prior in priors.items() if prior.resource is not None}
        for name, priors in PRIORS.items()
    },
}
"""What each coefficient's cycles are spent on, by :attr:`Work.family`; shares have no cycles."""

_FORMULAS: Mapping[type[Record], Callable[[Any], Work]] = {
    kind: formula for family in FAMILIES for kind, formula in family.formulas.items()
}

RECORDS: Mapping[str, type[Record]] = {kind.__name__: kind for kind in _FORMULAS}
"""Types of records by their names."""


@lru_cache(maxsize=65536)
def read_features(op: DeviceOp) -> Record:
    """Return the features of a device op; :class:`movement.GenericOp` for an unknown one."""
    return READERS.get(plain_code(op.code), movement.read_generic)(op)


def is_known(op: DeviceOp) -> bool:
    """Whether the op has formulas of its own."""
    return plain_code(op.code) in READERS


@lru_cache(maxsize=65536)
def work_of(record: Record) -> Work:
    """Return the work of a typed op.

    Raises:
        TypeError: if no family declares a formula for records of its type.
    """
    formula = _FORMULAS.get(type(record))
    if formula is None:
        raise TypeError(f"no formula for {type(record).__name__}")
    return formula(record)
