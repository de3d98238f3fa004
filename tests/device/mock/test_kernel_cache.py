"""The mock device's kernels on disk are bounded, and never deleted under a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autosched import files
from autosched.device.mock import kernel_cache
from autosched.device.mock.kernel_cache import Emptied, count_kernels, empty, hold

HOLDER = """
import sys
from pathlib import Path
from autosched.device.mock.kernel_cache import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def filled(directory: Path, kernels: int) -> Path:
    """As tt-metal leaves it, the oldest kernel first."""
    for number in range(kernels):
        kernel = directory / "tt-metal-cache1/kernels" / f"reader{number % 3}" / str(number)
        kernel.mkdir(parents=True)
        (kernel / "brisc.elf").touch()
        os.utime(kernel, (number, number))
    (directory / "tt-metal-cache1/pch").mkdir()
    return directory


def numbers(directory: Path) -> set[int]:
    return {int(kernel.name) for kernel in directory.glob("*/kernels/*/*")}


@pytest.fixture
def held_by_another(tmp_path: Path):
    directory = filled(tmp_path / "n150", 6)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield directory
        process.kill()


def test_the_oldest_of_too_many_go(tmp_path: Path) -> None:
    directory = filled(tmp_path / "n150", 12)
    hold(directory, most=10)
    assert numbers(directory) == {7, 8, 9, 10, 11}
    assert (directory / "tt-metal-cache1/pch").is_dir()


def test_few_enough_stay(tmp_path: Path) -> None:
    directory = filled(tmp_path / "n150", 10)
    hold(directory, most=10)
    assert count_kernels(directory) == 10


def test_no_more_are_deleted_than_a_moment_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_cache, "_PATIENCE_S", -1.0)
    directory = filled(tmp_path / "n150", 12)
    hold(directory, most=10)
    assert count_kernels(directory) == 11


def test_nothing_is_deleted_that_another_process_uses(held_by_another: Path) -> None:
    hold(held_by_another, most=2)
    assert count_kernels(held_by_another) == 6
    assert empty(held_by_another) == Emptied(held_by_another, None)
    assert count_kernels(held_by_another) == 6


def test_all_are_deleted_where_nobody_uses_them(tmp_path: Path) -> None:
    directory = filled(tmp_path / "n150", 6)
    assert empty(directory) == Emptied(directory, 6)
    assert count_kernels(directory) == 0
    assert empty(directory) == Emptied(directory, 0)


def test_what_this_process_uses_stays(tmp_path: Path) -> None:
    directory = filled(tmp_path / "n150", 6)
    hold(directory)
    assert empty(directory) == Emptied(directory, None)


def test_a_file_system_without_locks_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    directory = filled(tmp_path / "n150", 12)
    hold(directory, most=10)
    assert count_kernels(directory) == 12
