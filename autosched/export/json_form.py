"""A schedule as JSON: the same values as the Python module, for programs without ttnn."""

import json
from dataclasses import fields
from typing import Any

from autosched.errors import ScheduleError
from autosched.export.validation import build_schedule, validate_schedule
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import to_plain


def render_json(schedule: Schedule) -> str:
    """Return the schedule as JSON text; the same schedule gives the same text.

    Raises:
        ScheduleError: if the schedule has a value that could not be read back.
    """
    validate_schedule(schedule, f"schedule of {schedule.provenance.network}")
    return json.dumps(to_plain(schedule), indent=2) + "\n"


def parse_json(text: str, file: str) -> Schedule:
    """Read what :func:`render_json` wrote.

    Raises:
        ScheduleError: naming ``file`` and the place, if it is not JSON, not a schedule or has an
            illegal value.
    """
    try:
        plain = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ScheduleError(
            f"{file}:{error.lineno}: not JSON: {error.msg}. Correct it, or export again."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ScheduleError(f"{file}: not a schedule: {error}") from None
    if not isinstance(plain, dict) or not {"provenance", "layers"} <= set(plain):
        raise ScheduleError(f"{file}: not a schedule: it needs a provenance and layers")
    unknown = sorted(set(plain) - {item.name for item in fields(Schedule)})
    if unknown:
        raise ScheduleError(f"{file}: unknown field {', '.join(unknown)}")
    return build_schedule(plain, file)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is given twice, which JSON would silently take from the last."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"{key!r} is given twice")
        table[key] = value
    return table


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
