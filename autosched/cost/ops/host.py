"""The time of a transfer between device and host: an estimate from the link's rate alone.

No profile that calibrates the model shows a transfer, so nothing here is fitted. A lane of PCI
Express carries 8, 16 or 32 GT/s in generations 3, 4 and 5, 128 of 130 bits being data (PCI-SIG's
base specifications); 80 % of that is taken for payload, and 20 µs for a transfer's start, which is
what a driver call, a doorbell and a wait cost by order of magnitude. What the host does with the
data (to and from tiles, and the operator itself) is not in it. The standard error says so.
"""

import re
from dataclasses import dataclass

from autosched.cost.ops.attributes import plain_code
from autosched.cost.ops.traffic import first, tensor_bytes
from autosched.cost.ops.work import OpFamily, Record, Resource, Work
from autosched.schedule.outcomes import TRANSFERS, DeviceOp

HOST_TRANSFER = "host_transfer"
"""The family of transfers, whose coefficients no calibration finds."""

_GIGATRANSFERS = {3: 8.0, 4: 16.0, 5: 32.0}
_ENCODING = 128 / 130

_LINK = re.compile(r"PCIe (\d)\.0 x(\d+)")


def link_bytes_per_ns(generation: int, lanes: int) -> float:
    """Return what a PCI Express link carries in each direction, encoding taken off."""
    return _GIGATRANSFERS[generation] * lanes * _ENCODING / 8


@dataclass(frozen=True)
class TransferOp(Record):
    """A tensor on its way between device and host, over a link of ``bytes_per_ns``."""

    total_bytes: int
    bytes_per_ns: float


def read_host_transfer(op: DeviceOp) -> TransferOp:
    """Return the features of a transfer that names its link, "PCIe 4.0 x16", as its attributes."""
    found = _LINK.search(op.attributes)
    generation, lanes = (4, 16) if found is None else map(int, found.groups())
    size = tensor_bytes(first(op.inputs or op.outputs))
    return TransferOp(size, link_bytes_per_ns(generation, lanes))


def transfer_work(op: TransferOp) -> Work:
    """Return the work of a transfer, in nanoseconds at the link's own rate."""
    return Work(HOST_TRANSFER, {"start": 1.0, "link_ns": op.total_bytes / op.bytes_per_ns})


TRANSFER_RESOURCES = {"start": Resource.LAUNCH, "link_ns": Resource.HOST}
"""What the coefficients of transfers are spent on; they have no priors."""

FAMILY = OpFamily(
    readers={plain_code(code): read_host_transfer for code in TRANSFERS},
    formulas={TransferOp: transfer_work},
    priors={},
)
