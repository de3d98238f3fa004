from pathlib import Path

import pytest

from autosched.boards import BOARDS, find_board
from autosched.device.mock.environment import mock_environment, write_descriptor
from autosched.device.which_board import card_board, named_board, read_descriptor, wanted_board
from autosched.errors import BoardError, DeviceError
from tests.device.conftest import child_options


@pytest.mark.parametrize("name", sorted({*BOARDS} - {"n300-worker"}))
def test_a_file_that_describes_a_board_names_it(tmp_path: Path, name: str) -> None:
    file = write_descriptor(tmp_path, BOARDS[name])
    assert named_board(str(file)) == BOARDS[name]


def test_an_n300_is_one_with_ethernet_dispatch(tmp_path: Path) -> None:
    """A chip does not say who will dispatch: that is tt-metal's default for it."""
    file = write_descriptor(tmp_path, BOARDS["n300-worker"])
    assert read_descriptor(file) == BOARDS["n300"]


def test_a_chip_that_is_no_known_board_is_one_all_the_same(tmp_path: Path) -> None:
    board = find_board("blackhole-12x10-8")
    assert read_descriptor(write_descriptor(tmp_path, board)) == board


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("a: [", "cannot be read"),
        ("- 1", "it holds no mapping"),
        ("arch: {0: blackhole}", "has to say arch, harvesting"),
        ("arch: {0: grayskull}\nharvesting: {0: {harvest_mask: 0, dram_harvesting_mask: 0}}\n"
         "boards: [[{board_type: e150}]]", "grayskull, which autosched does not know"),
        ("arch: {0: blackhole}\nharvesting: {0: {harvest_mask: 7, dram_harvesting_mask: 0}}\n"
         "boards: [[{board_type: p150}]]", "no blackhole offers 10x10 cores"),
        ("arch: {0: blackhole}\nharvesting: {0: {harvest_mask: x, dram_harvesting_mask: 0}}\n"
         "boards: []", "in tt-metal's form (ValueError"),
    ],
)  # fmt: skip
def test_a_file_that_describes_none_is_refused_by_name(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "board.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BoardError) as caught:
        named_board(str(file))
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_without_a_card_the_usual_board_is_wanted() -> None:
    assert wanted_board(None, "mock") == BOARDS["n150"]
    assert wanted_board("p150-140", "mock") == BOARDS["p150-140"]


def test_a_card_says_which_board_it_is(tmp_path: Path) -> None:
    """What opens as a card here is the mock device: the answers are ttnn's own."""
    options = child_options(tmp_path)
    environment = {**options["env"], **mock_environment(BOARDS["p100a"], tmp_path / "mock")}
    assert card_board(environment) == BOARDS["p100a"]


def test_a_card_that_does_not_open_is_said_with_ttnn_s_words(tmp_path: Path) -> None:
    options = child_options(tmp_path)
    environment = {
        **options["env"],
        **mock_environment(BOARDS["n150"], tmp_path / "mock"),
        "TT_METAL_MOCK_CLUSTER_DESC_PATH": str(tmp_path / "none.yaml"),
    }
    with pytest.raises(DeviceError, match="cannot open the card of this machine"):
        card_board(environment)
