"""The JSON Schemas of what commands write with ``--json``, one file for each command.

``definitions.json`` has what several of them share. Fields may be added by a later version; none is
taken away or changes its meaning without a line in CHANGELOG.md.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ERROR = "error"
"""The name of the object that a command writes where it fails."""
_HERE = Path(__file__).parent
_SHARED = "definitions"
_REFERENCE = re.compile(r"^#/\$defs/(\w+)$")


def documented() -> list[str]:
    """Return the commands that have a schema, as they are typed, and :data:`ERROR`."""
    names = sorted(path.stem for path in _HERE.glob("*.json") if path.stem != _SHARED)
    return [name.replace("_", " ") for name in names]


def schema_of(command: str) -> dict[str, Any]:
    """Return the whole schema of a command's object, or of what several share, as one document.

    Raises:
        KeyError: if there is no such command or definition.
    """
    title = f"autosched {command} --json"
    if command in documented():
        own = _read(command.replace(" ", "_"))
        title = "A command that failed" if command == ERROR else title
    else:
        own, title = shared_schemas()[command], command
    whole = {"$schema": DIALECT, "title": title, **own}
    used = _used(own)
    if used:
        whole["$defs"] = {name: shared_schemas()[name] for name in sorted(used)}
    return whole


def shared_schemas() -> dict[str, Any]:
    """Return what schemas share, by name."""
    return _read(_SHARED)


@cache
def _read(stem: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((_HERE / f"{stem}.json").read_text(encoding="utf-8"))
    return plain


def _used(schema: Any) -> set[str]:
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        new = set(references(waiting.pop())) - found
        found |= new
        waiting += [shared_schemas()[name] for name in new]
    return found


def references(schema: Any) -> Iterator[str]:
    """Yield the names of the definitions that a schema refers to itself."""
    if isinstance(schema, dict):
        if match := _REFERENCE.match(str(schema.get("$ref", ""))):
            yield match[1]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)
