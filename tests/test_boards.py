from dataclasses import replace

import pytest

from autosched.boards import (
    BOARDS,
    CLOCK_GHZ,
    ETHERNET,
    described_board,
    find_board,
    grid_of,
    harvested_of,
    name_with_grid,
)
from autosched.errors import BoardError


def test_boards_of_one_architecture_share_a_clock() -> None:
    """The cost model knows architectures only."""
    clocks = {name: CLOCK_GHZ[board.arch] for name, board in BOARDS.items()}
    assert clocks == {name: board.clock_ghz for name, board in BOARDS.items()}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_described_by_its_numbers_is_that_board(name: str) -> None:
    board = BOARDS[name]
    described = described_board(board.arch, board.grid, board.dram_banks, board.dispatch)
    assert described == board
    assert grid_of(board.arch, harvested_of(board), board.dispatch) == board.grid


@pytest.mark.parametrize(
    ("name", "grid", "banks", "bank_bytes"),
    [
        ("blackhole-12x10-7", (12, 10), 7, BOARDS["p150"].l1_bank_bytes),
        ("wormhole_b0-8x9-12-eth", (8, 9), 12, BOARDS["n150"].l1_bank_bytes),
        ("wormhole_b0-8x8-12-l1_1300000", (8, 8), 12, 1_300_000),
    ],
)
def test_another_board_is_found_by_the_name_it_was_described_with(
    name: str, grid: tuple[int, int], banks: int, bank_bytes: int
) -> None:
    board = find_board(name)
    assert (board.name, board.grid, board.dram_banks) == (name, grid, banks)
    assert board.l1_bank_bytes == bank_bytes
    usual = BOARDS["n150" if board.arch == "wormhole_b0" else "p150"]
    assert board.l1_bytes - bank_bytes == usual.l1_bytes - usual.l1_bank_bytes
    assert (board.dispatch == ETHERNET) == name.endswith("-eth")
    assert described_board(board.arch, grid, banks, board.dispatch, bank_bytes) == board


@pytest.mark.parametrize(
    "name", ["wormhole_b0-7x8-12", "blackhole-14x10-8", "blackhole-9x10-8", "blackhole-11x10-3"]
)
def test_a_chip_that_nobody_makes_is_refused(name: str) -> None:
    with pytest.raises(BoardError, match=r"no \w+ offers .* a whole chip has"):
        find_board(name)


def test_how_a_board_is_opened_says_who_dispatches_where_there_is_a_choice() -> None:
    assert "dispatch" not in BOARDS["n150"].opening
    assert "DispatchCoreType.ETH" in BOARDS["n300"].opening
    assert "DispatchCoreType.WORKER" in BOARDS["n300-worker"].opening
    assert "dispatch" not in replace(BOARDS["p150"], name="blackhole-12x10-8").opening


def test_what_was_noted_without_a_grid_is_of_the_grid_of_then() -> None:
    assert name_with_grid("p150", None) == "p150-140"
    assert name_with_grid("p150", (11, 10)) == "p150"
    assert name_with_grid("n300", None) == "n300-worker"
    assert name_with_grid("n150", None) == "n150"
