"""``autosched version``, and the option of this name."""

import typer

from autosched import __version__
from autosched.cli import options
from autosched.cli.output import opened_output
from autosched.report.console import say

EXAMPLES = ("autosched version",)


def version(as_json: options.Json = False) -> None:
    """Print the versions of autosched and ttnn."""
    with opened_output(as_json) as output:
        say(output.console, _line())
        output.result({"autosched": __version__, "ttnn": _ttnn_version()})


def print_and_exit(wanted: bool) -> None:
    """Print the versions, if the option ``--version`` is given, and exit."""
    if wanted:
        with opened_output(as_json=False) as output:
            say(output.console, _line())
        raise typer.Exit


def _line() -> str:
    return f"autosched {__version__} (ttnn {_ttnn_version() or 'is not installed'})"


def _ttnn_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - starts quickly

    try:
        return version("ttnn")
    except PackageNotFoundError:
        return None
