"""A schedule written to a file, whole or not at all.

JSON has the same values as the Python module, for programs without ttnn.
"""

import contextlib
import json
import os
import secrets
from pathlib import Path

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.validation import validate_schedule
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import to_plain


def save_schedule(schedule: Schedule, path: str | os.PathLike[str]) -> Path:
    """Write a schedule as JSON (``.json``) or as a Python module (``.py``), and return its path.

    An existing file is replaced only when the new one is complete.

    Raises:
        ScheduleError: for another ending, a value that could not be read back, or a place that
            cannot be written.
    """
    target = Path(path)
    if target.suffix not in (".py", ".json"):
        raise ScheduleError(f"{target}: a schedule is exported as .py or .json; name it so")
    text = render_json(schedule) if target.suffix == ".json" else render_schedule(schedule)
    try:
        _replace(target, text)
    except OSError as error:
        raise ScheduleError(
            f"{target}: cannot be written: {error.strerror}. Name another place with -o."
        ) from None
    return target


def render_json(schedule: Schedule) -> str:
    """Return the schedule as JSON text; the same schedule gives the same text.

    Raises:
        ScheduleError: if the schedule has a value that could not be read back.
    """
    schedule = schedule.with_own_execution()
    validate_schedule(schedule, f"schedule of {schedule.provenance.network}")
    return json.dumps(to_plain(schedule), indent=2) + "\n"


def _replace(target: Path, text: str) -> None:
    draft = target.parent / f".{target.name}.{secrets.token_hex(8)}"
    # Unlike tempfile's, an ordinary file that everybody may read whom the umask lets.
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


_MARKS = ("PROVENANCE", '"provenance"')


def check_target(path: Path) -> None:
    """Check a place for a schedule before the work that leads to it.

    Raises:
        ScheduleError: for another ending than .py or .json, a missing directory, or a file that
            is not a schedule: a network file must not be overwritten by its schedule.
    """
    if path.suffix not in (".py", ".json"):
        raise ScheduleError(f"{path}: a schedule is exported as .py or .json; name it so")
    if not path.parent.is_dir():
        raise ScheduleError(f"{path}: there is no directory {path.parent}; create it first")
    if path.exists() and not _is_schedule(path):
        raise ScheduleError(
            f"{path}: this file is there and is no exported schedule; name another, or remove it"
        )


def _is_schedule(path: Path) -> bool:
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return not text or any(mark in text for mark in _MARKS)
