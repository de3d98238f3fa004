"""Values that tests store: one of everything."""

from datetime import datetime, timezone

from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, RejectionKind, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)
from autosched.service.submissions import Submission
from autosched.store.probes import DeviceKey, ProbeKey, StoredProbe
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord

N150 = DeviceKey("n150", "mock", "0.81.1")
REVISION = "0123456789abcdef"
MOMENT = datetime(2026, 3, 29, 1, 30, 15, 250_000, tzinfo=timezone.utc)


def layout(rows: int = 64) -> TensorLayout:
    return TensorLayout(
        Memory.L1,
        ShardLayout.HEIGHT,
        DataType.BFLOAT8_B,
        PageLayout.TILE,
        (CoreRange(0, 0, 7, 5), CoreRange(0, 6, 3, 6)),
        (rows, 64),
    )


CONFIGS: tuple[LayerConfig, ...] = (
    Conv2dConfig(shard_layout=ShardLayout.BLOCK, core_grid=(CoreRange(0, 0, 7, 7),)),
    MatmulConfig(core_grid=(8, 4), output="width"),
    PoolConfig(output_page=PageLayout.ROW_MAJOR),
    EltwiseConfig(layout=layout()),
    FixedConfig(output=layout(96), method="permute"),
)


def device_op(number: int = 0) -> DeviceOp:
    return DeviceOp(
        "Conv2dDeviceOperation",
        f"Conv2dParams(number={number}; window='3x3'; maß=1)" + "; padding=0" * 30,
        (TensorInfo((1, 1, 3136, 64), layout()), TensorInfo((1, 1, 576, 64), DRAM_TILE)),
        (TensorInfo((1, 1, 3136, 64), layout(96)),),
        "Conv2dShardedProgramFactory",
        52,
        123_456,
        "layer1.0.conv1",
        None if number % 2 else 1234.5,
    )


OUTCOME = ProbeOutcome(
    (device_op(0), device_op(1)), (layout(),), layout(96), 500_000, 123_456, 7, 12.5
)
REJECTION = Rejection(RejectionKind.L1_OVERFLOW, "Out of Memory: 7 B, 64 µs", "layer1.0.conv1")


def probe(
    signature: str = "layer a",
    config: LayerConfig = CONFIGS[0],
    outcome: ProbeOutcome | Rejection = OUTCOME,
    device: DeviceKey = N150,
    revision: str = REVISION,
) -> StoredProbe:
    inputs = (layout(), DRAM_TILE)
    key = ProbeKey.of(signature, config, inputs, device, revision)
    return StoredProbe(key, config, inputs, outcome)


def study(name: str = "resnet") -> StudyRecord:
    return StudyRecord(
        name=name,
        network="resnet50",
        network_signature="0123456789abcdef",
        board="n150",
        device_kind="mock",
        ttnn_version="0.81.1",
        batch=16,
        settings={"sampler": "tpe", "seed": 7, "formats": ["bfloat8_b"], "file": "net.py"},
        created_at=MOMENT,
    )


def submission(study: str) -> Submission:
    """A study as it is submitted to a service."""
    return Submission(f"/nets/{study}.py", "n150", study, {"trials": 3}, "here", MOMENT)


def schedule(layers: int = 5) -> Schedule:
    return Schedule(
        Provenance("resnet50", "0123", "n150", "0.81.1", trial=3, latency_kind=TimeKind.ESTIMATED),
        {f"layer{index}": CONFIGS[index % len(CONFIGS)] for index in range(layers)},
        {Edge("layer0", "layer1"): layout(), Edge("layer1", "layer3", 1): DRAM_TILE},
        # As the configurations of the first versions said.
        frees=frozenset(name for name in ("layer0", "layer2") if name < f"layer{layers}"),
    )


def trial(
    latency_us: float | None = 2600.25,
    kind: TimeKind | None = TimeKind.ESTIMATED,
    rejection: Rejection | None = None,
) -> TrialRecord:
    return TrialRecord(
        schedule=schedule(),
        sampler="joint",
        started_at=MOMENT,
        duration_s=0.75,
        latency_us=latency_us,
        latency_kind=kind,
        latency_std_us=None if latency_us is None else 1.5,
        peak_l1_bytes=1_000_000,
        cost_model="wormhole 3",
        rejection=rejection,
        ops=(device_op(0), device_op(1)),
    )


def rejected_trial() -> TrialRecord:
    return trial(None, None, REJECTION)
