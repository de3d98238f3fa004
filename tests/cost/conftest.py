import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autosched.store.database import Store, open_store
from tests.cost.records import Captures
from tests.once import OncePerRun

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def captures(once: OncePerRun) -> Captures:
    """Device ops of single ops run on the mock device, by name."""
    return once("captures", capture_ops)


def capture_ops(directory: Path) -> Captures:
    path = directory / "captures.pkl"
    command = [sys.executable, "-m", "tests.cost.mock_captures", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: Captures = pickle.loads(path.read_bytes())  # noqa: S301
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    with open_store(f"sqlite:///{tmp_path / 'store.sqlite3'}") as opened:
        yield opened
