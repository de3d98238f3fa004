"""Files and environment variables that make ttnn open tt-metal's mock device.

tt-metal runs all of an op's host code against a *mock* cluster described by a YAML file, the
cluster descriptor; only kernels do not execute. ttnn still wants a RISC-V compiler for them, which
its wheel does not carry, so a directory of symlinks to the wheel gets a placeholder compiler that
writes a valid executable without code. Nothing of ttnn itself is replaced.
"""

import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from autosched.boards import Board, banks_of, harvested_of
from autosched.device.mock import kernel_cache
from autosched.errors import DeviceError
from autosched.files import content_digest, is_private, private_directory, write_private
from autosched.files import link as link_to

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
# (board type, product code in the top bits of the board id, Ethernet and PCIe harvest masks).
_N150 = ("n150", 0x100018, 0, 0)
_N300 = ("n300", 0x100014, 0, 0)
_P100 = ("p100", 0x43, 0x3FFF, 2)
_P150 = ("p150", 0x40, 0x120, 2)


def write_descriptor(root: Path, board: Board) -> Path:
    """Write what describes a board to tt-metal, a simulated one too, and return its place.

    Raises:
        BoardError: if no chip offers the board's grid.
    """
    board_type, product, eth_mask, pcie_mask = _product(board)
    harvested = harvested_of(board)
    path = root / f"{board.name}.yaml"
    text = _DESCRIPTOR.format(
        arch=board.arch,
        # Which ones are harvested does not matter: tt-metal numbers those that are left.
        tensix_mask=((1 << harvested) - 1) << 5,
        dram_mask=(1 << (banks_of(board.arch, 0) - board.dram_banks)) - 1,
        eth_mask=eth_mask,
        pcie_mask=pcie_mask,
        board_type=board_type,
        board_id=(product << 36) | _SERIAL,
        serial=_SERIAL,
    )
    write_private(path, text.encode())
    return path


def _product(board: Board) -> tuple[str, int, int, int]:
    if board.arch == "wormhole_b0":
        return _N150 if board.name == "n150" else _N300
    return _P100 if board.name == "p100a" else _P150


KERNELS = "kernels"
"""Where a directory for the mock device has the kernels, those of each board by its name."""

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

    The files go below ``root``; the board's kernels stay until this process ends. Idempotent, and
    safe to call from several processes at once: files are written beside their place and renamed
    into it. Those that others could have written are written again.

    Raises:
        DeviceError: if ttnn is not installed, the files cannot be written, or their directory
            belongs to another user or has a name that tt-metal cannot use.
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
        private_directory(root)
        descriptor = write_descriptor(root, board)
        runtime_root = _write_runtime_root(root / "runtime-root", wheel)
        kernels = root / KERNELS / board.name
        kernel_cache.hold(kernels)
    except OSError as error:
        raise DeviceError(
            f"cannot write the mock device's files under {root}: {error.strerror}; "
            "set AUTOSCHED_CACHE to a directory of your own with room in it"
        ) from error
    return {
        "TT_METAL_MOCK_CLUSTER_DESC_PATH": str(descriptor),
        "TT_METAL_RUNTIME_ROOT": str(runtime_root),
        "TT_METAL_CACHE": f"{kernels}/",
        "TT_METAL_LOGGER_LEVEL": "off",
        "LOGURU_LEVEL": "ERROR",
    }


def _write_runtime_root(root: Path, wheel: Path) -> Path:
    links = ("tt_metal", "ttnn", "build", "runtime/hw")
    for link in links:
        link_to(root / link, wheel / link)
    (root / "runtime/sfpi/compiler/bin").mkdir(parents=True, exist_ok=True)
    _write_compiler(root / "runtime/sfpi/compiler/bin/riscv-tt-elf-g++", wheel)
    return root


def _write_compiler(path: Path, wheel: Path) -> None:
    image = placeholder_elf()
    line = _toolchain_version_line(wheel)
    source = _COMPILER_C % {"bytes": ",".join(map(str, image)), "version": line}
    # What the compiler was made from, and what came of it: tt-metal executes it.
    record = path.parent / "placeholder.sha256"
    made_from = hashlib.sha256(source.encode()).hexdigest()
    if _is_recorded(path, record, made_from):
        return
    write_private(path.parent / "placeholder.elf", image)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as drafts:
        draft = Path(drafts) / "compiler"
        if not _compile(source, draft):
            script = _COMPILER_SH.format(version=line, image=path.parent / "placeholder.elf")
            draft.write_text(script)
        draft.chmod(0o755)
        made = content_digest(draft)
        draft.replace(path)
    write_private(record, f"{made_from} {made}\n".encode())


def _is_recorded(path: Path, record: Path, made_from: str) -> bool:
    """Return whether a compiler is ours, as we made it from this source."""
    if not (is_private(path) and is_private(record)):
        return False
    return record.read_text() == f"{made_from} {content_digest(path)}\n"


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


_TEXT_ADDRESS = 0x4000
_NOP = 0x00000013  # addi x0, x0, 0
_RET = 0x00008067  # jalr x0, 0(x1)
_TEXT = struct.pack("<4I", _NOP, _NOP, _NOP, _RET)
_SIZE_LIMIT = 0x10000

_ET_EXEC, _EM_RISCV, _PT_LOAD = 2, 243, 1
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_RELA = 1, 2, 3, 4
_SHF_ALLOC, _SHF_EXEC, _SHF_INFO = 2, 4, 0x40
_EHDR, _PHDR, _SHDR = 52, 32, 40


def placeholder_elf() -> bytes:
    """Return the smallest RISC-V executable that tt-metal's kernel loader accepts.

    The mock device never executes a kernel, but it does load each kernel's ELF file. The loader
    (tt-metal, ``tt_metal/llrt/tt_elffile.cpp``) wants ELF32 little-endian RISC-V ``ET_EXEC``, one
    ``PT_LOAD`` that starts at the entry point, 4-byte alignment, a ``.text`` with relocations, a
    symbol table, and a non-allocated ``.segments`` section with one (address, trim bound, size
    limit) triple.
    """
    names = ["", ".text", ".rela.text", ".symtab", ".strtab", ".segments", ".shstrtab"]
    shstrtab = b"".join(name.encode() + b"\0" for name in names)
    name_at = {name: shstrtab.index(name.encode() + b"\0") if name else 0 for name in names}
    strtab = b"\0_start\0"
    symtab = bytes(16) + struct.pack("<IIIBBH", 1, _TEXT_ADDRESS, len(_TEXT), 0x12, 0, 1)
    segments = struct.pack("<3I", _TEXT_ADDRESS, _TEXT_ADDRESS, _SIZE_LIMIT)

    text_at = _EHDR + _PHDR
    blobs = [_TEXT, b"", symtab, strtab, segments, shstrtab]
    offsets = []
    cursor = text_at
    for blob in blobs:
        cursor = (cursor + 3) & ~3
        offsets.append(cursor)
        cursor += len(blob)
    sections_at = (cursor + 3) & ~3

    # name, type, flags, address, offset, size, link, info, alignment, entry size
    alloc = _SHF_ALLOC | _SHF_EXEC
    rows = [
        (".text", _SHT_PROGBITS, alloc, _TEXT_ADDRESS, offsets[0], len(_TEXT), 0, 0, 4, 0),
        (".rela.text", _SHT_RELA, _SHF_INFO, 0, offsets[1], 0, 3, 1, 4, 12),
        (".symtab", _SHT_SYMTAB, 0, 0, offsets[2], len(symtab), 4, 1, 4, 16),
        (".strtab", _SHT_STRTAB, 0, 0, offsets[3], len(strtab), 0, 0, 1, 0),
        (".segments", _SHT_PROGBITS, 0, 0, offsets[4], len(segments), 0, 0, 4, 0),
        (".shstrtab", _SHT_STRTAB, 0, 0, offsets[5], len(shstrtab), 0, 0, 1, 0),
    ]
    section_headers = bytes(_SHDR) + b"".join(
        struct.pack("<10I", name_at[name], *rest) for name, *rest in rows
    )
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH",
        _ET_EXEC, _EM_RISCV, 1, _TEXT_ADDRESS, _EHDR, sections_at, 0,
        _EHDR, _PHDR, 1, _SHDR, len(rows) + 1, len(rows),
    )  # fmt: skip
    program = struct.pack(
        "<8I", _PT_LOAD, text_at, _TEXT_ADDRESS, _TEXT_ADDRESS, len(_TEXT), len(_TEXT), 5, 4
    )
    image = bytearray(sections_at)
    image[: len(header)] = header
    image[_EHDR : _EHDR + _PHDR] = program
    for offset, blob in zip(offsets, blobs, strict=True):
        image[offset : offset + len(blob)] = blob
    return bytes(image) + section_headers
