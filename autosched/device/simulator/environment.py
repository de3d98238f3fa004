"""Files and environment variables that make ttnn open ttsim, the functional simulator.

ttsim (github.com/tenstorrent/ttsim) is one shared library for each architecture, which tt-metal
loads in place of its driver. ttnn's own kernels are then compiled and executed, bit for bit as a
card does it; its clock means nothing. tt-metal wants the description of the chip beside the
library, that of the board, and SFPI's compiler for the kernels.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from autosched.boards import BOARDS, Board
from autosched.device.mock.environment import write_descriptor
from autosched.errors import BoardError, DeviceError
from autosched.files import link, private_directory

LIBRARY_VARIABLE = "TT_METAL_SIMULATOR"
RELEASES = "github.com/tenstorrent/ttsim/releases"
_COMPILER = "compiler/bin/riscv-tt-elf-g++"
_SYSTEM_SFPI = Path("/opt/tenstorrent/sfpi")
_ANSWER_LIMIT_S = 60

# By the first word of PCI configuration space: the device's number above Tenstorrent's.
_CHIPS = {0x401E1E52: "wormhole_b0", 0xB1401E52: "blackhole"}
_SOC_DESCRIPTORS = {
    "wormhole_b0": "wormhole_b0_80_arch.yaml",
    "blackhole": "blackhole_140_arch.yaml",
}
_ASK_CHIP = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.libttsim_init()
library.libttsim_pci_config_rd32.restype = ctypes.c_uint32
print(library.libttsim_pci_config_rd32(0, 0))
"""


@dataclass(frozen=True)
class Toolchain:
    """What compiles kernels: the directory that tt-metal takes for its own, and the compiler."""

    runtime_root: Path
    compiler: Path
    version: str

    @property
    def key(self) -> str:
        """What a kernel's binary depends on beside its source."""
        return hashlib.sha256(f"{self.compiler}\n{self.version}".encode()).hexdigest()[:12]


def simulator_library(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the simulator that ``TT_METAL_SIMULATOR`` names.

    Raises:
        DeviceError: if it names none, or a file that is not there; the message says where it
            comes from.
    """
    named = environment.get(LIBRARY_VARIABLE, "")
    if not named:
        raise DeviceError(
            f"no simulator: set {LIBRARY_VARIABLE} to ttsim's library (libttsim_wh.so or "
            f"libttsim_bh.so of {RELEASES}), or name it with --simulator"
        )
    library = Path(named).absolute()
    if not library.is_file():
        raise DeviceError(
            f"there is no simulator {named}: name ttsim's library (libttsim_wh.so or "
            f"libttsim_bh.so of {RELEASES})"
        )
    return library


def simulated_arch(library: Path) -> str:
    """Return the architecture that a simulator simulates.

    It is asked in a process of its own, as it ends the one that it does not like.

    Raises:
        DeviceError: if it is no simulator, or of another chip.
    """
    done = subprocess.run(
        [sys.executable, "-c", _ASK_CHIP, str(library)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_ANSWER_LIMIT_S,
    )
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if done.returncode:
        raise DeviceError(f"{library} is no simulator: {last}")
    number = int(done.stdout.strip().splitlines()[-1])
    if number not in _CHIPS:
        raise DeviceError(
            f"{library} simulates a chip that autosched does not know ({number:#x}); it knows "
            "Wormhole and Blackhole"
        )
    return _CHIPS[number]


def check_simulates(library: Path, board: Board) -> None:
    """Refuse a simulator of another architecture than the board's.

    Raises:
        BoardError: naming both.
        DeviceError: as :func:`simulated_arch`.
    """
    arch = simulated_arch(library)
    if arch != board.arch:
        boards = ", ".join(known.name for known in BOARDS.values() if known.arch == arch)
        raise BoardError(
            f"the simulator {library.name} is a {arch} ({boards}), but {board.name} is a "
            f"{board.arch}; name its own with {LIBRARY_VARIABLE} or --simulator"
        )


def toolchain(wheel: Path, environment: Mapping[str, str] = os.environ) -> Toolchain:
    """Return the SFPI compiler that tt-metal will call.

    It is looked for where tt-metal looks: below ``TT_METAL_RUNTIME_ROOT`` (default: the wheel),
    and in /opt/tenstorrent/sfpi.

    Raises:
        DeviceError: if there is none, or it does not run; then with its words.
    """
    root = Path(environment.get("TT_METAL_RUNTIME_ROOT") or wheel)
    places = [root / "runtime/sfpi" / _COMPILER, _SYSTEM_SFPI / _COMPILER]
    compiler = next((place for place in places if place.is_file()), None)
    if compiler is None:
        raise DeviceError(
            f"no SFPI compiler for kernels at {places[0]} or {places[1]}: ttnn's wheel names its "
            f"release in {wheel / 'tt_metal/sfpi-version'}; install that package, or set "
            "TT_METAL_RUNTIME_ROOT to a tt-metal that has it"
        )
    return Toolchain(root, compiler, _version_of(compiler))


def installed_toolchain() -> Toolchain:
    """Return the compiler that the installed ttnn will call.

    Raises:
        DeviceError: as :func:`toolchain`, or if ttnn is not installed.
    """
    return toolchain(_wheel())


def _wheel() -> Path:
    spec = find_spec("ttnn")
    if spec is None or spec.origin is None:
        raise DeviceError("ttnn is not installed; run 'make setup', or 'pip install ttnn'")
    return Path(spec.origin).parent


def _version_of(compiler: Path) -> str:
    try:
        done = subprocess.run(
            [compiler, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_ANSWER_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"the SFPI compiler {compiler} does not run: {error}") from None
    words = (done.stdout or done.stderr).strip().splitlines()
    if done.returncode:
        last = words[-1] if words else f"exit code {done.returncode}"
        raise DeviceError(f"the SFPI compiler {compiler} does not run: {last}")
    return words[0] if words else ""


def simulator_environment(board: Board, root: Path) -> dict[str, str]:
    """Prepare the simulator as ``board`` and return the variables to set before importing ttnn.

    The files go below ``root``; kernels are kept there for each compiler. Idempotent.

    Raises:
        DeviceError: if ttnn, the simulator or a compiler is missing, or the files cannot be
            written.
        BoardError: if the simulator is of another architecture.
    """
    wheel, library = _wheel(), simulator_library()
    check_simulates(library, board)
    tools = toolchain(wheel)
    place = root / "simulator" / board.arch
    try:
        private_directory(root)
        descriptor = write_descriptor(root, board)
        library_link = _link_beside_descriptor(library, place, wheel, board.arch)
        kernels = place / f"kernels-{tools.key}"
        kernels.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(
            f"cannot write the simulator's files under {root}: {error.strerror}; "
            "set AUTOSCHED_CACHE to a directory of your own with room in it"
        ) from error
    return {
        LIBRARY_VARIABLE: str(library_link),
        "TT_METAL_MOCK_CLUSTER_DESC_PATH": str(descriptor),
        "TT_METAL_RUNTIME_ROOT": str(tools.runtime_root),
        "TT_METAL_CACHE": f"{kernels}/",
        "TT_METAL_SLOW_DISPATCH_MODE": "1",
        "TT_METAL_DISABLE_SFPLOADMACRO": "1",
        "TT_METAL_LOGGER_LEVEL": "off",
        "LOGURU_LEVEL": "ERROR",
    }


def _link_beside_descriptor(library: Path, place: Path, wheel: Path, arch: str) -> Path:
    """Put a link to the simulator beside its chip's description, where tt-metal looks for it."""
    source = wheel / "tt_metal" / "soc_descriptors" / _SOC_DESCRIPTORS[arch]
    for name, target in (("soc_descriptor.yaml", source), ("libttsim.so", library.resolve())):
        link(place / name, target)
    return place / "libttsim.so"
