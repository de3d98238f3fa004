"""What an exception becomes: one message on standard error and an exit code."""

import errno
import os
import sys
import tempfile
import traceback
from datetime import datetime, timezone
from pathlib import Path

from autosched.errors import AutoschedError

_BUG = 1
_ENVIRONMENT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def report_failure(error: BaseException) -> int:
    """Print the message for an exception and return the exit code."""
    if isinstance(error, AutoschedError):
        _print(f"error: {error}")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        # Whoever read the output has left; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BUG
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
        place = error.filename or "the system"
        _print(
            f"error: {place}: {error.strerror}. Free some space or change the permissions there, "
            "and run again; every finished trial is kept"
        )
        return AutoschedError.exit_code
    _print(
        f"error: autosched failed where it should not: {_headline(error)}\n"
        f"Please report it with {_write_traceback(error)}; every finished trial is kept"
    )
    return _BUG


def _print(message: str) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - the last words of the program


def _headline(error: BaseException) -> str:
    first_line = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def _write_traceback(error: BaseException) -> str:
    """Write the traceback to a file of its own and return where it is."""
    text = "".join(traceback.format_exception(error))
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    for directory in (_reports_dir(), Path(tempfile.gettempdir())):
        path = directory / f"autosched-failure-{stamp}-{os.getpid()}.txt"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{' '.join(sys.argv)}\n\n{text}", encoding="utf-8")
        except OSError:
            continue
        return f"the details in {path}"
    return f"these details:\n{text}"


def _reports_dir() -> Path:
    from autosched.device.mock_setup import cache_dir  # noqa: PLC0415 - only needed for a bug

    return cache_dir() / "failures"
