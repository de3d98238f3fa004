"""A schedule written to a file, whole or not at all.

JSON has the same values as the Python module, for programs without ttnn.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from autosched.errors import ScheduleError
from autosched.export.config_module import render_schedule
from autosched.export.loading import load_schedule
from autosched.export.validation import validate_schedule
from autosched.files import replace_file
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
    _write(target, text)
    return target


def _write(target: Path, content: str | bytes) -> None:
    try:
        replace_file(target, content)
    except OSError as error:
        raise ScheduleError(
            f"{target}: cannot be written: {error.strerror}. Name another place with -o."
        ) from None


def render_json(schedule: Schedule) -> str:
    """Return the schedule as JSON text; the same schedule gives the same text.

    Raises:
        ScheduleError: if the schedule has a value that could not be read back.
    """
    schedule = schedule.with_own_execution()
    validate_schedule(schedule, f"schedule of {schedule.provenance.network}")
    return json.dumps(to_plain(schedule), indent=2) + "\n"


FORMATS: Mapping[str, str] = {
    "module": ".py",
    "json": ".json",
    "model": ".py",
    "ttcnn": ".py",
    "tt-mlir": ".txt",
}
"""What a schedule is exported as, and the ending of the file."""


def format_of(named: str | None, path: str | None) -> str:
    """Return the format that a user ``named``, else that of a file's ending, else "module".

    Raises:
        ScheduleError: for a format that there is not, or a file with the ending of another one.
    """
    suffix = "" if path is None else Path(path).suffix
    if named is None:
        return "json" if suffix == ".json" else "module"
    if named not in FORMATS:
        raise ScheduleError(f"--format {named}: there is none; it is one of {', '.join(FORMATS)}")
    if path is not None and suffix != FORMATS[named]:
        raise ScheduleError(f"{path}: {named} is exported as {FORMATS[named]}; name it so")
    return named


def check_text_target(path: Path) -> None:
    """Check a place for what is not read back, before the work that leads to it.

    Raises:
        ScheduleError: for a missing directory, or a file that no export wrote.
    """
    if not path.parent.is_dir():
        raise ScheduleError(f"{path}: there is no directory {path.parent}; create it first")
    if path.exists() and TEXT_MARK not in _head(path):
        raise ScheduleError(
            f"{path}: this file is there and no export of ours; name another, or remove it"
        )


def save_text(text: str, path: Path, *, force: bool = False, weights: bytes | None = None) -> None:
    """Write what is not read back, in place of what an export wrote before.

    ``weights`` are written to :func:`weights_file` beside it, first.

    Raises:
        ScheduleError: if another text is there, unless by ``force``; or if it cannot be written.
    """
    check_text_target(path)
    if weights is not None and not path.exists() and weights_file(path).exists() and not force:
        raise ScheduleError(
            f"{weights_file(path)}: this file is there, and no {path.name} whose weights it has; "
            "name another, or replace it with autosched export --force"
        )
    if path.exists() and not force and path.read_text(encoding="utf-8", errors="replace") != text:
        raise ScheduleError(
            f"{path}: this file was edited, or is of another trial or version. Name another, or "
            "replace it with autosched export --force"
        )
    if weights is not None:
        _write(weights_file(path), weights)
    _write(path, text)


def weights_file(path: Path) -> Path:
    """Return where the weights of a model are."""
    return path.with_suffix(".pt")


TEXT_MARK = "autosched export"
"""Stands at the beginning of what is not read back."""
_HEAD = 4000


def _head(path: Path) -> str:
    if not path.is_file():
        return ""
    return path.read_text(encoding="utf-8", errors="replace")[:_HEAD]


_MARKS = ("PROVENANCE", '"provenance"')


def check_target(path: Path, *, force: bool = False) -> None:
    """Check a place for a schedule before the work that leads to it.

    Raises:
        ScheduleError: for another ending than .py or .json, a missing directory, or a file that
            is not a schedule: a network file must not be overwritten by its schedule. Without
            ``force`` also for a schedule that was edited since it was exported.
    """
    if path.suffix not in (".py", ".json"):
        raise ScheduleError(f"{path}: a schedule is exported as .py or .json; name it so")
    if not path.parent.is_dir():
        raise ScheduleError(f"{path}: there is no directory {path.parent}; create it first")
    if path.exists() and not _is_schedule(path):
        raise ScheduleError(
            f"{path}: this file is there and is no exported schedule; name another, or remove it"
        )
    if path.exists() and not force and _is_edited(path):
        raise ScheduleError(
            f"{path}: this schedule was edited since it was exported, or exported by another "
            "version of autosched. Name another file, or replace it with autosched export --force"
        )


def _is_edited(path: Path) -> bool:
    """Return whether a file is otherwise than its own schedule is exported."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if not text:
        return False
    try:
        schedule = load_schedule(path, safe=True)
        again = render_json(schedule) if path.suffix == ".json" else render_schedule(schedule)
    except ScheduleError:
        return True
    # Rendered anew, edited values are without the execution of those before.
    return again != text


def _is_schedule(path: Path) -> bool:
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return not text or any(mark in text for mark in _MARKS)
