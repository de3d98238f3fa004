"""What a command writes, checked against its schema: no field is undocumented, none is missing."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jsonschema_rs

from autosched.report.schemas.json_schemas import ERROR, documented, schema_of

_WITH_VALUE = ("--log-file",)


def command_of(words: Sequence[str]) -> str:
    """The command that a command line is of, "" for none."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in _WITH_VALUE else 1]
    names = (" ".join(rest[:2]), rest[0] if rest else "")
    return next((name for name in names if name in documented()), "")


def closed(schema: Any) -> Any:
    """The schema with no other fields than those that it names."""
    if isinstance(schema, Mapping):
        found = {key: closed(value) for key, value in schema.items()}
        return {**found, "additionalProperties": False} if "properties" in schema else found
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


@cache
def validator(name: str) -> Any:
    return jsonschema_rs.Draft202012Validator(closed(schema_of(name)))


def faults(name: str, plain: Any) -> list[str]:
    """What of an output is not as its schema says; those of the kind that it is most like."""
    schema = closed(schema_of(name))
    found = []
    for variant in schema.get("anyOf", [schema]):
        one = jsonschema_rs.Draft202012Validator({**variant, "$defs": schema.get("$defs", {})})
        found.append(
            [f"{error.instance_path}: {error.message}" for error in one.iter_errors(plain)]
        )
    return min(found, key=len)


def check_output(words: Sequence[str], plain: Any, *, failed: bool = False) -> None:
    """Check what a command line came to; one that ``failed`` may write an error."""
    name = command_of(words)
    as_written = json.loads(json.dumps(plain))
    if failed and validator(ERROR).is_valid(as_written):
        return
    assert name, f"no schema: write autosched/report/schemas/COMMAND.json for {words}"
    if not validator(name).is_valid(as_written):
        raise AssertionError(f"{name}: {faults(name, as_written)[:5]}")
