"""Durations as people type them."""

import re

from autosched.errors import SearchError

_FORM = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d+)?)s?)?"
)


def parse_duration(text: str) -> float:
    """Return the seconds of "90s", "10m", "1h30m" or plain seconds.

    Raises:
        SearchError: if it is none of these.
    """
    found = _FORM.fullmatch(text.strip().lower().replace(" ", ""))
    if found is None or not any(found.groups()):
        raise SearchError(f"--timeout {text!r} is no duration; write 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.group("h", "m", "s"))
    return hours * 3600 + minutes * 60 + seconds
