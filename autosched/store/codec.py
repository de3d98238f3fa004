"""Values of :mod:`autosched.schedule` as compressed JSON, and back, fast.

The JSON is what :func:`~autosched.schedule.serialization.to_plain` gives, with each distinct tensor
layout written once, in a table beside the value.
"""

import gc
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from autosched.errors import ScheduleError, StoreError
from autosched.schedule.serialization import fields_of, from_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store.database_errors import damaged

# Higher levels save a tenth of the bytes and take three times as long.
_COMPRESSION_LEVEL = 1
_DAMAGE = (
    zlib.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ScheduleError,
    # JSON that is nested a thousand deep.
    RecursionError,
)
_LARGEST_BYTES = 1 << 26
"""How long the JSON of a value may be; the largest schedule with its ops takes a hundredth."""


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
        plain = json.loads(decompressed(blob))
        layouts = from_plain(tuple[TensorLayout, ...], plain["layouts"])
        return from_plain(target, plain["value"], layouts=layouts)
    except _DAMAGE as error:
        raise _unreadable(where, error) from error


def unpack_plain(blob: bytes, where: str) -> Any:
    """Read back what :func:`pack` wrote of JSON types.

    Raises:
        StoreError: naming ``where``, if the bytes are damaged.
    """
    try:
        return json.loads(decompressed(blob))["value"]
    except _DAMAGE as error:
        raise _unreadable(where, error) from error


def decompressed(blob: bytes) -> bytes:
    """Return the JSON of a packed value, however small its bytes.

    Raises:
        ValueError: if it would take more memory than any value does.
        zlib.error: if the bytes are no compressed text.
    """
    reader = zlib.decompressobj()
    text = reader.decompress(blob, _LARGEST_BYTES)
    if reader.unconsumed_tail:
        raise ValueError(f"it takes more than {_LARGEST_BYTES >> 20} MiB")
    if not reader.eof:
        raise zlib.error("incomplete or truncated stream")
    return text


def check_packed(blob: bytes, where: str) -> None:
    """Make sure that bytes are the compressed JSON of something, of whatever version.

    Raises:
        StoreError: naming ``where``, if they are damaged.
    """
    try:
        json.loads(decompressed(blob))
    except _DAMAGE as error:
        raise _unreadable(where, error) from error


def read_plain(target: Any, plain: Any, where: str) -> Any:
    """Read what ``to_plain`` wrote of a ``target``.

    Raises:
        StoreError: naming ``where``, if the value is damaged or another version's.
    """
    try:
        return from_plain(target, plain)
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


def _unreadable(where: str, error: Exception) -> StoreError:
    return damaged(where, f"{type(error).__name__}: {error}")


def _dump(value: Any, default: Callable[[Any], Any]) -> str:
    # Values of frozen dataclasses cannot contain themselves, so the check would be in vain.
    return json.dumps(
        value, default=default, separators=(",", ":"), ensure_ascii=False, check_circular=False
    )
