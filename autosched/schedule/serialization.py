"""The one writer and the one reader of stored words as plain values, which JSON can hold.

The writer goes one dataclass deep, and the JSON encoder does the rest. The reader checks all that
the type hints say: files that people edit need it, and it is quick enough for the database.
"""

import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Union, cast

from autosched.errors import ScheduleError
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import PageLayout, TensorLayout, TextEnum

CONFIG_KINDS: Mapping[str, Any] = {
    "conv2d": Conv2dConfig,
    "matmul": MatmulConfig,
    "pool": PoolConfig,
    "eltwise": EltwiseConfig,
    "fixed": FixedConfig,
}
# Written only where they say something: a configuration from before they existed keeps its digest.
_LATER_FIELDS: Mapping[Any, Mapping[str, Any]] = {
    Conv2dConfig: {"num_slices": 0, "fold_input": False, "output_page": PageLayout.TILE},
    MatmulConfig: {"program": None},
    PoolConfig: {"slicing": "auto", "num_slices": 0},
    FixedConfig: {"compute": None},
}
_KIND_OF_CONFIG = {config: kind for kind, config in CONFIG_KINDS.items()}

FREEING_FLAGS: Mapping[str, str] = {"conv2d": "deallocate_activation", "pool": "deallocate_input"}
"""What ttnn calls it, by kind of configuration, that a layer frees its first input.

Configurations of older versions say it themselves; today ``Schedule.frees`` does.
"""


def fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as a mapping that JSON can hold, one level deep.

    Late fields leave out their defaults, configurations say their kind, edges as keys are texts,
    and sets are sorted lists, left out where they are empty.

    Raises:
        TypeError: if ``value`` is not such a dataclass.
    """
    cls: Any = type(value)
    kind, mappings, sets, late = _form(cls)
    plain: dict[str, Any] = vars(value)
    if kind is None and not mappings and not sets and not late:
        return plain
    plain = dict(plain) if kind is None else {"kind": kind, **plain}
    for name in mappings:
        plain[name] = {str(key): item for key, item in plain[name].items()}
    for name in sets:
        plain[name] = sorted(plain[name])
        if not plain[name]:
            del plain[name]
    for name, unsaid in late.items():
        if plain[name] == unsaid:
            del plain[name]
    return plain


@functools.cache
def _form(cls: Any) -> tuple[str | None, tuple[str, ...], tuple[str, ...], Mapping[str, Any]]:
    """Return a type's kind of configuration, and its fields: mappings, sets, and late ones."""
    hints = typing.get_type_hints(cls)
    origins = {field.name: typing.get_origin(hints[field.name]) for field in fields(cls)}
    mappings = tuple(name for name, origin in origins.items() if origin is Mapping)
    sets = tuple(name for name, origin in origins.items() if origin is frozenset)
    late = _LATER_FIELDS.get(cls) or getattr(cls, "LATER_FIELDS", {})
    return _KIND_OF_CONFIG.get(cls), mappings, sets, late


def with_freeing_flag(config: LayerConfig, *, frees: bool) -> dict[str, Any]:
    """Return a configuration's fields with the flag that ttnn has for whether the layer frees."""
    plain = fields_of(config)
    flag = FREEING_FLAGS.get(plain["kind"])
    return plain if flag is None else {**plain, flag: frees}


def freeing_flags(layers: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether layers free their input, of those whose plain configurations say so."""
    flags = {name: FREEING_FLAGS.get(plain["kind"]) for name, plain in layers.items()}
    return {name: layers[name][flag] for name, flag in flags.items() if flag in layers[name]}


def to_plain(value: Any) -> Any:
    """Turn words, and tuples, lists and mappings of them, into JSON types.

    Raises:
        TypeError: if there is anything else in them.
    """
    return json.loads(json.dumps(value, default=fields_of, check_circular=False))


def canonical_json(value: Any) -> str:
    """Return the one JSON text of words or plain values: sorted keys, no blanks."""
    # Frozen words cannot contain themselves, so the encoder need not look for circles.
    return json.dumps(
        value, default=fields_of, sort_keys=True, separators=(",", ":"), check_circular=False
    )


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits that identify words or plain values."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


_LISTS = (list, tuple)
_Reader = Callable[[Any, Sequence[TensorLayout]], Any]


def from_plain(
    target: Any, plain: Any, where: str = "", layouts: Sequence[TensorLayout] = ()
) -> Any:
    """Build a ``target`` (a word, or a tuple or mapping of words) from what :func:`to_plain` wrote.

    ``layouts`` are those that stand in ``plain`` by their numbers. Fields that are absent have
    their defaults. An integer for a float stays one: what is read has the digest of what was
    written. Schedules of older versions, whose configurations say what they free, are read, too.

    Raises:
        ScheduleError: naming the place, if a field is unknown or has an illegal value, or one
            without a default is absent.
    """
    try:
        return _reader_of(target)(plain, layouts)
    except _MisfitError as error:
        place = where or getattr(target, "__name__", "value")
        raise ScheduleError(f"{place}{error}") from None


class _MisfitError(Exception):
    """What does not fit, after its place: on its way up, each level puts its own before it."""


@functools.cache
def _reader_of(target: Any) -> _Reader:
    """Return the function that checks plain values and makes a ``target`` of them.

    The type hints are looked at once a type: a study loads thousands of probes with about a
    hundred nested values each.
    """
    if target is LayerConfig:
        return _read_config
    origin, arguments = typing.get_origin(target), typing.get_args(target)
    if origin in (Union, types.UnionType):
        (only,) = [item for item in arguments if item is not types.NoneType]
        return _optional_reader(_reader_of(only))
    if origin is frozenset:
        return _set_reader(arguments)
    if origin is not None:
        return _tuple_reader(arguments) if origin is tuple else _mapping_reader(arguments)
    if is_dataclass(target):
        return _word_reader(cast("type[Any]", target))
    return _enum_reader(target) if issubclass(target, TextEnum) else _scalar_reader(target)


def _read_config(plain: Any, layouts: Sequence[TensorLayout]) -> Any:
    kind = str(plain.get("kind")) if isinstance(plain, dict) else ""
    if kind not in CONFIG_KINDS:
        raise _MisfitError(f": unknown kind of configuration {kind!r}")
    rest = dict(plain)
    del rest["kind"]
    flag = FREEING_FLAGS.get(kind)
    if flag in rest and type(rest[flag]) is not bool:
        raise _MisfitError(f".{flag}: expected bool, not {rest[flag]!r}")
    rest.pop(flag, None)
    return _reader_of(CONFIG_KINDS[kind])(rest, layouts)


def _freeing_reader(read: _Reader) -> _Reader:
    """Return the reader of a schedule, also of one that says at each layer whether it frees."""

    def read_schedule(plain: Any, layouts: Sequence[TensorLayout]) -> Any:
        schedule = read(plain, layouts)
        if "frees" in plain:
            return schedule
        flags = freeing_flags(plain["layers"])
        return replace(schedule, frees=frozenset(name for name, frees in flags.items() if frees))

    return read_schedule


def _word_reader(target: type[Any]) -> _Reader:
    read = _dataclass_reader(target)
    if "frees" in target.__dataclass_fields__:
        return _freeing_reader(read)
    return _layout_reader(read) if target is TensorLayout else read


def _layout_reader(read: _Reader) -> _Reader:
    def read_layout(plain: Any, layouts: Sequence[TensorLayout]) -> Any:
        if type(plain) is int and 0 <= plain < len(layouts):
            return layouts[plain]
        return read(plain, layouts)

    return read_layout


def _dataclass_reader(target: type[Any]) -> _Reader:
    own = {item.name for item in fields(target)}
    hints = {name: hint for name, hint in typing.get_type_hints(target).items() if name in own}
    reads = {name: _reader_of(hint) for name, hint in hints.items()}

    def read_fields(plain: Any, layouts: Sequence[TensorLayout]) -> Any:
        if not isinstance(plain, dict):
            raise _MisfitError(f": expected a mapping, not {plain!r}")
        values = dict(plain)
        name = ""
        try:
            for name, value in plain.items():
                # Most values are numbers and texts, and a call to check them would take longer.
                if type(value) is not hints.get(name):
                    values[name] = reads[name](value, layouts)
            return target(**values)
        except KeyError:
            unknown = sorted(str(name) for name in plain if name not in hints)
            raise _MisfitError(f": unknown field {', '.join(unknown)}") from None
        except _MisfitError as error:
            raise _MisfitError(f".{name}{error}") from None
        except TypeError as error:
            raise _MisfitError(f": {error}") from None

    return read_fields


def _optional_reader(read: _Reader) -> _Reader:
    return lambda plain, layouts: None if plain is None else read(plain, layouts)


def _tuple_reader(arguments: tuple[Any, ...]) -> _Reader:
    length = None if arguments[-1] is Ellipsis else len(arguments)
    (item_type,) = set(arguments) - {Ellipsis}
    read = _reader_of(item_type)

    def read_items(plain: Any, layouts: Sequence[TensorLayout]) -> Any:
        if type(plain) not in _LISTS:
            raise _MisfitError(f": expected a list, not {plain!r}")
        if length not in (None, len(plain)):
            raise _MisfitError(f": expected {length} values, not {plain!r}")
        return tuple([item if type(item) is item_type else read(item, layouts) for item in plain])

    return read_items


def _set_reader(arguments: tuple[Any, ...]) -> _Reader:
    read = _tuple_reader((*arguments, Ellipsis))
    return lambda plain, layouts: frozenset(read(plain, layouts))


def _mapping_reader(arguments: tuple[Any, ...]) -> _Reader:
    key_type, value_type = arguments
    read_key = getattr(key_type, "parse", key_type)
    read = _reader_of(value_type)

    def read_items(plain: Any, layouts: Sequence[TensorLayout]) -> Any:
        if not isinstance(plain, dict):
            raise _MisfitError(f": expected a mapping, not {plain!r}")
        key = ""
        made = {}
        try:
            for key, item in plain.items():
                made[read_key(key)] = read(item, layouts)
        except _MisfitError as error:
            raise _MisfitError(f"[{key!r}]{error}") from None
        except ScheduleError as error:
            raise _MisfitError(f": {error}") from None
        return made

    return read_items


def _enum_reader(target: type[TextEnum]) -> _Reader:
    members = {item.value: item for item in target}

    def read_member(plain: Any, _: Sequence[TensorLayout]) -> Any:
        try:
            return members[plain]
        except (KeyError, TypeError):
            raise _MisfitError(f": {plain!r} is not one of {', '.join(target)}") from None

    return read_member


def _scalar_reader(target: type[Any]) -> _Reader:
    legal = (int, float) if target is float else (target,)

    def read_scalar(plain: Any, _: Sequence[TensorLayout]) -> Any:
        if type(plain) not in legal:
            raise _MisfitError(f": expected {target.__name__}, not {plain!r}")
        return plain

    return read_scalar
