"""Opening a device: which one there is, and the environment it needs, also in a child process."""

import functools
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from autosched.boards import ETHERNET, WORKER, Board, find_board
from autosched.device.interface import TimingSettings
from autosched.device.mock.environment import KERNELS, mock_environment
from autosched.device.simulator.environment import (
    LIBRARY_VARIABLE,
    installed_toolchain,
    simulator_environment,
)
from autosched.errors import BoardError, DeviceError
from autosched.files import private_directory

if TYPE_CHECKING:
    from autosched.device.ttnn.local_device import LocalDevice


CACHE_VARIABLE = "AUTOSCHED_CACHE"
DEVICE_KINDS = ("auto", "mock", "silicon")
SIMULATOR = "simulator"
EMULATOR = "emulator"
"""No device: PyTorch on the host, rounding where and as a device does."""
_DRIVERS = Path("/sys/class/tenstorrent")
_BUNDLE = "tt_fw_bundle_ver"
_TOOL_LIMIT_S = 60
_EXIT_GRACE_S = 10.0
_QUIET = {"TT_METAL_LOGGER_LEVEL": "off", "LOGURU_LEVEL": "ERROR"}
_OF_A_SIMULATOR = (LIBRARY_VARIABLE, "TT_METAL_SLOW_DISPATCH_MODE", "TT_METAL_DISABLE_SFPLOADMACRO")


def choose_device(wanted: str) -> str:
    """Return "mock" or "silicon" for what the user asked: "auto" takes a card if there is one.

    Raises:
        BoardError: for an unknown kind, the simulator, which knows no time, or "silicon" on a
            machine without a card.
    """
    check_kind(wanted)
    cards = silicon_devices()
    if wanted == "silicon" and not cards:
        raise BoardError(
            "no Tenstorrent card on this machine (nothing in /dev/tenstorrent); "
            "use --device mock for estimated times"
        )
    return "silicon" if cards and wanted != "mock" else "mock"


def check_kind(wanted: str) -> None:
    """Refuse a kind of device that cannot be searched on.

    Raises:
        BoardError: if it is unknown, or the simulator or emulator, which know no time.
    """
    if wanted == SIMULATOR:
        raise BoardError(
            "the simulator executes kernels but knows no time, so that nothing can be searched or "
            "timed on it; search on the mock device or a card, then execute what was found with "
            "autosched verify, or a schedule's file with autosched check --device simulator"
        )
    if wanted == EMULATOR:
        raise BoardError(
            "the emulator computes numbers in PyTorch: nothing runs on it; it is for a schedule's "
            "file, with autosched check --device emulator"
        )
    if wanted not in DEVICE_KINDS:
        raise BoardError(f"unknown device {wanted!r}; it is one of {', '.join(DEVICE_KINDS)}")


def choose_executing_device(wanted: str) -> str:
    """Return "simulator" or "silicon", on which kernels execute; "auto": a card if there is one.

    Raises:
        BoardError: for another kind, or "silicon" on a machine without a card.
    """
    if wanted == "mock":
        raise BoardError(
            "the mock device executes no kernel; name --device simulator or --device silicon"
        )
    if wanted == SIMULATOR or (wanted == "auto" and not silicon_devices()):
        return SIMULATOR
    return choose_device(wanted)


def open_local_device(
    board: Board | str, kind: str = "mock", timing: TimingSettings | None = None
) -> "LocalDevice":
    """Open a device in this process; a board may be named, as in ``"n150"``.

    The mock device and the simulator must be opened before anything else has opened a ttnn device
    here: tt-metal reads the environment once, when ttnn is imported and its first device opened.
    Only then are its variables set; the process's environment is afterwards as it was.

    Raises:
        BoardError: if the board is unknown, or the card that is there is another one.
        DeviceError: if the mock device's files cannot be written, or the simulator lacks
            something.
    """
    board = find_board(board) if isinstance(board, str) else board
    if kind == "mock":
        board = _as_a_mock(board)
    variables, without = _variables(board, kind)
    with _environment({**variables, **home_for_ttnn()}, without):
        # What they import reads the environment.
        from autosched.device.ttnn.execution import ExecutingDevice  # noqa: PLC0415
        from autosched.device.ttnn.local_device import LocalDevice  # noqa: PLC0415

        make = LocalDevice if kind == "mock" else ExecutingDevice
        return make(board, kind, timing or TimingSettings())


def _as_a_mock(board: Board) -> Board:
    """Return what stands for a board on the mock device.

    ttnn 0.81.1 holds some programs of a mock device against the grid that worker dispatch leaves
    (https://github.com/tenstorrent/tt-mlir/issues/9235). A Wormhole with one more row of cores,
    which dispatches so, offers the same grid, L1 and DRAM as one that dispatches by Ethernet.
    """
    is_wormhole = board.arch == find_board("n300").arch
    return replace(board, dispatch=WORKER) if is_wormhole and board.dispatch == ETHERNET else board


def _variables(board: Board, kind: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the variables that a kind of device needs, and those that would mean another."""
    if kind == "mock":
        return mock_environment(board, mock_directory()), _OF_A_SIMULATOR
    if kind == SIMULATOR:
        return simulator_environment(board, mock_directory()), ()
    return _QUIET, (LIBRARY_VARIABLE, "TT_METAL_MOCK_CLUSTER_DESC_PATH")


@contextmanager
def _environment(variables: Mapping[str, str], without: Sequence[str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in (*variables, *without)}
    os.environ.update(variables)
    for name in without:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def cache_dir() -> Path:
    """Return the directory for files that can be made again (``AUTOSCHED_CACHE`` moves it).

    It is absolute: the worker process has a working directory of its own.
    """
    if explicit := os.environ.get(CACHE_VARIABLE):
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or _cache_of_user()
    return Path(base).absolute() / "autosched"


def _cache_of_user() -> Path:
    """Return where this user's caches are: services often run without HOME, or without a home."""
    for home in (os.environ.get("HOME", ""), _home_of_account()):
        if home and Path(home).is_dir():
            return Path(home) / ".cache"
    return Path(tempfile.gettempdir()) / f"autosched-{os.geteuid()}"


def _home_of_account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def home_for_ttnn() -> dict[str, str]:
    """Return the variable that ttnn needs where the user's environment lacks it.

    Without HOME, importing ttnn (0.81.1) ends the process.

    Raises:
        DeviceError: if a directory for it cannot be made.
    """
    if os.path.isdir(os.environ.get("HOME", "")):
        return {}
    return {"HOME": str(own_directory("home"))}


def worker_environment() -> dict[str, str]:
    """Return what of the environment is another one for the worker, in its own directory.

    Raises:
        DeviceError: if ttnn needs a home directory, and none can be made.
    """
    return {**_python_path(), **home_for_ttnn(), CACHE_VARIABLE: str(cache_dir())}


def _python_path() -> dict[str, str]:
    """Return PYTHONPATH as it is meant here: relative to our directory, not to the worker's."""
    if not (given := os.environ.get("PYTHONPATH", "")):
        return {}
    return {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, given.split(os.pathsep)))}


def end_process(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Kill a process and what it started, unless it ends by itself within ``grace_s``."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    # Also when it is gone: what it started may still be there.
    kill_group(child)
    # A process that hangs inside a driver does not even die of that.
    with suppress(subprocess.TimeoutExpired):
        child.wait(_EXIT_GRACE_S)


def kill_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill a process that leads a group, and all of the group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def own_directory(name: str) -> Path:
    """Return a directory of the cache that nobody else can write into.

    Raises:
        DeviceError: if it cannot be made, or belongs to another user.
    """
    path = cache_dir() / name
    try:
        return private_directory(path)
    except OSError as error:
        raise DeviceError(
            f"cannot make {path}: {error.strerror}; "
            "set AUTOSCHED_CACHE to a directory of your own with room in it"
        ) from None


def mock_directory() -> Path:
    """Return the directory for what ttnn needs without a card, one for each version of it."""
    return cache_dir() / f"ttnn-{ttnn_version()}"


def kernel_directories() -> list[Path]:
    """Return where kernels of the mock device lie: a directory for each ttnn version and board."""
    return sorted(cache_dir().glob(f"ttnn-*/{KERNELS}/*"))


def ttnn_version() -> str:
    """Return the installed ttnn's version without importing it."""
    return version("ttnn")


def kernel_compiler() -> str:
    """Return the version of the compiler that ttnn calls for kernels, "" where it has none yet."""
    with suppress(DeviceError):
        return installed_toolchain().version
    return ""


def card_firmware(drivers: Path = _DRIVERS) -> str:
    """Return the version of the firmware bundle of this machine's first card, "" if none says it.

    The kernel driver says it (tt-kmd), else the vendor's tt-smi.
    """
    for card in sorted(drivers.glob("tenstorrent!*")):
        with suppress(OSError):
            return (card / _BUNDLE).read_text(encoding="ascii", errors="replace").strip()
    return _firmware_by_tool() if silicon_devices() else ""


@functools.cache
def _firmware_by_tool() -> str:
    tool = shutil.which("tt-smi")
    if tool is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        done = subprocess.run(
            [tool, "-s"], capture_output=True, text=True, check=True, timeout=_TOOL_LIMIT_S
        )
        return str(json.loads(done.stdout)["device_info"][0]["firmwares"]["fw_bundle_version"])
    return ""


def firmware_of(kind: str, device: object = None) -> str:
    """Return the firmware of a card: as its device says, else of this machine's; "" of a mock."""
    if kind != "silicon":
        return ""
    said = getattr(device, "firmware", None)
    return card_firmware() if said is None else str(said)


def silicon_devices() -> list[Path]:
    """Return the device files of Tenstorrent cards on this machine, none on any other."""
    if not sys.platform.startswith("linux"):
        return []
    return sorted(Path("/dev/tenstorrent").glob("[0-9]*"))
