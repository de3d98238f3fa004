"""Where words go: standard output, or standard error beside a JSON object.

Names of studies, layers and files, notes and ttnn's words come from others. Whatever of them would
control a terminal is shown as an escape, here alone.
"""

import codecs
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

# C0 and C1 but tab and line feed, what changes the direction of text or ends a line, and what
# stands for bytes that are no UTF-8.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return a text in which nothing controls a terminal: control characters become escapes."""
    return _CONTROLS.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00  # a byte that is no UTF-8, as Python reads arguments and names of files
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


_IN_ASCII = {"µ": "u", "±": "+-", "…": "...", "─": "-", "→": "->"}


def _for_terminal(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that a terminal does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    shown = (
        _IN_ASCII.get(item) or item.encode("ascii", "backslashreplace").decode() for item in missing
    )
    return "".join(shown), error.end


_HANDLER = "autosched_terminal"
codecs.register_error(_HANDLER, _for_terminal)


@dataclass
class _Habits:
    """What a person said of words before the command: how many, and where else they go."""

    quiet: bool = False
    verbose: bool = False
    log: TextIO | None = None


_habits = _Habits()


def set_habits(*, quiet: bool = False, verbose: bool = False, log: TextIO | None = None) -> None:
    """Say nothing on the screen but errors, or also what is done when; keep a log of all words."""
    _habits.quiet, _habits.verbose, _habits.log = quiet, verbose, log


class _CleanConsole(Console):
    """A console that prints every text clean, those in tables included, and logs it."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **options)
        if _habits.log is not None:
            with StringIO() as text:
                Console(file=text, width=_WIDTH_OF_LOGS, highlight=False, markup=False).print(
                    *objects, **options
                )
                _log(text.getvalue())


def _log(text: str) -> None:
    """Write lines with the time; a log that cannot be written any more ends nothing."""
    log = _habits.log
    if log is None:
        return
    moment = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        log.writelines(f"{moment} {line}\n" for line in text.splitlines())
        log.flush()
    except OSError:
        _habits.log = None


def note(console: Console, text: str) -> None:
    """Log what is done when, and print it where a person asked for that."""
    if _habits.verbose:
        say(console, text, "dim")
    else:
        _log(text)


# Tables in files and pipes are for grep, cut and awk: a row is a line.
_WIDTH_OF_PIPES = 10_000
_WIDTH_OF_LOGS = 160


def make_console(*, stderr: bool = False) -> Console:
    """Return a console; colours and live lines only on a terminal, and none with NO_COLOR."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character gets another one, not a traceback.
            stream.reconfigure(errors=_HANDLER)
    stream = sys.stderr if stderr else sys.stdout
    is_piped = not stream.isatty() and not os.environ.get("COLUMNS")
    return _CleanConsole(
        stderr=stderr,
        width=_WIDTH_OF_PIPES if is_piped else None,
        highlight=False,
        markup=False,
        emoji=False,
        quiet=_habits.quiet,
    )


def styled(text: str, style: str = "", **options: Any) -> Text:
    """Return a text in one style, clean: the only way that texts of rich are made."""
    return Text(printable(text), style, **options)


def say(console: Console, text: str = "", style: str = "") -> None:
    """Print a line as it is: file names and ttnn's words are neither wrapped nor interpreted."""
    console.print(styled(text, style), soft_wrap=True)


_results: list[str] = []
"""The JSON objects that were written since :func:`forget_results`."""


def forget_results() -> None:
    """Begin a command, which has written nothing yet."""
    _results.clear()


def write_failure(message: str, exit_code: int) -> None:
    """Write the JSON object of a command that failed, unless it has written its result before."""
    if _results:
        return
    text = _json({"error": message, "exit_code": exit_code})
    sys.stdout.write(text)
    sys.stdout.flush()


def _json(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, indent=2, allow_nan=False) + "\n"
    _results.append(text)
    return text


class Screen:
    """Where a command writes: ``console`` for words, :meth:`result` for what it came to."""

    def __init__(self, descriptor: int | None) -> None:
        self.console: Console = make_console(stderr=descriptor is not None)
        self._descriptor = descriptor

    def result(self, plain: Mapping[str, Any]) -> None:
        """Write the command's JSON object, if it is asked for."""
        if self._descriptor is None:
            return
        text = _json(plain)
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
