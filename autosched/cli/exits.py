"""Ctrl-C and requests to end: once to save and stop, three times to stop at once.

The first signal raises :class:`Interrupted` wherever the program is. Everything that matters is
stored the moment it is known, so the way out only has to close what is open. A second signal during
that is only noted, a third ends the process.
"""

import errno
import os
import secrets
import signal
import sys
import tempfile
import traceback
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

from autosched.errors import AutoschedError

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_EXIT_BASE = 128
# Taken here, since code of others is executed with another one.
_end_at_once = os._exit
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


def check_interrupt() -> None:
    """Raise Interrupted if a signal came whose exception a library has swallowed."""
    if _seen:
        raise Interrupted


def _handle(number: int, _frame: FrameType | None) -> None:
    _seen.append(number)
    if len(_seen) == 1:
        raise Interrupted
    if len(_seen) >= _GIVE_UP:
        _end_at_once(exit_code())
    os.write(2, b"\nsaving; once more to end at once\n")


_BUG = 1
_ENVIRONMENT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
# A name that is bytes, or one that a locale of ASCII alone has no bytes for.
_NOT_UTF8 = ("surrogates not allowed", "ordinal not in range(128)")
_UNUSABLE_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.ELOOP)


def report_failure(error: BaseException) -> int:
    """Print the message for an exception and return the exit code."""
    if isinstance(error, AutoschedError):
        _print(f"error: {error}")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        leave_output()
        return _BUG
    if isinstance(error, UnicodeEncodeError) and error.reason in _NOT_UTF8:
        _print(
            f"error: {str(error.object)[:200]}: this name is not UTF-8 in this locale. Name the "
            "file or directory so, and if it is, set the locale: LC_ALL=C.UTF-8"
        )
        return AutoschedError.exit_code
    if isinstance(error, OSError) and error.errno in _UNUSABLE_NAME:
        _print(f"error: {error.filename or 'a file'}: {error.strerror}. Name another file")
        return AutoschedError.exit_code
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
        place = error.filename or "the system"
        _print(
            f"error: {place}: {error.strerror}. Free some space or change the permissions there, "
            "and run again; every finished trial is kept"
        )
        return AutoschedError.exit_code
    _print(
        f"error: autosched failed where it should not: {without_passwords(_headline(error))}\n"
        f"Please report it with {_write_traceback(error)}; every finished trial is kept"
    )
    return _BUG


_told: list[str] = []


def forget_failures() -> None:
    """Begin a command, of which nothing has failed yet."""
    _told.clear()


def note_failure(message: str) -> None:
    """Remember what was said of a failure, for the JSON object of ``--json``."""
    _told.append(message)


def told_failure() -> str:
    """Return what was said of a failure, "interrupted" after a signal."""
    return "interrupted" if received() or not _told else _told[-1]


def _print(message: str) -> None:
    from autosched.passwords import hide_passwords
    from autosched.report.output import printable

    shown = hide_passwords(message)
    note_failure(shown.removeprefix("error: "))
    sys.stdout.flush()
    print(printable(shown), file=sys.stderr, flush=True)  # noqa: T201 - the last words of the program


def leave_output() -> None:
    """Write nowhere from here on: whoever read the output has left, and Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _headline(error: BaseException) -> str:
    first_line = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def _write_traceback(error: BaseException) -> str:
    """Write the traceback to a file of its own and return where it is."""
    text = without_passwords("".join(traceback.format_exception(error)))
    command = " ".join(without_passwords(word) for word in sys.argv)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    from autosched.device.caches import reports_dir

    for directory in (reports_dir(), Path(tempfile.gettempdir())):
        path = directory / f"autosched-failure-{stamp}-{os.getpid()}-{secrets.token_hex(4)}.txt"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _write_private(path, f"{command}\n\n{text}")
        except OSError:
            continue
        return f"the details in {path}"
    return f"these details:\n{text}"


def _write_private(path: Path, text: str) -> None:
    """Write a new file that nobody else may read, whatever it is that a password was missed in."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def without_passwords(text: str) -> str:
    """Return a text without the passwords of this command line and its environment."""
    from autosched.passwords import hide_passwords, passwords_in

    known = {os.environ.get("PGPASSWORD", "")} - {""}
    for word in (*sys.argv, os.environ.get("AUTOSCHED_STORAGE", "")):
        known |= passwords_in(word)
    return hide_passwords(text, known)
