"""Profiler reports of real cards: rows of device ops with measured kernel times.

Reads tt-metal's ``ops_perf_results`` CSV of any release since 2024-10, and two flat files of
single-op sweeps (height-sharded matmuls, elementwise exponentials). A row becomes the same
:class:`~autosched.schedule.outcomes.DeviceOp` that a capture gives, so the rest of the room does
not know where an op came from. A row that cannot be read in detail counts by its bytes alone and is
listed among the unknown ops.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median

from autosched.boards import CLOCK_GHZ
from autosched.cost.ops.families import is_known, read_features, work_of
from autosched.cost.ops.movement import as_before_0_81, read_generic
from autosched.cost.ops.work import Record
from autosched.cost.profiles.perf_csv import ESTIMATED_KEY
from autosched.cost.profiles.rows import FLAT_READERS, is_flat, read_row
from autosched.errors import ProfileError
from autosched.schedule.outcomes import DeviceOp

_DURATION = "DEVICE KERNEL DURATION [ns]"
_NEEDED = ("OP CODE", "ATTRIBUTES", "CORE COUNT", _DURATION)
_DEVICE_OP = "tt_dnn_device"
_ARCH_NAMES = {"wormhole": "wormhole_b0", "blackhole_b0": "blackhole"}
_BIG_FIELD = 1 << 24


@dataclass(frozen=True)
class ProfileRow:
    """One timed device op; ``line`` is its line in the file.

    ``problem`` says why its features are not those of its kind, empty if they are.
    """

    op: DeviceOp
    features: Record
    measured_ns: float
    line: int
    problem: str = ""


@dataclass(frozen=True)
class UnknownOp:
    """An op code that the model guesses at: how often it ran, its share of the time, and why."""

    code: str
    count: int
    share: float
    reason: str


@dataclass(frozen=True)
class Profile:
    """A profile of one architecture.

    ``release`` names the report's generation, the only trace of the ttnn version a report keeps.
    ``untimed`` counts device ops without a duration, ``devices`` the cards.
    """

    path: Path
    arch: str
    release: str
    rows: tuple[ProfileRow, ...]
    unknown: tuple[UnknownOp, ...]
    untimed: int = 0
    devices: int = 1

    @property
    def measured_ns(self) -> float:
        """Sum of all kernel times."""
        return sum(row.measured_ns for row in self.rows)


def read_profile(path: Path | str, arch: str | None = None, ttnn_version: str = "") -> Profile:
    """Read a profiler report.

    Args:
        path: the CSV file.
        arch: architecture of a report that neither names one nor shows its clock.
        ttnn_version: release of ttnn that ran; a report does not show it, and kernels of 0.81 are
            told from older ones by nothing else.

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
    ops = [(number, row) for number, row in enumerate(lines, start=2) if _is_device_op(row)]
    rows = tuple(_timed_rows(ops, is_older=not _has_today_s_kernels(ttnn_version)))
    if not rows:
        raise ProfileError(f"{path}: no device op with a kernel duration; was it run on a card?")
    return Profile(
        path=path,
        arch=_architecture(path, [row for _, row in ops], arch),
        release=_release(header),
        rows=rows,
        unknown=_unknown(rows),
        untimed=len(ops) - len(rows),
        devices=len({row.get("DEVICE ID") or "0" for _, row in ops}),
    )


@contextmanager
def _big_fields() -> Iterator[None]:
    """Let a cell hold the attributes of an op; the limit is the whole process's."""
    before = csv.field_size_limit(_BIG_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with _big_fields(), path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            reader.fieldnames = header = [name.strip() for name in reader.fieldnames or ()]
            return header, [{name: text for name, text in row.items() if name} for row in reader]
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


def _is_device_op(row: Mapping[str, str]) -> bool:
    """Whether a row is a device op and no signpost or host op; some reports leave the type out."""
    kind = row.get("OP TYPE")
    return bool(row["OP CODE"]) and (kind == _DEVICE_OP if kind else bool(row["CORE COUNT"]))


_TODAY = (0, 81)


def _has_today_s_kernels(ttnn_version: str) -> bool:
    found = tuple(int(part) for part in re.findall(r"\d+", ttnn_version)[:2])
    return found >= _TODAY


def _timed_rows(
    ops: Sequence[tuple[int, Mapping[str, str]]], *, is_older: bool
) -> Iterator[ProfileRow]:
    for number, row in ops:
        measured_ns = _number(row[_DURATION])
        if not measured_ns > 0:
            continue
        op = read_row(row)
        try:
            features = read_features(op)
            if is_older and f"'{ESTIMATED_KEY}'" not in op.attributes:
                features = as_before_0_81(features)
            work_of(features)
            problem = _gap(op)
        except (KeyError, ValueError, IndexError, TypeError, ZeroDivisionError) as error:
            features, problem = read_generic(op), f"unreadable attributes ({error!r})"
        yield ProfileRow(op, features, measured_ns, number, problem)


def _gap(op: DeviceOp) -> str:
    """Return what is missing for a prediction in detail, empty if nothing is."""
    if not is_known(op):
        return "no formula"
    if not op.inputs:
        return "no input tensor"
    return "" if op.cores > 0 else "no core count"


def _number(text: str) -> float:
    """Read a duration; 0 where there is none."""
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if isfinite(found) else 0.0


def _architecture(path: Path, lines: Sequence[Mapping[str, str]], chosen: str | None) -> str:
    written = {(row.get("DEVICE ARCH") or row.get("ARCH") or "").strip().lower() for row in lines}
    named = {_ARCH_NAMES.get(name, name) for name in written - {""}}
    if len(named) > 1:
        raise ProfileError(
            f"{path}: mixes the architectures {', '.join(sorted(named))}; "
            "give each architecture's ops in a file of its own"
        )
    arch = named.pop() if named else chosen or _architecture_by_clock(path, lines)
    if arch not in CLOCK_GHZ:
        raise ProfileError(f"{path}: unknown architecture {arch!r}, not {' or '.join(CLOCK_GHZ)}")
    return arch


def _architecture_by_clock(path: Path, lines: Sequence[Mapping[str, str]]) -> str:
    """Tell the architecture by cycles per nanosecond, where a report does not name it."""
    clocks = [_clock_ghz(row) for row in lines if row.get("DEVICE FW DURATION [ns]")]
    known = [clock for clock in clocks if clock > 0]
    if not known:
        raise ProfileError(
            f"{path}: neither names an architecture nor has cycle counts; "
            f"say which it is: --arch {' or '.join(CLOCK_GHZ)}"
        )
    nearest = median(known)
    return min(CLOCK_GHZ, key=lambda arch: abs(CLOCK_GHZ[arch] - nearest))


def _clock_ghz(row: Mapping[str, str]) -> float:
    try:
        cycles = float(row["DEVICE FW END CYCLE"]) - float(row["DEVICE FW START CYCLE"])
        return cycles / float(row["DEVICE FW DURATION [ns]"])
    except (KeyError, ValueError, ZeroDivisionError, TypeError):
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
    times: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.problem:
            times.setdefault((row.op.code, row.problem), []).append(row.measured_ns)
    found = [
        UnknownOp(code, len(part), sum(part) / total, reason)
        for (code, reason), part in times.items()
    ]
    return tuple(sorted(found, key=lambda unknown: -unknown.share))
