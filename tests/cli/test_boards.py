from autosched.boards import BOARDS
from tests.cli.conftest import Invoke


def test_every_board_has_a_line(invoke: Invoke) -> None:
    done = invoke("boards")
    assert done.code == 0
    assert all(any(line.startswith(name) for line in done.out.splitlines()) for name in BOARDS)


def test_json(invoke: Invoke) -> None:
    plain = invoke("boards", "--json").json
    assert {board["name"]: board["grid"] for board in plain["boards"]}["p150-140"] == [13, 10]
