"""A trial of a network with two layers, a reshard, a move and an op that ttnn inserted."""

from datetime import datetime, timezone

from autosched.schedule.configurations import Conv2dConfig, EltwiseConfig
from autosched.schedule.outcomes import DeviceOp, Rejection, RejectionKind, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Edge,
    ShardLayout,
    TensorInfo,
    TensorLayout,
    move_label,
)
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord
from tests.examples.layouts import block, height

HEIGHT = height(64, 32, (CoreRange(0, 0, 7, 6),), dtype=DataType.BFLOAT16)
BLOCK = block(64, 64, (CoreRange(0, 0, 3, 3),), dtype=DataType.BFLOAT16)
SCHEDULE = Schedule(
    Provenance("net", "abc", "n150", "0.81.1"),
    {"conv": Conv2dConfig(ShardLayout.HEIGHT), "add": EltwiseConfig(layout=BLOCK)},
    {Edge("conv", "add"): BLOCK},
    {Edge("conv", "add"): DRAM_TILE},
)


def op(
    code: str, layer: str, source: TensorLayout, target: TensorLayout, time_ns: float | None
) -> DeviceOp:
    inputs, outputs = ((TensorInfo((1, 1, 64, 32), layout),) for layout in (source, target))
    return DeviceOp(
        f"{code}DeviceOperation",
        "",
        inputs,
        outputs,
        cores=target.cores or 1,
        circular_buffer_bytes=1024,
        layer=layer,
        time_ns=time_ns,
    )


def ops(scale: float | None = 1000.0) -> tuple[DeviceOp, ...]:
    edge = Edge("conv", "add")
    parts = (
        ("InterleavedToSharded", "conv", DRAM_TILE, HEIGHT, 10.0),
        ("Halo", "conv", HEIGHT, HEIGHT, 20.0),
        ("Conv2d", "conv", HEIGHT, HEIGHT, 50.0),
        ("Reshard", str(edge), HEIGHT, BLOCK, 5.0),
        ("BinaryNg", "add", BLOCK, BLOCK, 10.0),
        ("ShardedToInterleaved", move_label(edge), HEIGHT, DRAM_TILE, 5.0),
    )
    return tuple(
        op(code, layer, source, target, None if scale is None else time_us * scale)
        for code, layer, source, target, time_us in parts
    )


def trial(number: int = 1, latency_us: float | None = 100.0, sampler: str = "joint") -> TrialRecord:
    rejected = Rejection(RejectionKind.L1_OVERFLOW, "Out of Memory: no L1", "conv")
    return TrialRecord(
        schedule=SCHEDULE,
        sampler=sampler,
        started_at=datetime(2026, 1, 2, tzinfo=timezone.utc),
        duration_s=0.5,
        latency_us=latency_us,
        latency_kind=None if latency_us is None else TimeKind.ESTIMATED,
        rejection=rejected if latency_us is None else None,
        ops=ops(),
        number=number,
    )


STUDY = StudyRecord("net-n150", "net", "abc", "n150", "mock", "0.81.1")
