import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from autosched.boards import BOARDS, Board
from autosched.device.machine import cache_dir, mock_directory, silicon_devices
from autosched.device.mock import environment as mock_setup
from autosched.device.mock.environment import mock_environment as environment_in
from autosched.device.mock.environment import placeholder_elf
from autosched.errors import DeviceError
from tests.device.conftest import child_options
from tests.examples.networks import BOARD

PROBE = """
from autosched.device.machine import open_local_device
from tests.examples.device_layers import FITS
from tests.examples.networks import BOARD
print(type(open_local_device(BOARD).probe(FITS)).__name__)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("AUTOSCHED_CACHE", str(place))
    return place


@pytest.fixture
def without_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with the tools of a shell and no C compiler."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat"):
        tools.joinpath(name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tools))


def mock_environment(board: Board) -> dict[str, str]:
    return environment_in(board, mock_directory())


def compiler_of(environment: dict[str, str]) -> Path:
    return Path(environment["TT_METAL_RUNTIME_ROOT"]) / "runtime/sfpi/compiler/bin/riscv-tt-elf-g++"


def assert_compiles(compiler: Path, place: Path) -> None:
    """It answers for its version and writes what tt-metal's build wants to find."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("riscv-tt-elf-g++ (tenstorrent/sfpi:")
    for name in ("kernel.o", "header.gch", "kernel.elf"):
        output, deps = place / name, place / "deps.d"
        subprocess.run([compiler, "-O3", "-MF", deps, "-o", output, "in.cc"], check=True)
        assert output.read_bytes() == (placeholder_elf() if name.endswith(".elf") else b"")
        assert deps.read_text() == f"{output}:\n"


@pytest.mark.parametrize("name", BOARDS)
def test_the_files_are_written_once(cache: Path, name: str) -> None:
    environment = mock_environment(BOARDS[name])
    before = {path: path.lstat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert mock_environment(BOARDS[name]) == environment
    assert before == {path: path.lstat().st_mtime_ns for path in before}
    assert not list(cache.rglob(".*"))
    descriptor = Path(environment["TT_METAL_MOCK_CLUSTER_DESC_PATH"]).read_text()
    assert f"arch: {{ 0: {BOARDS[name].arch} }}" in descriptor
    assert environment["TT_METAL_CACHE"].endswith(f"/{name}/")


def test_the_wheel_is_linked_and_nothing_of_it_replaced(cache: Path) -> None:
    root = Path(mock_environment(BOARD)["TT_METAL_RUNTIME_ROOT"])
    spec = find_spec("ttnn")
    assert spec is not None
    assert spec.origin is not None
    for link in ("tt_metal", "ttnn", "build", "runtime/hw"):
        assert root.joinpath(link).readlink() == Path(spec.origin).parent / link
    assert root.is_relative_to(cache)


def test_a_link_to_another_wheel_is_replaced(cache: Path) -> None:
    root = Path(mock_environment(BOARD)["TT_METAL_RUNTIME_ROOT"])
    link = root / "build"
    link.unlink()
    link.symlink_to(cache / "elsewhere")
    mock_environment(BOARD)
    assert link.readlink() != cache / "elsewhere"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_compiled_compiler(cache: Path, tmp_path: Path) -> None:
    compiler = compiler_of(mock_environment(BOARD))
    assert cache in compiler.parents
    assert compiler.read_bytes()[:4] == b"\x7fELF"
    assert_compiles(compiler, tmp_path)


@pytest.mark.usefixtures("without_compiler")
def test_the_script_in_place_of_a_compiled_compiler_runs_a_convolution(
    cache: Path, tmp_path: Path
) -> None:
    compiler = compiler_of(mock_environment(BOARD))
    assert cache in compiler.parents
    assert compiler.read_text().startswith("#!/bin/sh")
    assert_compiles(compiler, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        **child_options(tmp_path),
    )
    assert done.stdout.split() == ["ProbeOutcome"], done.stderr[-2000:]


def test_a_compiler_that_fails_is_none(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(mock_setup.shutil, "which", lambda _name: str(broken))
    assert compiler_of(mock_environment(BOARD)).read_text().startswith("#!/bin/sh")
    assert cache.is_dir()


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file where the directory should be")
    with pytest.raises(DeviceError, match=r"cannot write .*AUTOSCHED_CACHE"):
        mock_environment(BOARD)


def test_a_cache_whose_name_a_shell_would_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSCHED_CACHE", "/tmp/my cache")  # noqa: S108 - never written
    with pytest.raises(DeviceError, match=r"my cache/.*AUTOSCHED_CACHE .* without blanks"):
        mock_environment(BOARD)


def test_without_ttnn_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mock_setup, "find_spec", lambda _name: None)
    with pytest.raises(DeviceError, match="pip install ttnn"):
        mock_environment(BOARD)


def test_the_cache_is_the_users_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOSCHED_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/autosched")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "autosched"


def test_no_cards_outside_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert silicon_devices() == []


def test_the_first_segment_starts_at_the_entry() -> None:
    image = placeholder_elf()
    assert image[:7] == b"\x7fELF\x01\x01\x01"
    entry, program_at = struct.unpack_from("<II", image, 24)
    kind, offset, address = struct.unpack_from("<III", image, program_at)
    assert (kind, address) == (1, entry)
    assert offset % 4 == entry % 4 == 0


READELF = shutil.which("readelf")


@pytest.mark.skipif(READELF is None, reason="binutils is not installed")
def test_readelf_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "kernel.elf"
    path.write_bytes(placeholder_elf())
    done = subprocess.run(
        [str(READELF), "--wide", "--all", path], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert "RISC-V" in done.stdout
    for section in (".text", ".rela.text", ".symtab", ".strtab", ".segments", ".shstrtab"):
        assert f" {section} " in done.stdout
    assert "_start" in done.stdout


def replaced(compiler: Path) -> None:
    compiler.write_bytes(b"#!/bin/sh\ntouch witness\n")


def open_to_all(compiler: Path) -> None:
    compiler.chmod(0o777)


def linked(compiler: Path) -> None:
    other = compiler.with_name("other")
    compiler.rename(other)
    compiler.symlink_to(other)


@pytest.mark.parametrize("harm", [replaced, open_to_all, linked])
def test_a_compiler_that_others_could_have_written_is_made_again(
    cache: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    compiler = compiler_of(mock_environment(BOARD))
    assert cache in compiler.parents
    harm(compiler)
    assert compiler_of(mock_environment(BOARD)) == compiler
    assert not compiler.is_symlink()
    assert compiler.stat().st_mode & 0o777 == 0o755
    assert_compiles(compiler, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_cache_of_another_user_is_refused(cache: Path) -> None:
    mock_directory().mkdir(parents=True)
    os.chown(mock_directory(), 65534, 65534)
    with pytest.raises(DeviceError, match=r"another user \(uid 65534\).*AUTOSCHED_CACHE"):
        mock_environment(BOARD)
    assert cache.is_dir()
