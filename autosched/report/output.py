"""Where words go: standard output, or standard error beside a JSON object."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

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


class Screen:
    """Where a command writes: ``console`` for words, :meth:`result` for what it came to."""

    def __init__(self, descriptor: int | None) -> None:
        self.console: Console = make_console(stderr=descriptor is not None)
        self._descriptor = descriptor

    def result(self, plain: Mapping[str, Any]) -> None:
        """Write the command's JSON object, if it is asked for."""
        if self._descriptor is None:
            return
        text = json.dumps(plain, indent=2, allow_nan=False) + "\n"
        with open(self._descriptor, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)


@contextmanager
def opened_output(as_json: bool) -> Iterator[Screen]:
    """Open a command's output.

    With ``as_json``, whatever else writes to standard output meanwhile, the user's network file
    and native libraries included, is sent to standard error.
    """
    if not as_json:
        yield Screen(None)
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield Screen(kept)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
