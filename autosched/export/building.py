"""Plain values, from JSON or from a module's objects, as a valid schedule."""

from collections.abc import Mapping
from typing import Any, cast

from autosched.errors import ScheduleError
from autosched.export.validation import validate_schedule
from autosched.plain import from_plain
from autosched.schedule import Edge, LayerConfig, Provenance, Schedule, TensorLayout


def build_schedule(tables: Mapping[str, Any], file: str) -> Schedule:
    """Return the schedule that plain values describe.

    ``tables`` has ``provenance``, ``layers``, and where there are any ``reshards`` and ``moves``.

    Raises:
        ScheduleError: naming ``file``, the layer or edge, the field and what is legal.
    """
    schedule = Schedule(
        from_plain(Provenance, tables["provenance"], f"{file}: PROVENANCE"),
        {
            name: cast("LayerConfig", from_plain(LayerConfig, plain, f"{file}: layer {name!r}"))
            for name, plain in named_entries(tables["layers"], "layers", file)
        },
        _by_edge(tables.get("reshards", {}), "reshard", file),
        _by_edge(tables.get("moves", {}), "move", file),
    )
    validate_schedule(schedule, file)
    return schedule


def _by_edge(table: Any, noun: str, file: str) -> dict[Edge, TensorLayout]:
    return {
        _parse_edge(name, f"{file}: {noun} {name!r}"): from_plain(
            TensorLayout, plain, f"{file}: {noun} {name!r}"
        )
        for name, plain in named_entries(table, f"{noun}s", file)
    }


def named_entries(table: Any, what: str, file: str) -> list[tuple[str, Any]]:
    """Return the items of a table whose keys are names.

    Raises:
        ScheduleError: if it is no such table.
    """
    if not isinstance(table, Mapping):
        raise ScheduleError(f"{file}: {what}: expected a table by name, not {table!r}")
    for name in table:
        if not isinstance(name, str):
            raise ScheduleError(f"{file}: {what}: {name!r} is no name; write it in quotes")
    return list(table.items())


def _parse_edge(text: str, where: str) -> Edge:
    try:
        edge = Edge.parse(text)
    except ScheduleError:
        edge = None
    if edge is None or str(edge) != text or not edge.consumer:
        raise ScheduleError(
            f"{where} is no edge; write 'producer -> consumer', or "
            "'producer -> consumer#1' for the consumer's second input"
        )
    return edge
