"""Opening a device: which one there is, and the environment it needs."""

import os
from typing import TYPE_CHECKING

from autosched.boards import Board
from autosched.device.mock_setup import mock_environment, silicon_devices
from autosched.device.requests import TimingSettings
from autosched.errors import BoardError

if TYPE_CHECKING:
    from autosched.device.local import LocalDevice

DEVICE_KINDS = ("auto", "mock", "silicon")


def choose_device(wanted: str) -> str:
    """Return "mock" or "silicon" for what the user asked: "auto" takes a card if there is one.

    Raises:
        BoardError: for an unknown kind, or "silicon" on a machine without a card.
    """
    if wanted not in DEVICE_KINDS:
        raise BoardError(f"unknown device {wanted!r}; it is one of {', '.join(DEVICE_KINDS)}")
    cards = silicon_devices()
    if wanted == "silicon" and not cards:
        raise BoardError(
            "no Tenstorrent card on this machine (nothing in /dev/tenstorrent); "
            "use --device mock for estimated times"
        )
    return "silicon" if cards and wanted != "mock" else "mock"


def open_local_device(
    board: Board, kind: str = "mock", timing: TimingSettings | None = None
) -> "LocalDevice":
    """Open a device in this process.

    The mock device must be opened before anything else has opened a ttnn device here: tt-metal
    reads the environment once.

    Raises:
        BoardError: if the card that is there is another board.
        DeviceError: if the mock device's files cannot be written.
    """
    quiet = {"TT_METAL_LOGGER_LEVEL": "off", "LOGURU_LEVEL": "ERROR"}
    os.environ.update(mock_environment(board) if kind == "mock" else quiet)
    from autosched.device.local import LocalDevice  # noqa: PLC0415 - after the environment is set

    return LocalDevice(board, kind, timing or TimingSettings())
