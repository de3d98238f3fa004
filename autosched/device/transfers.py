"""Transfers between host and device inside a network, as a capture and records show them.

They are no device ops: a host layer notes them in the capture as empty tracked functions whose
names say what was moved, so that they have their place among the ops of the run.
"""

import json

from autosched.boards import Board
from autosched.plain import from_plain, to_plain
from autosched.schedule import DeviceOp, TensorInfo

HOST_READ = "HostRead"
HOST_WRITE = "HostWrite"
TRANSFERS = (HOST_READ, HOST_WRITE)
"""Codes of ops that move a tensor to the host, and to the device."""

TRANSFER_PREFIX = "autosched-transfer:"


def transfer_name(code: str, moved: TensorInfo, board: Board) -> str:
    """Return the tracked function's name for a transfer over a board's link."""
    link = f"PCIe {board.pcie_generation}.0 x{board.pcie_lanes}"
    return TRANSFER_PREFIX + json.dumps({"code": code, "link": link, "moved": to_plain(moved)})


def read_transfer(name: str, layer: str) -> DeviceOp:
    """Return the transfer of a tracked function's name, as an op of ``layer``."""
    plain = json.loads(name.removeprefix(TRANSFER_PREFIX))
    moved = (from_plain(TensorInfo, plain["moved"]),)
    is_read = plain["code"] == HOST_READ
    return DeviceOp(
        code=plain["code"],
        attributes=plain["link"],
        inputs=moved if is_read else (),
        outputs=() if is_read else moved,
        layer=layer,
    )
