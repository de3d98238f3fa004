"""Files and environment variables that make ttnn open tt-metal's mock device.

tt-metal runs all of an op's host code against a *mock* cluster described by a YAML file; only
kernels do not execute. ttnn still wants a RISC-V compiler for them, which its wheel does not
carry, so a directory of symlinks to the wheel gets a placeholder compiler that writes a valid
executable without code. Nothing of ttnn itself is replaced.
"""

import os
import re
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

from autosched.boards import Board
from autosched.device.mock.placeholder_elf import placeholder_elf
from autosched.errors import DeviceError

_DESCRIPTOR = """\
arch: {{ 0: {arch} }}
chips: {{}}
chip_unique_ids: {{ 0: {serial} }}
ethernet_connections: []
ethernet_connections_to_remote_devices: []
chips_with_mmio: [ 0: 0 ]
io_device_type: PCIe
harvesting:
  0:
    noc_translation: true
    harvest_mask: {tensix_mask}
    dram_harvesting_mask: {dram_mask}
    eth_harvesting_mask: {eth_mask}
    pcie_harvesting_mask: {pcie_mask}
    l2cpu_harvesting_mask: 0
chip_to_boardtype: {{ 0: {board_type} }}
boards:
  -
    - board_id: {board_id}
    - board_type: {board_type}
    - chips: [ 0 ]
"""

_SERIAL = 0x1234
# (tt-metal's arch name, tensix, DRAM, Ethernet and PCIe harvest masks, board type, product code).
# The board id carries the product code in its top bits. n300's chip is described as an n150 with
# two harvested rows, which is the grid a single n300 chip offers.
_MOCK_CHIPS = {
    "n150": ("wormhole_b0", 0x20, 0, 0, 0, "n150", 0x100018),
    "n300": ("wormhole_b0", 0x60, 0, 0, 0, "n150", 0x100018),
    "p100a": ("blackhole", 0xC0, 1, 0x3FFF, 2, "p100", 0x43),
    "p150": ("blackhole", 0, 0, 0x120, 2, "p150", 0x40),
}

# Answers --version like the toolchain the wheel's firmware was built with; any other call copies
# the executable (nothing for an object or a precompiled header) to the file after -o and writes
# an empty dependency file after -MF.
_COMPILER_C = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const unsigned char image[] = {%(bytes)s};

static int write_file(const char *path, const void *data, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) { perror(path); return 1; }
    int failed = write(fd, data, size) != (ssize_t)size;
    return close(fd) != 0 || failed;
}

static int ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

int main(int argc, char **argv) {
    const char *out = NULL, *deps = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) { puts("%(version)s"); return 0; }
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) out = argv[++i];
        else if (strcmp(argv[i], "-MF") == 0 && i + 1 < argc) deps = argv[++i];
    }
    if (deps) {
        char line[8192];
        int n = snprintf(line, sizeof line, "%%s:\n", out ? out : "out");
        if (write_file(deps, line, n)) return 1;
    }
    if (!out) return 0;
    int empty = ends_with(out, ".o") || ends_with(out, ".gch");
    return write_file(out, image, empty ? 0 : sizeof image);
}
"""

_COMPILER_SH = """\
#!/bin/sh
out= deps=
while [ $# -gt 0 ]; do
  case "$1" in
    --version) echo "{version}"; exit 0 ;;
    -o) out=$2; shift ;;
    -MF) deps=$2; shift ;;
  esac
  shift
done
[ -n "$deps" ] && echo "$out:" > "$deps"
case "$out" in
  "") ;;
  *.o|*.gch) : > "$out" ;;
  *) cat "{image}" > "$out" ;;
esac
"""

_SHELL_SPECIAL = re.compile(r"""[\s'"$&;()<>|*?`\\!#]""")


def mock_environment(board: Board, root: Path) -> dict[str, str]:
    """Prepare the mock device for ``board`` and return the variables to set before importing ttnn.

    The files go below ``root``. Idempotent, and safe to call from several processes at once: files
    are written beside their place and renamed into it.

    Raises:
        DeviceError: if ttnn is not installed, the files cannot be written, or their directory
            has a name that tt-metal cannot use.
    """
    spec = find_spec("ttnn")
    if spec is None or spec.origin is None:
        raise DeviceError("ttnn is not installed; run 'make setup', or 'pip install ttnn'")
    wheel = Path(spec.origin).parent
    if _SHELL_SPECIAL.search(str(root)):
        raise DeviceError(
            f"tt-metal hands {str(root)!r} to a shell without quotes; "
            "set AUTOSCHED_CACHE to a directory without blanks or special characters"
        )
    try:
        descriptor = _write_descriptor(root, board)
        runtime_root = _write_runtime_root(root / "runtime-root", wheel)
        kernels = root / "kernels" / board.name
        kernels.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(
            f"cannot write the mock device's files under {root}: {error.strerror}; "
            "free some space there, or set AUTOSCHED_CACHE to another directory"
        ) from error
    return {
        "TT_METAL_MOCK_CLUSTER_DESC_PATH": str(descriptor),
        "TT_METAL_RUNTIME_ROOT": str(runtime_root),
        "TT_METAL_CACHE": f"{kernels}/",
        "TT_METAL_LOGGER_LEVEL": "off",
        "LOGURU_LEVEL": "ERROR",
    }


def _write_descriptor(root: Path, board: Board) -> Path:
    arch, tensix_mask, dram_mask, eth_mask, pcie_mask, board_type, product = _MOCK_CHIPS[board.name]
    path = root / f"{board.name}.yaml"
    text = _DESCRIPTOR.format(
        arch=arch,
        tensix_mask=tensix_mask,
        dram_mask=dram_mask,
        eth_mask=eth_mask,
        pcie_mask=pcie_mask,
        board_type=board_type,
        board_id=(product << 36) | _SERIAL,
        serial=_SERIAL,
    )
    _write_if_changed(path, text.encode())
    return path


def _write_runtime_root(root: Path, wheel: Path) -> Path:
    links = ("tt_metal", "ttnn", "build", "runtime/hw")
    for link in links:
        place, target = root / link, wheel / link
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink() or Path(os.readlink(place)) != target:
            temporary = place.with_name(f".{place.name}.{os.getpid()}")
            temporary.symlink_to(target)
            temporary.replace(place)
    _write_compiler(root / "runtime/sfpi/compiler/bin/riscv-tt-elf-g++", wheel)
    return root


def _write_compiler(path: Path, wheel: Path) -> None:
    image = placeholder_elf()
    line = _toolchain_version_line(wheel)
    source = _COMPILER_C % {"bytes": ",".join(map(str, image)), "version": line}
    source_path = path.parent / "placeholder.c"
    if path.exists() and source_path.exists() and source_path.read_text() == source:
        return
    _write_if_changed(path.parent / "placeholder.elf", image)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    if not _compile(source, temporary):
        script = _COMPILER_SH.format(version=line, image=path.parent / "placeholder.elf")
        temporary.write_text(script)
    temporary.chmod(temporary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    temporary.replace(path)
    _write_if_changed(source_path, source.encode())


def _compile(source: str, output: Path) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return False
    command = [compiler, "-O2", "-x", "c", "-", "-o", str(output)]
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    return done.returncode == 0


def _toolchain_version_line(wheel: Path) -> str:
    """Return the first line that makes tt-metal's build key match the wheel's firmware."""
    facts = (wheel / "tt_metal" / "sfpi-version").read_text()
    release = re.search(r"sfpi_version='([^']+)'", facts)
    build = re.search(r"sfpi_build='([^']+)'", facts)
    if release is None or build is None:
        return "riscv-tt-elf-g++ (placeholder)"
    return f"riscv-tt-elf-g++ (tenstorrent/sfpi:{release[1]}[{build[1]}]) 15.1.0"


def _write_if_changed(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
