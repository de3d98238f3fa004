"""Values of :mod:`autosched.schedule` as compressed JSON, and back, fast.

The JSON is what :func:`autosched.plain.to_plain` gives, with each distinct tensor layout
written once, in a table beside the value. Reading does not repeat the checks of ``from_plain``,
which guard files that people edit; it builds one reader per type from the same type hints,
because a study loads thousands of probes with about a hundred nested values each.
"""

import functools
import gc
import json
import types
import typing
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, Union, cast

from autosched.errors import StoreError
from autosched.plain import CONFIG_KINDS, fields_of
from autosched.schedule import Edge, LayerConfig, TensorLayout, TextEnum

_Layouts = list[TensorLayout]
_Reader = Callable[[Any, _Layouts], Any]

# Higher levels save a tenth of the bytes and take three times as long.
_COMPRESSION_LEVEL = 1


def pack(value: Any) -> bytes:
    """Return a value as compressed JSON: ``{"value": ..., "layouts": [...]}``."""
    layouts: dict[TensorLayout, int] = {}
    # Hashing a layout takes longer than writing it, and most are the same few objects.
    numbers: dict[int, int] = {}

    def fields(item: Any) -> Any:
        if type(item) is not TensorLayout:
            return fields_of(item)
        number = numbers.get(id(item))
        if number is None:
            number = numbers[id(item)] = layouts.setdefault(item, len(layouts))
        return number

    plain = _dump(value, fields)
    table = _dump([vars(layout) for layout in layouts], fields_of)
    return zlib.compress(f'{{"value":{plain},"layouts":{table}}}'.encode(), _COMPRESSION_LEVEL)


def unpack(target: Any, blob: bytes, where: str) -> Any:
    """Read back what :func:`pack` wrote of a ``target`` (a type of ``autosched.schedule``).

    Raises:
        StoreError: naming ``where``, if the bytes are damaged or another version's.
    """
    try:
        plain = json.loads(zlib.decompress(blob))
        layouts = [_reader(TensorLayout)(item, []) for item in plain["layouts"]]
        return _reader(target)(plain["value"], layouts)
    except _DAMAGE as error:
        raise _unreadable(where, error) from error


def read_plain(target: Any, plain: Any, where: str) -> Any:
    """Read what ``to_plain`` wrote of a ``target``; uses up ``plain``.

    Raises:
        StoreError: naming ``where``, if the value is damaged or another version's.
    """
    try:
        return _reader(target)(plain, [])
    except _DAMAGE as error:
        raise _unreadable(where, error) from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector while thousands of values are read.

    They hold no reference cycles, and looking for some takes longer than the reading.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_DAMAGE = (zlib.error, ValueError, LookupError, TypeError, AttributeError)


def _unreadable(where: str, error: Exception) -> StoreError:
    return StoreError(
        f"{where}: the stored value cannot be read ({type(error).__name__}: {error}). The row is "
        "damaged or was written by another version of autosched; restore the database from a "
        "backup, or delete the row"
    )


def _dump(value: Any, default: Callable[[Any], Any]) -> str:
    # Values of frozen dataclasses cannot contain themselves, so the check would be in vain.
    return json.dumps(
        value, default=default, separators=(",", ":"), ensure_ascii=False, check_circular=False
    )


@functools.cache
def _reader(target: Any) -> _Reader:
    """Return the function that makes a ``target`` of plain JSON and a table of layouts."""
    if target is LayerConfig:
        return _read_config
    origin, arguments = typing.get_origin(target), typing.get_args(target)
    if origin in (Union, types.UnionType):
        (only,) = [item for item in arguments if item is not types.NoneType]
        return _optional_reader(_reader(only))
    if origin is not None:
        return _tuple_reader(arguments) if origin is tuple else _mapping_reader(arguments)
    if is_dataclass(target):
        read = _dataclass_reader(cast("type[Any]", target))
        return _layout_reader(read) if target is TensorLayout else read
    return _enum_reader(target) if issubclass(target, TextEnum) else _as_is


def _as_is(plain: Any, _: _Layouts) -> Any:
    return plain


def _read_config(plain: dict[str, Any], layouts: _Layouts) -> Any:
    return _reader(CONFIG_KINDS[plain.pop("kind")])(plain, layouts)


def _enum_reader(target: type[TextEnum]) -> _Reader:
    members = {item.value: item for item in target}
    return lambda plain, _: members[plain]


def _layout_reader(read: _Reader) -> _Reader:
    return lambda plain, layouts: layouts[plain] if isinstance(plain, int) else read(plain, layouts)


def _optional_reader(read: _Reader) -> _Reader:
    return lambda plain, layouts: None if plain is None else read(plain, layouts)


def _tuple_reader(arguments: tuple[Any, ...]) -> _Reader:
    reads = [_reader(item) for item in arguments if item is not Ellipsis]
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
    read = _reader(value_type)
    return lambda plain, layouts: {
        read_key(key): read(item, layouts) for key, item in plain.items()
    }


def _dataclass_reader(target: type[Any]) -> _Reader:
    reads = {name: _reader(hint) for name, hint in typing.get_type_hints(target).items()}
    converted = [(name, read) for name, read in reads.items() if read is not _as_is]

    def read_fields(plain: dict[str, Any], layouts: _Layouts) -> Any:
        for name, read in converted:
            if name in plain:
                plain[name] = read(plain[name], layouts)
        return target(**plain)

    return read_fields
