"""The time of a transfer between device and host: an estimate from the link's rate alone.

No profile that calibrates the model shows a transfer, so nothing here is fitted. A lane of PCI
Express carries 8, 16 or 32 GT/s in generations 3, 4 and 5, 128 of 130 bits being data (PCI-SIG's
base specifications); 80 % of that is taken for payload, and 20 µs for a transfer's start, which is
what a driver call, a doorbell and a wait cost by order of magnitude. What the host does with the
data (to and from tiles, and the operator itself) is not in it. The standard error says so.
"""

import re

from autosched.cost.coefficients import FamilyFit
from autosched.cost.records import TransferOp
from autosched.cost.tensors import first, tensor_bytes
from autosched.cost.work import Work
from autosched.schedule import DeviceOp

FAMILY = "host_transfer"

_GIGATRANSFERS = {3: 8.0, 4: 16.0, 5: 32.0}
_ENCODING = 128 / 130
_PAYLOAD = 0.8
_START_NS = 20_000.0
_ERROR = 1.0  # of log time: a factor of e either way
_LINK = re.compile(r"PCIe (\d)\.0 x(\d+)")


def link_bytes_per_ns(generation: int, lanes: int) -> float:
    """Return what a PCI Express link carries in each direction, encoding taken off."""
    return _GIGATRANSFERS[generation] * lanes * _ENCODING / 8


def read_transfer(op: DeviceOp) -> TransferOp:
    """Return the features of a transfer that names its link, "PCIe 4.0 x16", as its attributes."""
    found = _LINK.search(op.attributes)
    generation, lanes = (4, 16) if found is None else map(int, found.groups())
    size = tensor_bytes(first(op.inputs or op.outputs))
    return TransferOp(size, link_bytes_per_ns(generation, lanes))


def transfer_work(op: TransferOp) -> Work:
    """Return the work of a transfer, in nanoseconds at the link's own rate."""
    return Work(FAMILY, {"start": 1.0, "link_ns": op.total_bytes / op.bytes_per_ns})


def transfer_fit(clock_ghz: float) -> FamilyFit:
    """Return the coefficients of transfers, which no calibration changes."""
    values = {"start": _START_NS * clock_ghz, "link_ns": clock_ghz / _PAYLOAD}
    return FamilyFit(values, _ERROR)
