"""What the fit is made from: typed ops with their times, from profiles and from elsewhere.

Three sources speak of an op's time. *Silicon* are rows of a profile. A *point* is a single figure
from a public thread or test, whose op is what ttnn decides on the mock device for the configuration
it names. *Simulated* are clocks of real kernels on a functional simulator with documented costs,
which are weak labels. Observations of one ``bundle`` tell only their ratios to each other: the
rows of one simulated layer, or a pair of which a factor is known.

Autosched's own observations are kept as text beside the coefficients that are made from them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

from autosched.boards import CLOCK_GHZ
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.families import RECORDS, work_of
from autosched.cost.ops.matmul import MatmulOp
from autosched.cost.ops.traffic import padded_2d
from autosched.cost.ops.work import Record
from autosched.cost.profiles.profile import Profile, ProfileRow
from autosched.errors import ProfileError, ScheduleError
from autosched.schedule.serialization import from_plain, to_plain
from autosched.schedule.tensors import TextEnum

SUFFIX = ".jsonl"

MAX_SAMPLES = 200
"""Distinct ops of one family taken from one profile; a sweep's are thinned out evenly."""

SAME_RUN = 1.25
"""Repetitions of an op differ by less than this factor; else their shapes differ too."""

FULL_WEIGHT_SAMPLES = 40
"""A profile's samples of one family count no more than so many in total."""


class Source(TextEnum):
    """Where a time is from."""

    SILICON = "silicon"
    POINT = "point"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Observation:
    """One op and its time.

    ``origin`` names the file or thread it is from, ``label`` its place there. ``group`` is the
    layer, which cross-validation holds out as a whole; ``bundle``, if not empty, what it is to be
    compared within, so that its own time says nothing. ``weight`` counts how much it matters;
    ``release`` is the generation of kernels that ran.
    """

    arch: str
    record: Record
    time_ns: float
    group: str
    label: str
    origin: str
    release: str
    source: Source = Source.SILICON
    bundle: str = ""
    weight: float = 1.0


def observations_of(profile: Profile) -> tuple[Observation, ...]:
    """Return the distinct ops of a profile with their typical times."""
    families: dict[str, list[list[ProfileRow]]] = defaultdict(list)
    for rows in _distinct_rows(profile):
        families[work_of(rows[0].features).family].append(rows)
    return tuple(item for rows in families.values() for item in _observed(profile, rows))


def _distinct_rows(profile: Profile) -> Iterable[list[ProfileRow]]:
    by_features: dict[Record, list[ProfileRow]] = {}
    for row in profile.rows:
        by_features.setdefault(row.features, []).append(row)
    return by_features.values()


def _observed(profile: Profile, distinct: Sequence[list[ProfileRow]]) -> Iterator[Observation]:
    kept = distinct[:: -(-len(distinct) // MAX_SAMPLES)]
    weight = min(1.0, FULL_WEIGHT_SAMPLES / len(kept))
    for rows in kept:
        yield Observation(
            arch=profile.arch,
            record=rows[0].features,
            time_ns=_typical_ns(rows),
            group=layer_group(rows[0]),
            label=f"{profile.path.name}:{rows[0].line} {rows[0].op.code}",
            origin=profile.path.name,
            release=profile.release,
            weight=weight,
        )


def _typical_ns(rows: Sequence[ProfileRow]) -> float:
    """Return the time of equal ops.

    Reports repeat the shapes of the first run wherever a cached program runs again, even where it
    runs on other shapes; times far from the first run's are such rows.
    """
    first = rows[0].measured_ns
    return median(
        row.measured_ns for row in rows if 1 / SAME_RUN < row.measured_ns / first < SAME_RUN
    )


def layer_group(row: ProfileRow) -> str:
    """Name the layer a row belongs to, equal for its slices, formats and releases."""
    features = row.features
    if isinstance(features, Conv2dOp):
        return conv_group(features)
    if isinstance(features, MatmulOp):
        return f"matmul {features.m_tiles}x{features.k_tiles}x{features.n_tiles}"
    shape = padded_2d(row.op.inputs[0]) if row.op.inputs else ()
    return f"{type(features).__name__} {shape}"


def conv_group(op: Conv2dOp) -> str:
    """Name the layer of a convolution."""
    return (
        f"conv {op.in_channels}>{op.out_channels} {op.window_hw} /{op.stride_hw} x{op.input_hw[1]}"
    )


def shipped_paths() -> tuple[Path, ...]:
    """Return the files of the observations that the shipped coefficients are made from."""
    place = Path(str(files("autosched.cost") / "observations"))
    return tuple(sorted(place.glob(f"*{SUFFIX}")))


_OWN = tuple(item.name for item in fields(Observation) if item.name != "record")


def write_observations(observations: Iterable[Observation], path: Path | str) -> None:
    """Write observations: a line each, after a line that names the fields of its kind of op."""
    by_kind: dict[str, list[Observation]] = defaultdict(list)
    for item in observations:
        by_kind[type(item.record).__name__].append(item)
    lines: list[Any] = []
    for kind, items in sorted(by_kind.items()):
        names = list(RECORDS[kind].__dataclass_fields__)
        lines.append({"kind": kind, "fields": names})
        for item in items:
            plain = to_plain(item.record)
            own = {name: getattr(item, name) for name in _OWN}
            lines.append([*own.values(), *(plain.get(name) for name in names)])
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_observations(path: Path | str) -> tuple[Observation, ...]:
    """Read what :func:`write_observations` wrote.

    Raises:
        ProfileError: if the file is missing or damaged, or its ops have other fields than today's.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            return tuple(_read(line for line in file if line.strip()))
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, ScheduleError) as error:
        raise ProfileError(
            f"{path}: no observations that this version reads ({error}); "
            "derive them again from the profiles"
        ) from error


def _read(lines: Iterable[str]) -> Iterator[Observation]:
    kind: Any = None
    names: Sequence[str] = ()
    for line in lines:
        plain = json.loads(line)
        if isinstance(plain, dict):
            kind, names = RECORDS[plain["kind"]], plain["fields"]
            continue
        own: Mapping[str, Any] = dict(zip(_OWN, plain, strict=False))
        record = from_plain(kind, dict(zip(names, plain[len(_OWN) :], strict=True)))
        yield replace(
            Observation(record=record, **own),
            source=Source(own["source"]),
            arch=_known(own["arch"]),
        )


def _known(arch: str) -> str:
    if arch not in CLOCK_GHZ:
        raise KeyError(arch)
    return arch
