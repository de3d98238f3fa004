"""Where words go: standard output, or standard error beside a JSON object."""

import sys

from rich.console import Console
from rich.text import Text


def make_console(*, stderr: bool = False) -> Console:
    """Return a console; colours and live lines only on a terminal, and none with NO_COLOR."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def say(console: Console, text: str = "", style: str = "") -> None:
    """Print a line as it is: file names and ttnn's words are neither wrapped nor interpreted."""
    console.print(Text(text, style), soft_wrap=True)
