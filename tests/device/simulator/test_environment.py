import shutil
import subprocess
from pathlib import Path

import pytest

from autosched.boards import find_board
from autosched.device.simulator.environment import (
    LIBRARY_VARIABLE,
    check_simulates,
    simulated_arch,
    simulator_environment,
    simulator_library,
    toolchain,
)
from autosched.errors import BoardError, DeviceError

# What ttsim's library says of itself, and no more.
CHIP = """
#include <stdint.h>
void libttsim_init(void) {}
uint32_t libttsim_pci_config_rd32(uint32_t device, uint32_t offset) { return %s; }
"""
WORMHOLE, BLACKHOLE, QUASAR = "0x401e1e52", "0xb1401e52", "0xfeed1e52"
needs_a_c_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def library(place: Path, chip: str) -> Path:
    path = place / "libttsim.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=CHIP % chip, text=True, check=True)
    return path


def compiler(root: Path, script: str) -> Path:
    path = root / "runtime/sfpi/compiler/bin/riscv-tt-elf-g++"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_simulator_has_to_be_named():
    with pytest.raises(DeviceError, match=r"no simulator: set TT_METAL_SIMULATOR .*releases"):
        simulator_library({})


def test_a_simulator_has_to_be_there(tmp_path: Path):
    with pytest.raises(DeviceError, match=r"there is no simulator .*gone.so: .*libttsim_wh.so"):
        simulator_library({LIBRARY_VARIABLE: str(tmp_path / "gone.so")})


def test_what_is_no_library_is_told_with_its_words(tmp_path: Path):
    text = tmp_path / "notes.txt"
    text.write_text("not a library")
    with pytest.raises(DeviceError, match=r"notes.txt is no simulator: .*"):
        simulated_arch(text)


@needs_a_c_compiler
@pytest.mark.parametrize(("chip", "arch"), [(WORMHOLE, "wormhole_b0"), (BLACKHOLE, "blackhole")])
def test_a_simulator_says_what_it_simulates(tmp_path: Path, chip: str, arch: str):
    assert simulated_arch(library(tmp_path, chip)) == arch


@needs_a_c_compiler
def test_an_unknown_chip_is_told(tmp_path: Path):
    with pytest.raises(DeviceError, match=r"a chip that autosched does not know \(0xfeed1e52\)"):
        simulated_arch(library(tmp_path, QUASAR))


@needs_a_c_compiler
def test_a_simulator_of_the_other_architecture_is_refused(tmp_path: Path):
    named = library(tmp_path, WORMHOLE)
    check_simulates(named, find_board("n300"))
    with pytest.raises(
        BoardError, match=r"is a wormhole_b0 \(n150, n300, n300-worker\), but p150 is a black"
    ):
        check_simulates(named, find_board("p150"))


def test_a_missing_compiler_is_told_with_where_it_comes_from(tmp_path: Path):
    with pytest.raises(DeviceError, match=r"no SFPI compiler .*sfpi-version.*RUNTIME_ROOT"):
        toolchain(tmp_path, {})


def test_a_compiler_that_fails_is_told_with_its_words(tmp_path: Path):
    compiler(tmp_path, "echo 'libmpfr.so.6: cannot open' >&2; exit 127")
    with pytest.raises(DeviceError, match=r"does not run: libmpfr.so.6: cannot open"):
        toolchain(tmp_path, {})


def test_kernels_are_kept_by_compiler(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    compiler(first, "echo 'g++ 15.1'")
    compiler(second, "echo 'g++ 14.2'")
    assert toolchain(first, {}).key == toolchain(first, {}).key
    assert (
        toolchain(first, {}).key != toolchain(tmp_path, {"TT_METAL_RUNTIME_ROOT": str(second)}).key
    )


@needs_a_c_compiler
def test_what_ttnn_needs_lies_beside_the_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "root"
    compiler(root, "echo 'g++ 15.1'")
    monkeypatch.setenv(LIBRARY_VARIABLE, str(library(tmp_path, BLACKHOLE)))
    monkeypatch.setenv("TT_METAL_RUNTIME_ROOT", str(root))
    board = find_board("p150")
    variables = simulator_environment(board, tmp_path / "cache")
    assert variables == simulator_environment(board, tmp_path / "cache")
    link = Path(variables[LIBRARY_VARIABLE])
    assert link.resolve() == tmp_path / "libttsim.so"
    assert "blackhole" in link.with_name("soc_descriptor.yaml").read_text().lower()
    assert "board_type: p150" in Path(variables["TT_METAL_MOCK_CLUSTER_DESC_PATH"]).read_text()
    assert Path(variables["TT_METAL_CACHE"]).is_dir()
    assert variables["TT_METAL_SLOW_DISPATCH_MODE"] == "1"
