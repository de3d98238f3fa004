"""What ttnn makes of single layers and reshards on the mock device."""

from dataclasses import replace

import pytest

from autosched.device.interface import ProbeRequest, ReshardRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Network
from autosched.network.operators import (
    Activation,
    Binary,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Input,
    LayerOp,
    Linear,
    Output,
    Pool2d,
    Reshape,
    Softmax,
    Unary,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.tensors import (
    DRAM_TILE,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples import device_layers as examples
from tests.examples.device_layers import (
    BLOCK,
    HEIGHT,
    POOLED,
    WIDTH,
    conv3x3,
    pointwise,
    sharded_schedule,
    ttnn_default,
)
from tests.examples.layouts import BLOCKS, DRAM_8B, ONE_ROW, ROWS_IN_DRAM, WIDTHS, height

IMAGE = (1, 64, 16, 16)
VECTOR = (1, 64)
PIXELS = (1, 3, 32, 32)
L1_TILE = TensorLayout(memory=Memory.L1)


def accepted(worker: WorkerDevice, request: ProbeRequest) -> ProbeOutcome:
    outcome = worker.probe(request)
    assert isinstance(outcome, ProbeOutcome), outcome
    return outcome


def codes(outcome: ProbeOutcome) -> list[str]:
    return [op.code.removesuffix("DeviceOperation") for op in outcome.ops]


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (examples.CIRCULAR_BUFFER_OVERFLOW, RejectionKind.CIRCULAR_BUFFER_OVERFLOW),
        (pointwise(2048, 14, HEIGHT), RejectionKind.CIRCULAR_BUFFER_OVERFLOW),
        (examples.CIRCULAR_BUFFER_CLASH, RejectionKind.CIRCULAR_BUFFER_CLASH),
        (examples.L1_OVERFLOW, RejectionKind.L1_OVERFLOW),
        (examples.BAD_BLOCK, RejectionKind.INVALID),
    ],
)
def test_rejections_have_their_kind(
    worker: WorkerDevice, request_: ProbeRequest, kind: RejectionKind
) -> None:
    outcome = worker.probe(request_)
    assert isinstance(outcome, Rejection)
    assert outcome.kind is kind
    assert 20 < len(outcome.message) <= 600
    assert "backtrace" not in outcome.message


@pytest.mark.parametrize("config", [HEIGHT, BLOCK, WIDTH], ids=["height", "block", "width"])
@pytest.mark.parametrize("make", [conv3x3, pointwise])
def test_a_convolution_is_probed_in_its_native_layout(
    worker: WorkerDevice, make: object, config: Conv2dConfig
) -> None:
    outcome = accepted(worker, make(64, 16, config))  # type: ignore[operator]
    (taken,) = outcome.input_layouts
    assert taken.sharding is outcome.output_layout.sharding is config.shard_layout
    assert taken.dtype is DataType.BFLOAT16
    assert outcome.output_layout.dtype is DataType.BFLOAT8_B
    assert not {"InterleavedToSharded", "Reshard"} & set(codes(outcome))


def test_a_rejected_source_layout_is_the_answer_of_a_native_probe(worker: WorkerDevice) -> None:
    request = conv3x3(64, 28, HEIGHT, source_layouts=(replace(POOLED, shard_shape=(32, 48)),))
    assert isinstance(worker.probe(request), Rejection)


def test_the_layout_left_is_the_effective_one(worker: WorkerDevice) -> None:
    """A large activation block rounds the shards up, and fewer cores are left."""
    cores = [
        accepted(
            worker, conv3x3(256, 14, replace(HEIGHT, act_block_h_override=block))
        ).output_layout.cores
        for block in (0, 64, 128)
    ]
    assert cores == [7, 4, 2]


def test_a_sharded_input_is_brought_into_the_layout_asked_for(worker: WorkerDevice) -> None:
    taken = height(32, 64, ONE_ROW, dtype=DataType.BFLOAT16)
    outcome = accepted(worker, conv3x3(64, 16, BLOCK, input_layouts=(taken,)))
    assert outcome.input_layouts == (taken,)
    assert codes(outcome)[0] == "Reshard"
    assert outcome.output_layout.sharding is ShardLayout.BLOCK


def test_an_input_counts_in_the_peak_and_not_in_scratch(worker: WorkerDevice) -> None:
    outcome = accepted(worker, conv3x3(64, 16, HEIGHT))
    (taken,) = outcome.input_layouts
    ends = taken.shard_bytes + outcome.output_layout.shard_bytes
    assert outcome.peak_l1_bytes == outcome.scratch_bytes + ends


def test_a_default_convolution_leaves_dram(worker: WorkerDevice) -> None:
    config = Conv2dConfig(slicing="auto", output_memory="dram")
    outcome = accepted(worker, conv3x3(64, 28, config, input_layouts=(DRAM_TILE,)))
    assert outcome.output_layout == DRAM_8B


CASES: dict[str, tuple[LayerOp, tuple[tuple[int, ...], ...], tuple[int, ...], LayerConfig]] = {
    "max pool": (Pool2d("max", (2, 2), (2, 2)), (IMAGE,), (1, 64, 8, 8), PoolConfig()),
    "average pool": (Pool2d("avg", (2, 2), (2, 2)), (IMAGE,), (1, 64, 8, 8), PoolConfig()),
    "mean": (
        GlobalAvgPool2d(),
        (IMAGE,),
        (1, 64, 1, 1),
        PoolConfig(output_memory="dram"),
    ),
    "linear": (Linear(64, 10), (VECTOR,), (1, 10), MatmulConfig()),
    "linear in width shards": (Linear(64, 128), (VECTOR,), (1, 128), MatmulConfig(output="width")),
    "add": (Binary("add"), (IMAGE, IMAGE), IMAGE, EltwiseConfig(layout=DRAM_8B)),
    "sub": (Binary("sub"), (IMAGE, IMAGE), IMAGE, EltwiseConfig(layout=DRAM_8B)),
    "mul": (Binary("mul"), (IMAGE, IMAGE), IMAGE, EltwiseConfig(layout=DRAM_8B)),
    "unary": (
        Unary(Activation("relu")),
        (IMAGE,),
        IMAGE,
        EltwiseConfig(DataType.BFLOAT16, DRAM_TILE),
    ),
    "softmax": (Softmax(1), (VECTOR,), VECTOR, FixedConfig()),
    "flatten": (Reshape(), (IMAGE,), (1, 64 * 256), FixedConfig()),
    "squeeze": (Reshape(), ((1, 64, 1, 1),), VECTOR, FixedConfig()),
    "image out": (Output(), (IMAGE,), IMAGE, FixedConfig()),
    "vector out": (Output(), (VECTOR,), VECTOR, FixedConfig()),
}


@pytest.mark.parametrize("name", CASES)
def test_other_layers_run_from_dram(worker: WorkerDevice, name: str) -> None:
    op, inputs, shape, config = CASES[name]
    outcome = accepted(worker, ProbeRequest(op, inputs, shape, config))
    assert len(outcome.input_layouts) == len(inputs)
    width = name == "linear in width shards"
    pooled = name.endswith("pool")
    assert outcome.output_layout.memory is (Memory.L1 if width or pooled else Memory.DRAM)


def test_a_linear_layer_runs_by_the_program_that_it_is_given(worker: WorkerDevice) -> None:
    program = MatmulProgram("mcast_in0", (4, 1), 2, 1, 1, 1, 1)
    op = Linear(64, 128, activation=Activation("relu"))
    outcome = accepted(
        worker, ProbeRequest(op, (VECTOR,), (1, 128), MatmulConfig(output="width", program=program))
    )
    (product,) = outcome.ops
    assert product.cores == outcome.output_layout.cores == 4
    stated = "program=mcast_in0;in0_block_w=2;out_subblock_h=1;out_subblock_w=1;per_core_M=1;"
    assert stated in product.attributes


def test_the_input_is_brought_from_pixels_last(worker: WorkerDevice) -> None:
    request = ProbeRequest(
        Input(), (PIXELS,), PIXELS, FixedConfig(ROWS_IN_DRAM, "permute"), (ROWS_IN_DRAM,)
    )
    outcome = accepted(worker, request)
    assert codes(outcome) == ["Permute"]
    assert outcome.output_layout == ROWS_IN_DRAM


def test_an_addition_runs_in_shards(worker: WorkerDevice) -> None:
    config = EltwiseConfig(layout=POOLED)
    request = ProbeRequest(Binary("add"), (IMAGE, IMAGE), IMAGE, config, (POOLED, POOLED))
    outcome = accepted(worker, request)
    assert outcome.output_layout == POOLED
    assert [op.cores for op in outcome.ops] == [8]


def test_softmax_along_pixels_is_rejected(worker: WorkerDevice) -> None:
    outcome = worker.probe(ProbeRequest(Softmax(2), (IMAGE,), IMAGE, FixedConfig()))
    assert isinstance(outcome, Rejection)
    assert "along channels or features only" in outcome.message


ACTIVATIONS = [
    *(
        Activation(name)
        for name in (
            "relu",
            "relu6",
            "silu",
            "gelu",
            "gelu_tanh",
            "sigmoid",
            "hardswish",
            "hardsigmoid",
            "mish",
            "tanh",
            "selu",
        )
    ),
    Activation("leaky_relu", (0.1,)),
    Activation("elu", (1.0,)),
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda item: item.name)
def test_every_activation_runs_wherever_it_is_fused(
    worker: WorkerDevice, activation: Activation
) -> None:
    op = Conv2d(64, 64, (1, 1), activation=activation)
    three = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1), activation=activation)
    for request in (
        ProbeRequest(three, (IMAGE,), IMAGE, HEIGHT),
        ProbeRequest(op, (IMAGE,), IMAGE, HEIGHT),
        ProbeRequest(op, (IMAGE,), IMAGE, Conv2dConfig(slicing="auto", output_memory="dram")),
        ProbeRequest(Linear(64, 64, activation=activation), (VECTOR,), VECTOR, MatmulConfig()),
        ProbeRequest(Binary("add", activation), (IMAGE, IMAGE), IMAGE, EltwiseConfig()),
        ProbeRequest(Unary(activation), (IMAGE,), IMAGE, EltwiseConfig()),
    ):
        accepted(worker, request)


@pytest.mark.parametrize(
    "op",
    [
        Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1), activation=Activation("hardswish")),
        ConvTranspose2d(64, 64, (1, 1), activation=Activation("hardswish")),
        Binary("mul", Activation("hardswish")),
    ],
)
def test_hardswish_is_not_fused_where_ttnn_would_leave_it_out(
    worker: WorkerDevice, op: LayerOp
) -> None:
    config = EltwiseConfig() if isinstance(op, Binary) else HEIGHT
    shapes = (IMAGE,) * (2 if isinstance(op, Binary) else 1)
    done = accepted(worker, ProbeRequest(op, shapes, IMAGE, config))
    assert done.ops[-1].code.startswith("Unary")
    assert not any("HARDSWISH" in step.attributes for step in done.ops[:-1])


PLACES = {"height": POOLED, "block": BLOCKS, "width": WIDTHS, "dram": DRAM_8B}


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", PLACES)
def test_reshards_leave_exactly_the_target(worker: WorkerDevice, source: str, target: str) -> None:
    outcome = worker.reshard(ReshardRequest(IMAGE, PLACES[source], PLACES[target]))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.output_layout == PLACES[target]


@pytest.mark.parametrize("source", PLACES)
def test_reshards_change_pages_and_formats(worker: WorkerDevice, source: str) -> None:
    tiles = replace(PLACES[source], dtype=DataType.BFLOAT16)
    rows = replace(tiles, page=PageLayout.ROW_MAJOR)
    packed = PLACES[source]
    for start, end in (
        (tiles, rows),
        (rows, tiles),
        (tiles, packed),
        (packed, tiles),
        (rows, packed),
        (packed, rows),
    ):
        outcome = worker.reshard(ReshardRequest(IMAGE, start, end))
        assert isinstance(outcome, ProbeOutcome), outcome
        assert outcome.output_layout == end


def test_a_network_runs_in_shards_with_reshards_and_a_move(
    worker: WorkerDevice, network: Network
) -> None:
    outcome = worker.run(sharded_schedule(network))
    assert isinstance(outcome, RunOutcome)
    layouts = outcome.output_layouts
    assert [layouts[name].cores for name in ("stem", "pool", "point", "sum")] == [32, 32, 8, 8]
    assert {layouts[name].memory for name in ("mean", "flat", "fc", "y")} == {Memory.DRAM}
    for_edges = [op.code.removesuffix("DeviceOperation") for op in outcome.ops if "->" in op.layer]
    assert for_edges == ["Reshard", "ShardedToInterleaved", "InterleavedToSharded"]
    assert 0 < outcome.peak_l1_bytes < 100_000
    default = worker.run(ttnn_default(network))
    assert isinstance(default, RunOutcome)
    assert len(default.ops) > len(outcome.ops) - len(for_edges)


def test_a_tensor_freed_before_its_last_use_is_a_rejection(
    worker: WorkerDevice, network: Network
) -> None:
    schedule = sharded_schedule(network)
    too_early = schedule.frees | {"point"}
    without_reshard = replace(schedule, frees=too_early, reshards={}, moves={})
    outcome = worker.run(without_reshard)
    assert isinstance(outcome, Rejection)
    assert (outcome.kind, outcome.layer) == (RejectionKind.INVALID, "sum")
    assert isinstance(worker.run(schedule), RunOutcome)
