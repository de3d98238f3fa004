"""What the user pins or forbids: ``layer1.*:shard_layout=height``.

A restriction names layers by a pattern of the shell's kind, a field of their configuration, and a
value. A pin leaves the candidates that have the value, a prohibition those that do not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from autosched.errors import SearchError
from autosched.probing.candidates import Choice, ProbedTables, Tables
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.space.formats import FORMAT_FIELDS, OUTPUT, FormatPin, read_format

_OUTPUT_FIELDS = ("memory", "sharding")
_WHOLE = "configuration"
_EXAMPLE = "'layer1.*:shard_layout=height'"


@dataclass(frozen=True)
class Restriction:
    """One pin or prohibition.

    ``field`` is one of the configuration's or of its matrix engine's, or ``memory`` or ``sharding``
    of the output; or ``configuration``, whose value identifies all of it (:func:`freezing_pins`).
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
        rule = cls(pattern, field, value.lower(), pins)
        if pins and field in FORMAT_FIELDS:
            try:
                read_format(field, value)
            except SearchError as error:
                raise SearchError(f"{rule}: {error}") from None
        return rule

    @property
    def text(self) -> str:
        """The text that :meth:`parse` reads."""
        return f"{self.pattern}:{self.field}={self.value}"

    def __str__(self) -> str:
        if self.freezes:
            return f"--freeze '{self.pattern}'"
        return f"{'--pin' if self.pins else '--forbid'} '{self.text}'"

    def names(self, layer: str) -> bool:
        """Whether it is about a layer."""
        return fnmatchcase(layer, self.pattern)

    def layers(self, names: Iterable[str]) -> list[str]:
        """Return the layers that it names.

        Raises:
            SearchError: if there are none, with what is spelled alike.
        """
        known = list(names)
        found = list(filter(self.names, known))
        if not found:
            near = get_close_matches(self.pattern, known, n=3, cutoff=0.3) or known[:3]
            raise SearchError(
                f"{self}: no such layer among {len(known)}, such as {', '.join(near)}"
            )
        return found

    @property
    def freezes(self) -> bool:
        """Whether it keeps a layer as a given schedule has it."""
        return self.field == _WHOLE

    def leaves(self, choice: Choice) -> bool:
        """Whether a candidate may be chosen; one without the field may."""
        value = field_of(choice, self.field)
        return value is None or (value == self.value) is self.pins


def freezing_pins(schedule: Schedule, patterns: Iterable[str]) -> tuple[Restriction, ...]:
    """Return the pins by which the layers of some patterns keep what a schedule has for them.

    Raises:
        SearchError: if a pattern is of no layer.
    """
    pins: dict[str, Restriction] = {}
    for pattern in patterns:
        meant = Restriction(pattern, _WHOLE, "as in --start", pins=True)
        for name in meant.layers(schedule.layers):
            pins[name] = Restriction(name, _WHOLE, _identity(schedule.layers[name]), pins=True)
    return tuple(pins.values())


def keep_frozen(rules: Iterable[Restriction], tables: ProbedTables) -> ProbedTables:
    """Return tables in which frozen layers have what they keep, and nothing else.

    Raises:
        SearchError: if the device does not take that of a layer.
    """
    kept, left_out = dict(tables.kept), dict(tables.left_out)
    for rule in rules:
        left_out[rule.pattern] = ()
        kept[rule.pattern] = tuple(filter(rule.leaves, kept[rule.pattern]))
        if not kept[rule.pattern]:
            raise SearchError(
                f"layer {rule.pattern} cannot be frozen: the device rejects the configuration that "
                "--start has for it, or --pin or --forbid leaves it out"
            )
    return ProbedTables(kept, left_out)


def _identity(config: LayerConfig) -> str:
    """Identify a configuration; whether a halo moves to make room is not chosen."""
    if isinstance(config, Conv2dConfig | PoolConfig):
        config = replace(config, reallocate_halo_output=False)
    return digest(config)


def format_pins(rules: Iterable[Restriction]) -> tuple[FormatPin, ...]:
    """Return the pins that decide the formats of layers, as the later of two holds."""
    return tuple(
        FormatPin(rule.pattern, rule.field, rule.value)
        for rule in rules
        if rule.pins and rule.field in FORMAT_FIELDS
    )


def allowed(
    rules: Iterable[Restriction], layer: str, choices: Sequence[Choice]
) -> tuple[Choice, ...]:
    """Return the candidates of a layer that the rules leave.

    A rule for a pattern does not hold for a layer of which it would leave nothing, such as the
    network's output where DRAM is forbidden.

    Raises:
        SearchError: if a rule that names the layer itself leaves nothing; it says what there is.
    """
    for rule in rules:
        left = tuple(filter(rule.leaves, choices)) if rule.names(layer) else choices
        if choices and not left and rule.pattern == layer:
            values = sorted({str(field_of(choice, rule.field)) for choice in choices})
            raise SearchError(
                f"{rule}: leaves no candidate of layer {layer}, which has {rule.field} "
                f"{', '.join(values)}"
            )
        choices = left or choices
    return tuple(choices)


def check_effect(rules: Iterable[Restriction], tables: Tables) -> None:
    """Check that each rule holds somewhere.

    Raises:
        SearchError: if its layers have no such field, or none has a candidate that it leaves.
    """
    for rule in rules:
        meant = [choice for name in rule.layers(tables) for choice in tables[name]]
        values = {field_of(choice, rule.field) for choice in meant} - {None}
        if not values:
            there = ", ".join(sorted({name for choice in meant for name in _fields(choice)}))
            raise SearchError(f"{rule}: these layers have no such field, but {there}")
        if not any(rule.leaves(c) for c in meant if field_of(c, rule.field) is not None):
            raise SearchError(
                f"{rule}: leaves nothing; these layers have {rule.field} "
                f"{', '.join(sorted(map(str, values)))}"
            )


def field_of(choice: Choice, name: str) -> str | None:
    """Return a field's value as it is written in a restriction, None if there is no such field.

    The format of the output is called as a convolution calls it, whatever the layer.
    """
    if name == _WHOLE:
        return _identity(choice.config)
    if name in _OUTPUT_FIELDS:
        return str(getattr(choice.output_layout, name))
    if name == OUTPUT:
        return str(choice.output_layout.dtype).lower()
    for part in _parts(choice):
        if name in _plain_fields(part):
            return _text(getattr(part, name))
    return None


def _text(value: Any) -> str:
    """Return "height", "64", "true", "none", or core ranges as "(0,0)-(7,7)"."""
    parts = value if isinstance(value, tuple) else (value,)
    return "+".join(str(part) for part in parts).lower() or "none"


def _fields(choice: Choice) -> list[str]:
    """Return the fields that hold a word, a number or core ranges."""
    found = [*_OUTPUT_FIELDS, OUTPUT, *(n for part in _parts(choice) for n in _plain_fields(part))]
    return list(dict.fromkeys(found))


def _parts(choice: Choice) -> list[Any]:
    """Return a candidate's configuration, and with it that of the matrix engine if it has one."""
    compute = getattr(choice.config, "compute", None)
    return [choice.config] if compute is None else [choice.config, compute]


def _plain_fields(part: Any) -> list[str]:
    return [item.name for item in fields(part) if not is_dataclass(getattr(part, item.name))]
