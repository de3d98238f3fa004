"""What the user pins or forbids: ``layer1.*:shard_layout=height``.

A restriction names layers by a pattern of the shell's kind, a field of their configuration, and a
value. A pin leaves the candidates that have the value, a prohibition those that do not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from autosched.errors import SearchError
from autosched.search.choice import Choice, Tables

_OUTPUT_FIELDS = ("memory", "sharding")
_EXAMPLE = "'layer1.*:shard_layout=height'"


@dataclass(frozen=True)
class Restriction:
    """One pin or prohibition.

    ``field`` is one of the configuration's, or ``memory`` or ``sharding`` of the output.
    """

    pattern: str
    field: str
    value: str
    pins: bool

    @classmethod
    def parse(cls, text: str, *, pins: bool) -> "Restriction":
        """Read ``PATTERN:FIELD=VALUE``.

        Raises:
            SearchError: if it is not of that form.
        """
        pattern, colon, rest = text.rpartition(":")
        field, equals, value = rest.partition("=")
        if not (pattern and colon and field and equals and value):
            option = "--pin" if pins else "--forbid"
            raise SearchError(f"{option} {text!r}: expected LAYERS:FIELD=VALUE, such as {_EXAMPLE}")
        return cls(pattern, field, value.lower(), pins)

    def __str__(self) -> str:
        option = "--pin" if self.pins else "--forbid"
        return f"{option} '{self.pattern}:{self.field}={self.value}'"

    def layers(self, names: Iterable[str]) -> list[str]:
        """Return the layers that it names.

        Raises:
            SearchError: if there are none, with what is spelled alike.
        """
        known = list(names)
        found = [name for name in known if fnmatchcase(name, self.pattern)]
        if not found:
            near = get_close_matches(self.pattern, known, n=3, cutoff=0.3) or known[:3]
            raise SearchError(
                f"{self}: no such layer among {len(known)}, such as {', '.join(near)}"
            )
        return found

    def leaves(self, choice: Choice) -> bool:
        """Whether a candidate may be chosen; one without the field may."""
        value = field_of(choice, self.field)
        return value is None or (value == self.value) is self.pins


def restrictions(pins: Iterable[str], forbidden: Iterable[str]) -> list[Restriction]:
    """Return what the user pins and forbids.

    Raises:
        SearchError: for a text that is neither.
    """
    return [
        *(Restriction.parse(text, pins=True) for text in pins),
        *(Restriction.parse(text, pins=False) for text in forbidden),
    ]


def restricted(tables: Tables, rules: Sequence[Restriction]) -> Tables:
    """Return the tables without the candidates that some rule excludes.

    Raises:
        SearchError: if a rule is of no layer, of no field of theirs, or leaves a layer without a
            candidate; the message says what there is.
    """
    for rule in rules:
        tables = {**tables, **_restricted_by(rule, tables)}
    return tables


def _restricted_by(rule: Restriction, tables: Tables) -> Tables:
    meant = rule.layers(tables)
    known = {name for layer in meant for choice in tables[layer] for name in _fields(choice)}
    if rule.field not in known:
        raise SearchError(
            f"{rule}: these layers have no such field, but {', '.join(sorted(known))}"
        )
    return {name: _left(rule, name, tables[name]) for name in meant}


def _left(rule: Restriction, name: str, choices: Sequence[Choice]) -> tuple[Choice, ...]:
    left = tuple(filter(rule.leaves, choices))
    if not left:
        values = sorted({str(field_of(choice, rule.field)) for choice in choices})
        raise SearchError(
            f"{rule}: leaves no candidate of layer {name}, which has {rule.field} "
            f"{', '.join(values)}"
        )
    return left


def field_of(choice: Choice, name: str) -> str | None:
    """Return a field's value as it is written in a restriction, None if there is no such field."""
    if name in _OUTPUT_FIELDS:
        return str(getattr(choice.output_layout, name))
    return _text(getattr(choice.config, name)) if name in _fields(choice) else None


def _text(value: Any) -> str:
    """Return "height", "64", "true", "none", or core ranges as "(0,0)-(7,7)"."""
    parts = value if isinstance(value, tuple) else (value,)
    return "+".join(str(part) for part in parts).lower() or "none"


def _fields(choice: Choice) -> list[str]:
    """Return the fields that hold a word, a number or core ranges."""
    plain = (item.name for item in fields(choice.config))
    return [
        *_OUTPUT_FIELDS,
        *(name for name in plain if not is_dataclass(getattr(choice.config, name))),
    ]
