"""Code of others that is executed in this process: network files, and schedules as modules.

It may raise what is meant to end a process, or end it. Both become one error with its place. What
no Python code can withstand, a segmentation fault, leaves Python's own words with the line of the
file.
"""

import faulthandler
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# The real ones: what stands there later may be a replacement that another thread put.
_ENDINGS: dict[str, Callable[..., Any]] = {
    name: getattr(os, name) for name in ("_exit", "abort", "execv", "execve")
}
_kept: Counter[int] = Counter()  # how many contexts each process is in: a fork inherits others'
_lock = threading.Lock()


class ProcessEndError(BaseException):
    """Code of others would have ended the process; no ``except Exception`` of its own hides it."""


@contextmanager
def process_kept() -> Iterator[None]:
    """Have ``os._exit``, ``os.abort`` and ``os.exec...`` raise :class:`ProcessEndError`.

    A child process that the code forks ends as it should. Threads may overlap: the last one that
    leaves puts the real ones back.
    """
    here = os.getpid()
    _enter(here)
    try:
        with _told_where():
            yield
    finally:
        _leave(here)


def _enter(here: int) -> None:
    with _lock:
        _kept[here] += 1
        for name, own in _ENDINGS.items():
            setattr(os, name, _refusing(own))


def _leave(here: int) -> None:
    with _lock:
        _kept[here] -= 1
        if not _kept.total():
            for name, own in _ENDINGS.items():
                setattr(os, name, own)


def _refusing(own: Callable[..., Any]) -> Callable[..., Any]:
    def end(*arguments: Any, **keywords: Any) -> Any:
        if not _kept[os.getpid()]:
            return own(*arguments, **keywords)
        words = ", ".join(map(repr, arguments))
        raise ProcessEndError(f"os.{own.__name__}({words}) would end autosched itself")

    return end


@contextmanager
def _told_where() -> Iterator[None]:
    """Have Python print the line at which a fatal signal ends the process."""
    if faulthandler.is_enabled():
        yield
        return
    try:
        faulthandler.enable(sys.__stderr__ or 2)
    except (OSError, ValueError):  # standard error is closed
        yield
        return
    try:
        yield
    finally:
        faulthandler.disable()


def is_of_the_user(error: BaseException) -> bool:
    """Return whether code of others raised an exception, and no signal that asks us to end.

    A KeyboardInterrupt is the user's Ctrl-C where Python itself handles that, and where autosched
    does if it is of a class of autosched's.
    """
    if not isinstance(error, KeyboardInterrupt):
        return True
    if type(error).__module__.partition(".")[0] == "autosched":
        return False
    return signal.getsignal(signal.SIGINT) is not signal.default_int_handler
