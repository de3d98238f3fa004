from autosched.boards import BOARDS, CLOCK_GHZ


def test_boards_of_one_architecture_share_a_clock() -> None:
    """The cost model knows architectures only."""
    clocks = {name: CLOCK_GHZ[board.arch] for name, board in BOARDS.items()}
    assert clocks == {name: board.clock_ghz for name, board in BOARDS.items()}
