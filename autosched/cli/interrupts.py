"""Ctrl-C and requests to end: once to save and stop, three times to stop at once.

The first signal raises :class:`Interrupted` wherever the program is. Everything that matters is
stored the moment it is known, so the way out only has to close what is open. A second signal during
that is only noted, a third ends the process.
"""

import os
import signal
from types import FrameType

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_EXIT_BASE = 128
_GIVE_UP = 3
_seen: list[int] = []


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end."""


def install() -> None:
    """Take over the signals, except those that the caller of the program ignores (nohup)."""
    _seen.clear()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def received() -> bool:
    """Return whether a signal has asked the program to end."""
    return bool(_seen)


def exit_code() -> int:
    """Return the exit code for the first signal: 130 for Ctrl-C, 143 for SIGTERM."""
    return _EXIT_BASE + (_seen[0] if _seen else signal.SIGINT)


def check() -> None:
    """Raise Interrupted if a signal came whose exception a library has swallowed."""
    if _seen:
        raise Interrupted


def _handle(number: int, _frame: FrameType | None) -> None:
    _seen.append(number)
    if len(_seen) == 1:
        raise Interrupted
    if len(_seen) >= _GIVE_UP:
        os._exit(exit_code())
    os.write(2, b"\nsaving; once more to end at once\n")
