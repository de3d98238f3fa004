"""Profiler reports of real cards: rows of device ops with measured kernel times.

Reads tt-metal's ``ops_perf_results`` CSV of any release since 2024-10, and two flat files of
single-op sweeps (height-sharded matmuls, elementwise exponentials). A row becomes the same
:class:`~autosched.schedule.DeviceOp` that a capture gives, so the rest of the room does not know
where an op came from.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from autosched.cost.features import is_known, read_features
from autosched.cost.flat_profiles import FLAT_READERS, is_flat
from autosched.cost.profile_row import read_row
from autosched.cost.records import Record
from autosched.errors import ProfileError
from autosched.schedule import DeviceOp

CLOCK_GHZ: Mapping[str, float] = {"wormhole_b0": 1.0, "blackhole": 1.35}
"""Clock of the Tensix cores; Wormhole n150/n300 and Blackhole p100/p150 as shipped."""

_DURATION = "DEVICE KERNEL DURATION [ns]"
_NEEDED = ("OP CODE", "OP TYPE", "ATTRIBUTES", "CORE COUNT", _DURATION)
_BIG_FIELD = 1 << 24


@dataclass(frozen=True)
class ProfileRow:
    """One timed device op; ``line`` is its line in the file."""

    op: DeviceOp
    features: Record
    measured_ns: float
    line: int


@dataclass(frozen=True)
class UnknownOp:
    """An op code without formulas: how often it ran and its share of the file's time."""

    code: str
    count: int
    share: float


@dataclass(frozen=True)
class Profile:
    """A profile of one architecture.

    ``release`` names the report's generation, the only trace of the ttnn version a report keeps.
    """

    path: Path
    arch: str
    release: str
    rows: tuple[ProfileRow, ...]
    unknown: tuple[UnknownOp, ...]

    @property
    def measured_ns(self) -> float:
        """Sum of all kernel times."""
        return sum(row.measured_ns for row in self.rows)


def read_profile(path: Path | str) -> Profile:
    """Read a profiler report.

    Raises:
        ProfileError: naming the file, if it is no report, lacks columns, has no device ops, or
            mixes architectures.
    """
    path = Path(path)
    header, lines = _read_csv(path)
    if is_flat(header):
        return _flat_profile(path, header, lines)
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise ProfileError(
            f"{path}: not an ops_perf_results report, it lacks the column "
            f"{', '.join(missing)}; give the CSV that tt-metal's profiler writes"
        )
    rows = tuple(_timed_rows(path, lines))
    if not rows:
        raise ProfileError(f"{path}: no device op with a kernel duration; was it run on a card?")
    return Profile(path, _architecture(path, lines), _release(header), rows, _unknown(rows))


def _read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    csv.field_size_limit(_BIG_FIELD)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or ()), [dict(row) for row in reader]
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProfileError(f"{path}: not a CSV file ({error})") from error


def _flat_profile(path: Path, header: Sequence[str], lines: list[dict[str, str]]) -> Profile:
    read = FLAT_READERS[tuple(header)]
    try:
        timed = [read(row) for row in lines]
    except ValueError as error:
        raise ProfileError(f"{path}: a cell is no number ({error})") from error
    rows = tuple(
        ProfileRow(op, features, measured_ns, number)
        for number, (op, features, measured_ns) in enumerate(timed, start=2)
    )
    return Profile(path, "wormhole_b0", "sweep", rows, ())


def _timed_rows(path: Path, lines: list[dict[str, str]]) -> Iterator[ProfileRow]:
    for number, row in enumerate(lines, start=2):
        duration = row[_DURATION]
        if row["OP TYPE"] != "tt_dnn_device" or not duration:
            continue
        try:
            op = read_row(row)
            measured_ns = float(duration)
            features = read_features(replace(op, time_ns=None))
        except (KeyError, ValueError, IndexError) as error:
            raise ProfileError(
                f"{path}, line {number}: cannot read {row['OP CODE']} ({error!r}); "
                "its attributes are spelled in a way this version does not know"
            ) from error
        if measured_ns > 0:
            yield ProfileRow(op, features, measured_ns, number)


def _architecture(path: Path, lines: list[dict[str, str]]) -> str:
    named = {row.get("DEVICE ARCH") or "" for row in lines} - {""}
    if len(named) > 1:
        raise ProfileError(
            f"{path}: mixes the architectures {', '.join(sorted(named))}; "
            "give each architecture's ops in a file of its own"
        )
    arch = named.pop() if named else _architecture_by_clock(path, lines)
    if arch not in CLOCK_GHZ:
        raise ProfileError(f"{path}: unknown architecture {arch!r}, not {' or '.join(CLOCK_GHZ)}")
    return arch


def _architecture_by_clock(path: Path, lines: list[dict[str, str]]) -> str:
    """Tell the architecture by cycles per nanosecond, where a report does not name it."""
    clocks = [_clock_ghz(row) for row in lines if row.get("DEVICE FW DURATION [ns]")]
    known = [clock for clock in clocks if clock > 0]
    if not known:
        raise ProfileError(f"{path}: neither names an architecture nor has cycle counts")
    nearest = median(known)
    return min(CLOCK_GHZ, key=lambda arch: abs(CLOCK_GHZ[arch] - nearest))


def _clock_ghz(row: Mapping[str, str]) -> float:
    try:
        cycles = float(row["DEVICE FW END CYCLE"]) - float(row["DEVICE FW START CYCLE"])
        return cycles / float(row["DEVICE FW DURATION [ns]"])
    except (KeyError, ValueError, ZeroDivisionError):
        return 0.0


def _release(header: Sequence[str]) -> str:
    """Name the report's generation by the columns that came with it."""
    if "AVAILABLE WORKER CORE COUNT" in header:
        return "2025-12"
    if "INPUT_0_W_PAD[LOGICAL]" in header:
        return "2025-09"
    return "2025-02" if "METAL TRACE ID" in header else "2024-10"


def _unknown(rows: Sequence[ProfileRow]) -> tuple[UnknownOp, ...]:
    total = sum(row.measured_ns for row in rows)
    times: dict[str, list[float]] = {}
    for row in rows:
        if not is_known(row.op):
            times.setdefault(row.op.code, []).append(row.measured_ns)
    found = [UnknownOp(code, len(part), sum(part) / total) for code, part in times.items()]
    return tuple(sorted(found, key=lambda unknown: -unknown.share))
