"""The words of :mod:`autosched.schedule` as plain JSON values, and back with every check.

:func:`from_plain` guards files that people edit; the database's own reader is quicker and checks
less.
"""

import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
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
from autosched.schedule.tensors import Edge, TensorLayout, TextEnum

CONFIG_KINDS: Mapping[str, Any] = {
    "conv2d": Conv2dConfig,
    "matmul": MatmulConfig,
    "pool": PoolConfig,
    "eltwise": EltwiseConfig,
    "fixed": FixedConfig,
}
# Written only where they say something: a configuration from before they existed keeps its digest.
_LATER_FIELDS: Mapping[Any, Mapping[str, Any]] = {
    Conv2dConfig: {"num_slices": 0, "fold_input": False},
    PoolConfig: {"slicing": "auto", "num_slices": 0},
}
_KIND_OF_CONFIG = {config: kind for kind, config in CONFIG_KINDS.items()}


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass of words as a mapping that JSON can hold, one level deep.

    Late fields leave out their defaults, configurations say their kind, edges as keys are texts.

    Raises:
        TypeError: if ``value`` is not such a dataclass.
    """
    cls: Any = type(value)
    kind, mappings, late = _form(cls)
    plain: dict[str, Any] = vars(value)
    if kind is None and not mappings and not late:
        return plain
    plain = dict(plain) if kind is None else {"kind": kind, **plain}
    for name in mappings:
        plain[name] = {str(key): item for key, item in plain[name].items()}
    for name, unsaid in late.items():
        if plain[name] == unsaid:
            del plain[name]
    return plain


@functools.cache
def _form(cls: Any) -> tuple[str | None, tuple[str, ...], Mapping[str, Any]]:
    """Return a type's kind of configuration, its fields that are mappings, and its late fields."""
    names = [field.name for field in fields(cls)]
    hints = typing.get_type_hints(cls)
    mappings = tuple(name for name in names if typing.get_origin(hints[name]) is Mapping)
    return _KIND_OF_CONFIG.get(cls), mappings, _LATER_FIELDS.get(cls, {})


def to_plain(value: Any) -> Any:
    """Turn words, and tuples, lists and mappings of them, into JSON types."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value.value if isinstance(value, TextEnum) else value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return {name: to_plain(item) for name, item in fields_of(value).items()}


def from_plain(target: Any, plain: Any, where: str = "") -> Any:
    """Build a ``target`` (a word, or a tuple or mapping of words) from what :func:`to_plain` wrote.

    Raises:
        ScheduleError: naming the place, if a field is missing, unknown or has an illegal value.
    """
    if target is LayerConfig:
        return _config_from_plain(plain, where)
    origin = typing.get_origin(target)
    arguments = typing.get_args(target)
    if origin in (Union, types.UnionType):
        if plain is None and type(None) in arguments:
            return None
        (only,) = [item for item in arguments if item is not type(None)]
        return from_plain(only, plain, where)
    if origin is not None:
        read = _tuple_from_plain if origin is tuple else _mapping_from_plain
        return read(arguments, plain, where)
    if is_dataclass(target):
        return _dataclass_from_plain(cast("type[Any]", target), plain, where)
    return _scalar_from_plain(target, plain, where)


def _config_from_plain(plain: Any, where: str) -> Any:
    kind = str(plain.get("kind")) if isinstance(plain, Mapping) else ""
    if kind not in CONFIG_KINDS:
        raise ScheduleError(f"{where or 'layer'}: unknown kind of configuration {kind!r}")
    rest = {key: value for key, value in plain.items() if key != "kind"}
    return _dataclass_from_plain(CONFIG_KINDS[kind], rest, where)


def _dataclass_from_plain(target: type[Any], plain: Any, where: str) -> Any:
    if not isinstance(plain, Mapping):
        raise ScheduleError(f"{where or target.__name__}: expected a mapping, not {plain!r}")
    hints = typing.get_type_hints(target)
    unknown = sorted(set(plain) - set(hints))
    if unknown:
        raise ScheduleError(f"{where or target.__name__}: unknown field {', '.join(unknown)}")
    values = {
        name: from_plain(hints[name], value, f"{where}.{name}" if where else name)
        for name, value in plain.items()
    }
    try:
        return target(**values)
    except TypeError as error:
        raise ScheduleError(f"{where or target.__name__}: {error}") from None


def _tuple_from_plain(arguments: tuple[Any, ...], plain: Any, where: str) -> Any:
    if not isinstance(plain, list | tuple):
        raise ScheduleError(f"{where}: expected a list, not {plain!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(from_plain(arguments[0], item, where) for item in plain)
    if len(arguments) != len(plain):
        raise ScheduleError(f"{where}: expected {len(arguments)} values, not {plain!r}")
    return tuple(
        from_plain(item_type, item, where) for item_type, item in zip(arguments, plain, strict=True)
    )


def _mapping_from_plain(arguments: tuple[Any, ...], plain: Any, where: str) -> Any:
    if not isinstance(plain, Mapping):
        raise ScheduleError(f"{where}: expected a mapping, not {plain!r}")
    key_type, value_type = arguments
    read_key = Edge.parse if key_type is Edge else str
    return {
        read_key(key): from_plain(value_type, item, f"{where}[{key!r}]")
        for key, item in plain.items()
    }


def _scalar_from_plain(target: Any, plain: Any, where: str) -> Any:
    if isinstance(target, type) and issubclass(target, TextEnum):
        try:
            return target(plain)
        except ValueError:
            legal = ", ".join(target)
            raise ScheduleError(f"{where}: {plain!r} is not one of {legal}") from None
    if target is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is not target:
        raise ScheduleError(f"{where}: expected {target.__name__}, not {plain!r}")
    return plain


def canonical_json(value: Any) -> str:
    """Return the one JSON text of words or plain values: sorted keys, no blanks."""
    # Frozen words cannot contain themselves, so the encoder need not look for circles.
    return json.dumps(
        value, default=fields_of, sort_keys=True, separators=(",", ":"), check_circular=False
    )


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits that identify words or plain values."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


_Layouts = list[TensorLayout]
_Reader = Callable[[Any, _Layouts], Any]


@functools.cache
def reader_of(target: Any) -> _Reader:
    """Return the function that makes a ``target`` of plain JSON and a table of layouts."""
    if target is LayerConfig:
        return _read_config
    origin, arguments = typing.get_origin(target), typing.get_args(target)
    if origin in (Union, types.UnionType):
        (only,) = [item for item in arguments if item is not types.NoneType]
        return _optional_reader(reader_of(only))
    if origin is not None:
        return _tuple_reader(arguments) if origin is tuple else _mapping_reader(arguments)
    if is_dataclass(target):
        read = _dataclass_reader(cast("type[Any]", target))
        return _layout_reader(read) if target is TensorLayout else read
    return _enum_reader(target) if issubclass(target, TextEnum) else _as_is


def _as_is(plain: Any, _: _Layouts) -> Any:
    return plain


def _read_config(plain: dict[str, Any], layouts: _Layouts) -> Any:
    return reader_of(CONFIG_KINDS[plain.pop("kind")])(plain, layouts)


def _enum_reader(target: type[TextEnum]) -> _Reader:
    members = {item.value: item for item in target}
    return lambda plain, _: members[plain]


def _layout_reader(read: _Reader) -> _Reader:
    return lambda plain, layouts: layouts[plain] if isinstance(plain, int) else read(plain, layouts)


def _optional_reader(read: _Reader) -> _Reader:
    return lambda plain, layouts: None if plain is None else read(plain, layouts)


def _tuple_reader(arguments: tuple[Any, ...]) -> _Reader:
    reads = [reader_of(item) for item in arguments if item is not Ellipsis]
    if all(read is _as_is for read in reads):
        return lambda plain, _: tuple(plain)
    if arguments[-1] is Ellipsis:
        (read,) = reads
        return lambda plain, layouts: tuple([read(item, layouts) for item in plain])
    return lambda plain, layouts: tuple(
        [read(item, layouts) for read, item in zip(reads, plain, strict=True)]
    )


def _mapping_reader(arguments: tuple[Any, ...]) -> _Reader:
    key_type, value_type = arguments
    read_key = Edge.parse if key_type is Edge else str
    read = reader_of(value_type)
    return lambda plain, layouts: {
        read_key(key): read(item, layouts) for key, item in plain.items()
    }


def _dataclass_reader(target: type[Any]) -> _Reader:
    reads = {name: reader_of(hint) for name, hint in typing.get_type_hints(target).items()}
    converted = [(name, read) for name, read in reads.items() if read is not _as_is]

    def read_fields(plain: dict[str, Any], layouts: _Layouts) -> Any:
        for name, read in converted:
            if name in plain:
                plain[name] = read(plain[name], layouts)
        return target(**plain)

    return read_fields
