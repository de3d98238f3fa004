"""Distinct samples for calibration out of profiles, and which of them belong together.

A network repeats its layers, slices them, and is profiled again with the next release; such rows
say the same. Equal features within a profile become one sample (their median time), and samples of
one layer share a group over all profiles, which cross-validation holds out as a whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from autosched.cost.fitting import Sample
from autosched.cost.formulas import work_of
from autosched.cost.profile import CLOCK_GHZ, Profile, ProfileRow
from autosched.cost.records import Conv2dOp, MatmulOp, PoolOp, Record
from autosched.cost.tensors import padded_2d
from autosched.schedule import ShardLayout

MAX_SAMPLES = 600
"""Distinct samples of one family taken from one profile; a sweep's are thinned out evenly."""

SAME_RUN = 1.25
"""Repetitions of an op differ by less than this factor; else their shapes differ too."""

FULL_WEIGHT_SAMPLES = 40
"""A profile's samples of one family count no more than so many in total."""

Families = Mapping[str, tuple[Sample, ...]]


def samples_of(profiles: Iterable[Profile], arch: str) -> Families:
    """Return the samples of all profiles of one architecture by family of formulas."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for profile in profiles:
        if profile.arch == arch:
            for family, rows in _distinct_rows(profile).items():
                found[family].extend(_samples(profile, rows))
    for family, sample in _anchors(arch):
        found[family].append(sample)
    return {family: tuple(samples) for family, samples in found.items()}


def _distinct_rows(profile: Profile) -> Mapping[str, list[list[ProfileRow]]]:
    by_features: dict[Record, list[ProfileRow]] = {}
    for row in profile.rows:
        by_features.setdefault(row.features, []).append(row)
    families: dict[str, list[list[ProfileRow]]] = defaultdict(list)
    for features, rows in by_features.items():
        families[work_of(features).family].append(rows)
    return families


def _samples(profile: Profile, distinct: Sequence[list[ProfileRow]]) -> list[Sample]:
    stride = -(-len(distinct) // MAX_SAMPLES)
    kept = distinct[::stride]
    weight = min(1.0, FULL_WEIGHT_SAMPLES / len(kept))
    return [
        Sample(
            work=work_of(rows[0].features),
            cycles=_typical_ns(rows) * CLOCK_GHZ[profile.arch],
            group=layer_group(rows[0]),
            label=f"{profile.path.name}:{rows[0].line} {rows[0].op.code}",
            weight=weight,
        )
        for rows in kept
    ]


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
        return (
            f"conv {features.in_channels}>{features.out_channels} {features.window_hw} "
            f"/{features.stride_hw} x{features.input_hw[1]}"
        )
    if isinstance(features, MatmulOp):
        return f"matmul {features.m_tiles}x{features.k_tiles}x{features.n_tiles}"
    shape = padded_2d(row.op.inputs[0]) if row.op.inputs else ()
    return f"{type(features).__name__} {shape}"


def _pool(window: int, stride: int, sticks: int, channels: int, kind: str) -> PoolOp:
    return PoolOp(
        layout=ShardLayout.HEIGHT,
        cores=64,
        kind=kind,
        window_hw=(window, window),
        stride_hw=(stride, stride),
        out_sticks=sticks,
        stick_bytes=2 * channels,
        channels=channels,
        tiled_output=False,
    )


# Single Wormhole figures from the calibration set's README: (op, microseconds). Sticks are per
# core of 64: 16 images of 56x56, one of 112x112, one of 16x16, and ten single positions.
_POOL_ANCHORS = (
    (_pool(3, 2, 784, 64, "max"), 124.7),
    (_pool(2, 2, 196, 64, "max"), 31.4),
    (_pool(4, 4, 4, 1152, "avg"), 17.6),
    (_pool(7, 1, 1, 1280, "avg"), 8.38),
)


def _anchors(arch: str) -> list[tuple[str, Sample]]:
    if arch != "wormhole_b0":
        return []
    return [
        ("pool", Sample(work_of(op), us * 1e3, f"anchor {number}", f"pool anchor {number}"))
        for number, (op, us) in enumerate(_POOL_ANCHORS)
    ]
