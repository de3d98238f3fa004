"""Standard output: for people, or for exactly one JSON object."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from autosched.report.console import make_console

if TYPE_CHECKING:
    from rich.console import Console


class Output:
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
def opened_output(as_json: bool) -> Iterator[Output]:
    """Open a command's output.

    With ``as_json``, whatever else writes to standard output meanwhile, the user's network file
    and native libraries included, is sent to standard error.
    """
    if not as_json:
        yield Output(None)
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield Output(kept)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
