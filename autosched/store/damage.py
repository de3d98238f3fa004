"""Rows that do not hold what autosched writes: named, with what becomes of them.

Another program, a failing disk or an attacker may have changed them; SQLite keeps any value in any
column. What is read of a row passes :func:`check_row` before it is used.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from autosched.errors import StoreError
from autosched.schedule.outcomes import RejectionKind, TimeKind, Verdict
from autosched.store import models

_WORDS: Mapping[str, frozenset[str]] = {
    "state": frozenset({"complete", "rejected"}),
    "latency_kind": frozenset(kind.value for kind in TimeKind),
    "rejection": frozenset(kind.value for kind in RejectionKind),
    "rejection_kind": frozenset(kind.value for kind in RejectionKind),
    "verdict": frozenset(verdict.value for verdict in Verdict),
}
# What a constant output agrees with is not a number.
_AGREEMENTS = frozenset({"pcc", "concordance"})
_LONGEST = 200
_Check = Callable[[Any], str]


def damaged(where: str, why: str, way_out: str = "") -> StoreError:
    """Return the error for a row; ``where`` names database, table and row."""
    way_out = way_out or "delete all that is damaged with: autosched db purge --damaged"
    short = why if len(why) <= _LONGEST else why[:_LONGEST] + "..."
    return StoreError(
        f"{where}: the stored value cannot be read ({short}). The row is damaged or was written by "
        f"another version of autosched; restore the database from a backup, or {way_out}"
    )


def check_row(table: type[models.Base], row: Mapping[Any, Any], place: str) -> None:
    """Make sure that each value of a row is of its column's kind.

    ``row`` has the values of its id and of some other columns.

    Raises:
        StoreError: naming database, table and row.
    """
    checks = _checks(table)
    for name, value in row.items():
        if why := checks[name](value):
            where = f"{place}: {table.__tablename__} {row.get('id')}"
            raise damaged(where, f"{name}: {why}", _way_out(table, row))


def _way_out(table: type[models.Base], row: Mapping[Any, Any]) -> str:
    if table is not models.StudyRow or not isinstance(row.get("name"), str):
        return ""
    return f"forget the study with: {shlex.join(['autosched', 'delete', row['name']])}"


def check_entity(entity: models.Base, place: str) -> None:
    """Make sure of the same of a whole row.

    Raises:
        StoreError: naming database, table and row.
    """
    names = _checks(type(entity))
    check_row(type(entity), {name: getattr(entity, name) for name in names}, place)


@cache
def _checks(table: type[models.Base]) -> dict[str, _Check]:
    return {column.name: _check_of(column) for column in table.__table__.columns}


def _check_of(column: Any) -> _Check:
    kind: type[Any] = list if column.name == "input_layouts" else column.type.python_type
    words = _WORDS.get(column.name)

    def check(value: Any) -> str:
        if value is None:
            return "" if column.nullable else "there is none"
        if isinstance(value, models.Unreadable):
            return value.why
        if kind is float:
            return _number(value, may_be_nan=column.name in _AGREEMENTS)
        if not isinstance(value, kind):
            return f"expected {kind.__name__}, not {type(value).__name__}"
        return _word(value, words)

    return check


def _number(value: Any, *, may_be_nan: bool) -> str:
    if not isinstance(value, int | float) or not (may_be_nan or math.isfinite(value)):
        return f"expected a number, not {str(value)[:40]}"
    return ""


def _word(value: Any, words: Iterable[str] | None) -> str:
    if words is None or value in words:
        return ""
    return f"{value[:40]!r} is not one of {', '.join(sorted(words))}"
