from autosched import __version__
from tests.cli.conftest import Invoke


def test_command_and_option_say_the_same(invoke: Invoke) -> None:
    command, option = invoke("version"), invoke("--version")
    assert command.code == option.code == 0
    assert command.out == option.out
    assert command.out.startswith(f"autosched {__version__} (ttnn ")


def test_json(invoke: Invoke) -> None:
    assert invoke("version", "--json").json["autosched"] == __version__
