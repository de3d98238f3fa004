"""``autosched doctor``: whether everything is there that a search needs."""

import typer

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = ("autosched doctor", "autosched doctor --board p150 --json")


def doctor(
    board: options.Board = None,
    device: options.Device = "auto",
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Check this machine: Python, ttnn, device, compiler, cache and database.

    The exit code is 0 if a search can run, 2 if not.
    """
    from autosched.boards import find_board  # noqa: PLC0415 - the help starts quickly
    from autosched.cli.diagnosis import checks  # noqa: PLC0415 - as above
    from autosched.report.console import say  # noqa: PLC0415 - as above

    known = find_board(board or "n150")
    found = []
    with opened_output(as_json) as output:
        for check in checks(known, device, storage):
            found.append(check)
            say(output.console, f"{check.mark:<8}{check.name:<10} {check.detail}", check.style)
            if check.advice:
                say(output.console, f"{'':<19}{check.advice}")
        well = all(check.state != "failed" for check in found)
        say(output.console, "Ready to search." if well else "Not ready: see what failed above.")
        output.result({"ok": well, "checks": [vars(check) for check in found]})
    if not well:
        raise typer.Exit(2)
