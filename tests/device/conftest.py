import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autosched.device.worker import WorkerDevice
from autosched.network.graph import Network
from tests.examples.networks import BOARD, small
from tests.once import OncePerRun

ROOT = Path(__file__).parents[2]


def child_options(place: Path) -> dict[str, Any]:
    """Where a child process runs that imports these tests: ttnn leaves files where it starts."""
    return {"cwd": place, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}


@pytest.fixture(scope="session")
def network() -> Network:
    return small()


@pytest.fixture(scope="session")
def worker(network: Network) -> Iterator[WorkerDevice]:
    """The mock n150 with the small network loaded."""
    with WorkerDevice(BOARD) as device:
        device.load(network)
        yield device


@pytest.fixture(scope="session")
def laboratory(once: OncePerRun) -> dict[str, Any]:
    """What the experiments of ``laboratory.py`` found on a device of their own process."""
    return once("laboratory", experiment)


def experiment(directory: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.device.laboratory"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        **child_options(directory),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    findings: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return findings
