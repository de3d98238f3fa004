"""The figures of ``autosched/boards.py`` against what the mock device reports."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from autosched.boards import BOARDS, Board
from tests.device.conftest import child_options
from tests.examples.networks import BOARD

Openings = dict[str, "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def openings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Openings]:
    """Processes that open the boards other than the laboratory's, at once."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.device.open_board", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **child_options(tmp_path_factory.mktemp(name)),
        )
        for name in BOARDS
        if name != BOARD.name
    }
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


def assert_is(board: Board, sizes: dict[str, Any]) -> None:
    assert sizes == {
        "grid": list(board.grid),
        "arch": board.arch,
        "l1_bank_bytes": board.l1_bank_bytes,
        "cores": board.cores,
        "dram_banks": board.dram_banks,
        "l1_bytes": board.l1_bytes,
    }


@pytest.mark.parametrize("name", [name for name in BOARDS if name != BOARD.name])
def test_a_board_opens_with_its_sizes(openings: Openings, name: str) -> None:
    output, errors = openings[name].communicate(timeout=200)
    assert openings[name].returncode == 0, errors[-2000:]
    assert_is(BOARDS[name], json.loads(output.splitlines()[-1]))
