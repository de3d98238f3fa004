"""What is kept on disk is found with its size, and deleted unless a process uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autosched.device.caches import delete_cache, find_caches, reports_dir
from tests.device.mock.test_kernel_cache import HOLDER


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path))
    return tmp_path


def kernel(place: Path) -> None:
    directory = place / "kernels/reader/7"
    directory.mkdir(parents=True)
    (directory / "brisc.elf").write_bytes(b"x")


def test_each_cache_has_its_number_and_size(cache: Path) -> None:
    kernel(cache / "ttnn-0.81.1/kernels/n150/tt-metal-cache1")
    kernel(cache / "ttnn-0.81.1/kernels/n150/tt-metal-cache2")
    kernel(cache / "ttnn-0.81.1/simulator/blackhole/kernels-a/tt-metal-cache1")
    (cache / "ttnn-0.81.1/kernels/p150").mkdir()
    reports_dir().mkdir()
    (reports_dir() / "one.txt").write_text("why")
    assert [
        (item.what, str(item.place.relative_to(cache)), item.number, item.size_bytes > 0)
        for item in find_caches()
    ] == [
        ("kernels", "ttnn-0.81.1/kernels/n150", 2, True),
        ("simulator", "ttnn-0.81.1/simulator/blackhole", 1, True),
        ("reports", "failures", 1, True),
    ]
    assert all(delete_cache(item.what, item.place) for item in find_caches())
    assert list(find_caches()) == []


def test_kernels_that_a_process_uses_stay(cache: Path) -> None:
    place = cache / "ttnn-0.81.1/kernels/n150"
    kernel(place / "tt-metal-cache1")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not delete_cache("kernels", place)
        holder.communicate("")
    assert delete_cache("kernels", place)
