"""``autosched boards``: the boards there are."""

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = ("autosched boards",)


def boards(as_json: options.Json = False) -> None:
    """List the boards, and the cards on this machine."""
    from autosched.boards import BOARDS  # noqa: PLC0415 - the help starts quickly
    from autosched.device.mock_setup import silicon_devices  # noqa: PLC0415 - as above
    from autosched.report.console import say  # noqa: PLC0415 - as above
    from autosched.report.tables import board_plain, board_table  # noqa: PLC0415 - as above

    cards = [str(path) for path in silicon_devices()]
    with opened_output(as_json) as output:
        output.console.print(board_table(BOARDS.values()))
        found = ", ".join(cards) if cards else "none; the mock device stands in for every board"
        say(output.console)
        say(output.console, f"Cards on this machine: {found}")
        output.result({"boards": [board_plain(board) for board in BOARDS.values()], "cards": cards})
