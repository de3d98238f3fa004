"""Probes as a file that others can take: text alone, checked line by line, and never executed.

A line of JSON says where the probes are from, each one after it is a probe; all is compressed. What
a board is, is said by its facts and not by its name alone, since names of boards have changed. A
probe's digests are made anew from what it says, so that none stands under the key of another.
"""

import gzip
import io
import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import select

from autosched.errors import ScheduleError, StoreError
from autosched.files import replace_file
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection
from autosched.schedule.serialization import digest, from_plain, to_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store import models
from autosched.store.codec import unpack
from autosched.store.database import Store
from autosched.store.database_errors import check_row
from autosched.store.merging import Tally, add_probes, known_probes
from autosched.store.probes import DeviceKey, ProbeKey, StoredProbe, probe_row

_FORMAT = "autosched probes, format 1"
_LONGEST_LINE = 1 << 22
_MOST_PROBES = 5_000_000
_LONGEST_WORD = 255
_AT_ONCE = 200


@dataclass(frozen=True)
class Origin:
    """Where probes are from: the device, the facts of its board, and the compiler of its kernels.

    ``compiler`` is "" where the kernels are compiled by none, as a mock device's are.
    """

    device: DeviceKey
    board_facts: str
    compiler: str = ""

    def to_plain(self) -> dict[str, str]:
        """Return JSON types."""
        return {
            "format": _FORMAT,
            **vars(self.device),
            "board_facts": self.board_facts,
            "compiler": self.compiler,
        }


def write_probes(store: Store, origin: Origin, revisions: Collection[str], target: Path) -> int:
    """Write the probes of a device that are not stale, whole or not at all; return their number.

    Raises:
        StoreError: if there is none, the database refuses, or the file cannot be written.
    """
    device, row = origin.device, models.ProbeRow
    query = (
        select(*row.__table__.columns)
        .where(
            row.board == device.board,
            row.device_kind == device.device_kind,
            row.ttnn_version == device.ttnn_version,
            row.firmware == device.firmware,
            row.revision.in_(sorted(revisions)),
        )
        .order_by(row.layer_signature, row.config_digest, row.inputs_digest)
    )
    count = 0
    content = io.BytesIO()
    # Without a name and a moment in it, the same probes give the same bytes.
    with store.reading() as session, gzip.GzipFile("", "wb", 6, content, mtime=0) as out:
        out.write(_line(origin.to_plain()))
        for found in session.execute(query.execution_options(yield_per=_AT_ONCE)).mappings():
            out.write(_line(_probe_plain(found, store.describe())))
            count += 1
    if not count:
        raise StoreError(
            f"{store.describe()} has no probes of {device} that are of use to this version"
        )
    try:
        replace_file(target, content.getvalue())
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from None
    return count


def read_origin(source: Path) -> Origin:
    """Return where the probes of a file are from.

    Raises:
        StoreError: if it cannot be read, or is none of ours.
    """
    with _lines(source) as lines:
        return _origin(next(lines, None), source)


def read_probes(store: Store, source: Path, expected: Origin) -> Tally:
    """Bring the probes of a file into a database, all or nothing.

    Raises:
        StoreError: if the file is damaged, or is not of the ``expected`` device; if the database
            refuses.
    """
    tally = Tally()
    now = datetime.now(timezone.utc)
    with _lines(source) as lines, store.writing() as session:
        found = _origin(next(lines, None), source)
        _check_same(found, expected, source)
        known = known_probes(session)
        rows: list[dict[str, Any]] = []
        for number, line in enumerate(lines, 2):
            if number > _MOST_PROBES:
                raise StoreError(f"{source} has more than {_MOST_PROBES:,} probes")
            rows.append(probe_row(_probe(line, found.device, f"{source}, line {number}"), now))
            if len(rows) == _AT_ONCE:
                tally += add_probes(session, rows, known)
                rows = []
        return tally + add_probes(session, rows, known)


def _check_same(found: Origin, expected: Origin, source: Path) -> None:
    for name in ("device", "board_facts", "compiler"):
        theirs, ours = getattr(found, name), getattr(expected, name)
        if theirs != ours:
            what = {
                "device": "is of another device",
                "board_facts": f"is of another {found.device.board} than today's",
                "compiler": "is of kernels by another compiler",
            }[name]
            raise StoreError(f"{source} {what}: {theirs or 'none'}, not {ours or 'none'}")


def _line(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


class _Lines:
    """The lines of a compressed file, each of bounded length; closes it at the end."""

    def __init__(self, source: Path) -> None:
        self._source = source
        try:
            self._file = gzip.open(source, "rb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise StoreError(f"{source} cannot be read: {error.strerror or error}") from None

    def __enter__(self) -> Iterator[Any]:
        return iter(self)

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        while line := self._next():
            if len(line) > _LONGEST_LINE:
                raise StoreError(f"{self._source} is no file of probes: a line is too long")
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                raise StoreError(f"{self._source} is damaged: a line is no JSON") from None

    def _next(self) -> bytes:
        try:
            return self._file.readline(_LONGEST_LINE + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise StoreError(
                f"{self._source} is no file of probes, or is cut off: {error}"
            ) from None


def _lines(source: Path) -> _Lines:
    return _Lines(source)


def _origin(plain: Any, source: Path) -> Origin:
    fields = ("board", "device_kind", "ttnn_version", "board_facts", "compiler")
    if plain is None:
        raise StoreError(f"{source} is empty")
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        raise StoreError(
            f"{source} is no file of probes ({_FORMAT}); autosched db export writes one"
        )
    # Files of before firmware counted do not say any.
    words = [plain.get(name) for name in fields] + [plain.get("firmware", "")]
    found = [word for word in words if isinstance(word, str) and len(word) <= _LONGEST_WORD]
    if len(found) != len(words):
        raise StoreError(f"{source} does not say where its probes are from")
    board, kind, ttnn, facts, compiler, firmware = found
    return Origin(DeviceKey(board, kind, ttnn, firmware), facts, compiler)


def _probe_plain(row: Mapping[Any, Any], place: str) -> dict[str, Any]:
    where = f"{place}: autosched_probe {row['id']}"
    check_row(models.ProbeRow, row, place)
    target = ProbeOutcome if row["rejection"] is None else Rejection
    return {
        "layer": row["layer_signature"],
        "inputs": row["inputs_digest"],
        "revision": row["revision"],
        "config": row["config"],
        "input_layouts": row["input_layouts"],
        ("outcome" if row["rejection"] is None else "rejection"): to_plain(
            unpack(target, row["outcome"], where)
        ),
    }


_PROBE = {"layer", "inputs", "revision", "config", "input_layouts"}


def _probe(plain: Any, device: DeviceKey, where: str) -> StoredProbe:
    answers = {"outcome": ProbeOutcome, "rejection": Rejection}
    given = set(plain) - _PROBE if isinstance(plain, dict) else set()
    if not isinstance(plain, dict) or not plain.keys() >= _PROBE or len(given & set(answers)) != 1:
        raise StoreError(f"{where} is no probe")
    words = [plain[name] for name in ("layer", "inputs", "revision")]
    if not all(isinstance(word, str) and len(word) <= _LONGEST_WORD for word in words):
        raise StoreError(f"{where} is no probe: its key is none")
    try:
        config = from_plain(LayerConfig, plain["config"])
        layouts = from_plain(tuple[TensorLayout, ...], plain["input_layouts"])
        (name,) = given & set(answers)
        outcome = from_plain(answers[name], plain[name])
    except (ScheduleError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise StoreError(f"{where} is damaged, or another version's: {error}") from None
    key = ProbeKey.of(plain["layer"], config, layouts, device, plain["revision"])
    native = digest(["native", key.inputs_digest])
    if plain["inputs"] not in (key.inputs_digest, native):
        raise StoreError(f"{where} stands under the key of other inputs")
    key = ProbeKey(
        key.layer_signature, key.config_digest, plain["inputs"], device, plain["revision"]
    )
    return StoredProbe(key, config, layouts, outcome)
