"""Where a schedule may be written."""

from pathlib import Path

from autosched.errors import ScheduleError

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
