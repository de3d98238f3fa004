"""A schedule written to a file, whole or not at all.

JSON has the same values as the Python module, for programs without ttnn.
"""

import json
import os
from pathlib import Path

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.validation import validate_schedule
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import to_plain
from autosched.whole_files import replace_file


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
        replace_file(target, text)
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
