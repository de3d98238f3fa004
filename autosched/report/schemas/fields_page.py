"""The fields of what commands write, as rows and as a page of Markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autosched.report.schemas.json_schemas import ERROR, documented, schema_of, shared_schemas

_WORDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}
_INTRODUCTION = """\
# What commands write with `--json`

Every command but `worker` and `serve` takes `--json`: it writes exactly one JSON object to standard
output, and all that is said to standard error. Where it fails, the object is that of
[an error](#error). The exit code is 0; 1 where `check`, `verify` or `simulate` find something
wrong, and for a bug; 2 for an error that you can put right; 130 after Ctrl-C.

Names of fields say the unit: `_us` microseconds, `_ms` milliseconds, `_s` seconds, `_bytes` bytes.
A time stands beside its kind: *measured* on a card, *estimated* by the cost model; accuracy is
*executed* on a card, *simulated* or *emulated*. A share is a number from 0 to 1. Infinity and NaN
are `null`. In the tables, `a.b` is a field of an object, `a[].b` one of each object of a list,
`a{}.b` one of each object by name; "or nothing" says that a field may be left out.

`autosched schema COMMAND` prints a command's fields, `autosched schema COMMAND --json` its
[JSON Schema](https://json-schema.org) (draft 2020-12); the schemas are files of the package, in
`autosched/report/schemas/`. A later version may add fields; none is taken away, or changes its
meaning, without a line in [CHANGELOG.md](../CHANGELOG.md). Tests check what commands write against
them.

This page is made of the schemas by `autosched schema --page docs/json.md`.
"""


@dataclass(frozen=True)
class Field:
    """A field: its path, what it holds in words, and what it means."""

    path: str
    holds: str
    meaning: str


def schema_fields(schema: Mapping[str, Any], before: str = "") -> Iterator[Field]:
    """Yield the fields of an object, those of objects in it after them."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{before}{name}"
        holds = _held(field)
        if name not in required:
            holds += ", or nothing"
        yield Field(path, holds, field.get("description", ""))
        inner, ending = field, ""
        while "properties" not in inner:
            if "items" in inner:
                inner, ending = inner["items"], f"{ending}[]"
            elif isinstance(inner.get("additionalProperties"), Mapping):
                inner, ending = inner["additionalProperties"], f"{ending}{{}}"
            else:
                break
        yield from schema_fields(inner, f"{path}{ending}.")


def _held(field: Mapping[str, Any]) -> str:
    """Return what a field holds in words; definitions by their names."""
    if "anyOf" in field:
        return " or ".join(_held(part) for part in field["anyOf"])
    if "$ref" in field:
        return f"*{str(field['$ref']).rpartition('/')[2]}*"
    if "enum" in field:
        return " or ".join("null" if value is None else f'"{value}"' for value in field["enum"])
    kinds = field.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    return " or ".join(_kind(kind, field) for kind in kinds) or "any"


def _kind(kind: str, field: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_held(field['items'])}"
    if kind == "object":
        values = field.get("additionalProperties")
        return f"by name: {_held(values)}" if isinstance(values, Mapping) else "object"
    return _WORDS.get(kind, kind)


def fields_page() -> str:
    """Return the page: each command with its fields, then what several of them share."""
    names = [*(name for name in documented() if name != ERROR), ERROR]
    commands = [f"## {name}\n\n{_described(schema_of(name))}" for name in names]
    shared = [f"### {name}\n\n{_described(schema)}" for name, schema in shared_schemas().items()]
    return "\n".join([_INTRODUCTION, *commands, "## Shared\n", *shared])


def sections(schema: Mapping[str, Any]) -> Iterator[tuple[str, list[Field]]]:
    """Yield the fields of an object that a schema is of, of each kind there is with what it is."""
    for variant in schema.get("anyOf", (schema,)):
        own = variant
        while "$ref" in own:
            own = shared_schemas()[str(own["$ref"]).rpartition("/")[2]]
        yield variant["description"], list(schema_fields(own))


def _described(schema: Mapping[str, Any]) -> str:
    text = f"{schema['description']}\n"
    if "$ref" in schema:
        return f"{text}\nThe object is {_linked(_held(schema))}.\n"
    if "enum" in schema:
        return f"{text}\nOne of {', '.join(str(value) for value in schema['enum'])}.\n"
    for variant in schema.get("anyOf", ()):
        said = variant["description"]
        text += f"\n**{said[0].upper()}{said[1:]}.**\n{_body(variant)}"
    return text + _body(schema)


def _body(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"\nThe object is {_linked(_held(schema))}.\n"
    rows = [
        f"| `{field.path}` | {_linked(field.holds)} | {field.meaning} |\n"
        for field in schema_fields(schema)
    ]
    if not rows:
        return ""
    return "".join(["\n| field | holds | meaning |\n|---|---|---|\n", *rows])


def _linked(holds: str) -> str:
    """Return words in which names of definitions lead to them."""
    parts = holds.split("*")
    parts[1::2] = [f"[{name}](#{name})" for name in parts[1::2]]
    return "".join(parts)
