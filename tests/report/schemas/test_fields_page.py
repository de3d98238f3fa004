from pathlib import Path

from autosched.report.schemas.fields_page import Field, fields_page, schema_fields, sections
from autosched.report.schemas.json_schemas import schema_of

PAGE = Path(__file__).parents[3] / "docs" / "json.md"


def test_the_page_is_made_of_the_schemas() -> None:
    assert PAGE.read_text() == fields_page(), "make it again: autosched schema --page docs/json.md"


def test_a_field_is_a_path_with_what_it_holds() -> None:
    number = {"type": ["number", "null"], "description": "How much."}
    listed = {"type": "array", "items": {"type": "object", "properties": {"n": number}}}
    named = {"type": "object", "additionalProperties": listed, "description": "By name."}
    schema = {"properties": {"a": named, "b": {"enum": ["x", None]}}, "required": ["a"]}
    assert list(schema_fields(schema)) == [
        Field("a", "by name: list of object", "By name."),
        Field("a{}[].n", "number or null, or nothing", "How much."),
        Field("b", '"x" or null, or nothing', ""),
    ]


def test_kinds_of_objects_and_shared_ones_are_followed() -> None:
    assert [title for title, _ in sections(schema_of("db purge"))] == [
        "with --stale", "with --damaged", "with --kind",
    ]  # fmt: skip
    ((_, fields),) = sections(schema_of("resume"))
    assert {"latency_us", "bound_us"} <= {field.path for field in fields}
