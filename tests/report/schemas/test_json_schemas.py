"""Every command with --json has a schema that says what each field is; what they write is checked
wherever a test runs one (tests/cli/conftest.py)."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import jsonschema_rs
import pytest
from typer.main import get_command

from autosched.cli.app import app
from autosched.report.schemas.json_schemas import (
    ERROR,
    documented,
    references,
    schema_of,
    shared_schemas,
)
from autosched.schedule.outcomes import RejectionKind, Verdict
from tests.examples.json_outputs import check_output, command_of

WITHOUT = {"worker": "works until it is ended", "serve": "serves until it is ended"}
"""Commands that come to nothing a script could read, and why."""


def with_json(group: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command under its full name; each has --json but for those above."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from with_json(command, (*place, name))
        else:
            options = {word for parameter in command.params for word in parameter.opts}
            assert ("--json" in options) != (name in WITHOUT), f"{name} has no --json"
            if name not in WITHOUT:
                yield " ".join((*place, name))


def test_every_command_has_a_schema_and_every_schema_a_command() -> None:
    assert sorted(with_json(get_command(app))) == [name for name in documented() if name != ERROR]


def fields(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for value in schema.values():
            yield from fields(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from fields(item)


@pytest.mark.parametrize("name", [*documented(), *shared_schemas()])
def test_a_schema_is_one_document_and_says_what_each_field_is(name: str) -> None:
    schema = schema_of(name)
    assert jsonschema_rs.meta.is_valid(schema)
    assert schema["description"]
    assert set(references(schema)) == set(schema.get("$defs", {}))
    found = list(fields(schema))
    assert [field for field, said in found if not said.get("description", "").endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "known"), [("verdict", Verdict), ("rejection_kind", RejectionKind)]
)
def test_words_are_those_of_the_code(name: str, known: type[Enum]) -> None:
    assert shared_schemas()[name]["enum"] == [item.value for item in known]


def test_what_is_not_documented_is_found() -> None:
    assert command_of(["--log-file", "x", "db", "purge", "--stale"]) == "db purge"
    plain = {"autosched": "1", "ttnn": None}
    check_output(["version"], plain)
    with pytest.raises(AssertionError, match="'more' was unexpected"):
        check_output(["version"], {**plain, "more": 1})
    with pytest.raises(AssertionError, match="no schema: write"):
        check_output(["undocumented"], plain)
    check_output(["version"], {"error": "why", "exit_code": 2}, failed=True)
