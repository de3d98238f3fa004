"""Opening a device: which one there is, and the environment it needs."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from autosched.boards import Board
from autosched.device.interface import TimingSettings
from autosched.device.mock.environment import mock_environment
from autosched.errors import BoardError

if TYPE_CHECKING:
    from autosched.device.ttnn.local_device import LocalDevice


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
    reads the environment once, when ttnn is imported and its first device opened. Only then are
    its variables set; the process's environment is afterwards as it was.

    Raises:
        BoardError: if the card that is there is another board.
        DeviceError: if the mock device's files cannot be written.
    """
    quiet = {"TT_METAL_LOGGER_LEVEL": "off", "LOGURU_LEVEL": "ERROR"}
    with _environment(mock_environment(board, mock_directory()) if kind == "mock" else quiet):
        # What it imports reads the environment.
        from autosched.device.ttnn.local_device import LocalDevice  # noqa: PLC0415

        return LocalDevice(board, kind, timing or TimingSettings())


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def cache_dir() -> Path:
    """Return the directory for files that can be made again (``AUTOSCHED_CACHE`` moves it)."""
    if explicit := os.environ.get("AUTOSCHED_CACHE"):
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "autosched"


def mock_directory() -> Path:
    """Return the directory for the mock device's files, one for each ttnn version."""
    return cache_dir() / f"ttnn-{ttnn_version()}"


def ttnn_version() -> str:
    """Return the installed ttnn's version without importing it."""
    return version("ttnn")


def silicon_devices() -> list[Path]:
    """Return the device files of Tenstorrent cards on this machine, none on any other."""
    if not sys.platform.startswith("linux"):
        return []
    return sorted(Path("/dev/tenstorrent").glob("[0-9]*"))
