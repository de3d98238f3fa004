"""Every value of a configuration counts when a schedule is edited, or it is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.export.validation import FIXED_METHODS
from autosched.network.graph import Layer
from autosched.network.legal_values import methods
from autosched.network.operators import (
    ActivatedOutput,
    Activation,
    Attention,
    Binary,
    Concat,
    ConcatRows,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Crop,
    Gather,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    HostOutput,
    HostStep,
    HostView,
    Input,
    LayerNorm,
    LayerOp,
    Linear,
    Matmul,
    Output,
    Pad,
    Permute,
    PixelShuffle,
    PlainGroupNorm,
    Pool2d,
    Reshape,
    Slice,
    Softmax,
    Unary,
    Upsample,
)
from autosched.schedule.configurations import (
    HOST_METHOD,
    HOST_OUTPUT_METHOD,
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind
from autosched.schedule.tensors import (
    DRAM_TILE,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.convolutions import in_slices
from tests.examples.device_layers import HEIGHT, POOLED
from tests.examples.layouts import DRAM_8B, HALF_GRID, ONE_ROW, ROWS_IN_DRAM, height

Shape = tuple[int, ...]
IMAGE, HALF, ROW, VECTOR = (1, 64, 32, 32), (1, 64, 16, 16), (1, 64, 1, 1), (1, 64)
SHARDS = height(32, 64, HALF_GRID)
ON_ONE_ROW = height(128, 64, ONE_ROW)


@dataclass(frozen=True)
class Case:
    """An operator in a layout, its configuration, and edits of it: a value for each field."""

    op: LayerOp
    shapes: tuple[Shape, ...]
    shape: Shape
    config: LayerConfig
    layouts: tuple[TensorLayout, ...]
    edits: dict[str, Any]

    def probed(self, worker: WorkerDevice, config: LayerConfig) -> ProbeOutcome | Rejection:
        request = ProbeRequest(self.op, self.shapes, self.shape, config, self.layouts)
        return worker.probe(request)


COMPUTE = {
    "compute.math_fidelity": Fidelity.HIFI4,
    "compute.math_approx_mode": False,
    "compute.fp32_dest_acc_en": True,
    "compute.packer_l1_acc": False,
}
CONVOLUTION = {
    "shard_layout": ShardLayout.BLOCK,
    "act_block_h_override": 64,
    "act_block_w_div": 2,
    "enable_act_double_buffer": True,
    "enable_weights_double_buffer": True,
    "full_inner_dim": True,
    "enable_activation_reuse": True,
    "force_split_reader": True,
    "config_tensors_in_dram": True,
    "core_grid": ONE_ROW,
    "transpose_shards": True,
    "enable_kernel_stride_folding": True,
    "reallocate_halo_output": True,
    "weights_dtype": DataType.BFLOAT16,
    "output_dtype": DataType.BFLOAT16,
    "output_page": PageLayout.ROW_MAJOR,
    "output_memory": "dram",
    "slicing": "dram_height",
    "fold_input": True,
    **COMPUTE,
}
# A search gives it to all convolutions: a matmul has no halo to move.
NO_HALO = {"reallocate_halo_output": None}
IN_SLICES = {"slicing": "dram_width", "num_slices": 4, "output_memory": "sharded"}
POOL = {
    "shard_layout": ShardLayout.BLOCK,
    "output_page": PageLayout.ROW_MAJOR,
    "output_dtype": DataType.BFLOAT16,
    "output_memory": "dram",
    "reallocate_halo_output": True,
    "slicing": "dram_height",
}
IN_DRAM = {
    "memory": Memory.L1,
    "sharding": ShardLayout.WIDTH,
    "dtype": DataType.FLOAT32,
    "page": PageLayout.ROW_MAJOR,
}
IN_SHARDS = {
    "memory": Memory.DRAM,
    "sharding": ShardLayout.BLOCK,
    "grid": ONE_ROW,
    "shard_shape": (64, 64),
    "transposed": True,
}
MATMUL = {
    "core_grid": (4, 1),
    "output": "width",
    "weights_dtype": DataType.BFLOAT16,
    "output_dtype": DataType.BFLOAT8_B,
    "program": MatmulProgram("mcast_in0", (8, 1), 2, 1, 1, 1, 1),
    **COMPUTE,
}


def of_output(edits: dict[str, Any], owner: str = "output") -> dict[str, Any]:
    return {f"{owner}.{name}": value for name, value in edits.items()}


def fixed(
    op: LayerOp,
    shapes: tuple[Shape, ...],
    shape: Shape,
    left: TensorLayout,
    taken: TensorLayout = DRAM_TILE,
    method: str = "",
) -> Case:
    """A layer that leaves its output in one layout, to be edited to another, and its method."""
    edits = of_output(IN_SHARDS if left.is_sharded else IN_DRAM)
    edits = {**edits, "method": "permute" if method == "convert_to_hwc" else "convert_to_hwc"}
    edits["compute"] = ComputeConfig(Fidelity.HIFI3, fp32_dest_acc_en=True)
    if left.page is PageLayout.ROW_MAJOR:
        edits["output.page"] = PageLayout.TILE
    return Case(op, shapes, shape, FixedConfig(left, method), (taken,) * len(shapes), edits)


VIEW = HostView((64,), (0,), VECTOR)
ON_HOST = HostOp((HostStep("aten.relu.default", '[[{"input":0}],{}]'),), (VIEW,))
FOR_THE_CALLER = HostOutput(ON_HOST.steps, ON_HOST.views, "float32")
THREE = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
MAX = Pool2d("max", (2, 2), (2, 2))
TWICE = replace(SHARDS, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR, shard_shape=(128, 64))
HWC = replace(SHARDS, dtype=DataType.BFLOAT16, page=PageLayout.ROW_MAJOR, shard_shape=(32, 8))
PIXELS = (1, 3, 32, 32)
CASES = {
    "convolution": Case(THREE, (IMAGE,), IMAGE, HEIGHT, (SHARDS,), CONVOLUTION),
    "convolution in slices": Case(
        THREE,
        (IMAGE,),
        IMAGE,
        replace(in_slices(Conv2dConfig()), slicing="dram_height", num_slices=2),
        (DRAM_8B,),
        IN_SLICES,
    ),
    "pointwise": Case(
        Conv2d(64, 64, (1, 1)),
        (IMAGE,),
        IMAGE,
        HEIGHT,
        (SHARDS,),
        {**CONVOLUTION, "shard_layout": ShardLayout.WIDTH, **NO_HALO},
    ),
    "transposed": Case(
        ConvTranspose2d(64, 64, (2, 2), (2, 2)), (HALF,), IMAGE, HEIGHT, (POOLED,), CONVOLUTION
    ),
    "linear": Case(Linear(64, 256), (VECTOR,), (1, 256), MatmulConfig(), (DRAM_TILE,), MATMUL),
    "max pool": Case(
        MAX, (IMAGE,), HALF, PoolConfig(output_dtype=DataType.BFLOAT8_B), (SHARDS,), POOL
    ),
    "average pool": Case(
        replace(MAX, mode="avg"),
        (IMAGE,),
        HALF,
        PoolConfig(output_dtype=DataType.BFLOAT8_B),
        (SHARDS,),
        POOL,
    ),
    "pool in slices": Case(
        MAX,
        (IMAGE,),
        HALF,
        PoolConfig(output_memory="dram", slicing="dram_height", num_slices=2),
        (DRAM_8B,),
        {"slicing": "auto", "num_slices": 4, "shard_layout": ShardLayout.WIDTH},
    ),
    "mean": Case(
        GlobalAvgPool2d(),
        (IMAGE,),
        ROW,
        PoolConfig(ShardLayout.WIDTH, output_dtype=DataType.BFLOAT8_B),
        (DRAM_8B,),
        POOL,
    ),
    "mean by reductions": Case(
        GlobalAvgPool2d(),
        (IMAGE,),
        ROW,
        PoolConfig(output_memory="dram"),
        (DRAM_TILE,),
        {
            "shard_layout": ShardLayout.WIDTH,
            "output_page": PageLayout.ROW_MAJOR,
            "output_dtype": DataType.BFLOAT8_B,
            "output_memory": "sharded",
            "slicing": "dram_height",
        },
    ),
    "mean of shards by reductions": Case(
        GlobalAvgPool2d(),
        (IMAGE,),
        ROW,
        PoolConfig(output_dtype=DataType.BFLOAT8_B),
        (SHARDS,),
        {"shard_layout": ShardLayout.HEIGHT, "output_dtype": DataType.BFLOAT16},
    ),
    "sum": Case(
        Binary("add"),
        (IMAGE, IMAGE),
        IMAGE,
        EltwiseConfig(layout=SHARDS),
        (SHARDS, SHARDS),
        {"output_dtype": DataType.BFLOAT16, **of_output(IN_SHARDS, "layout")},
    ),
    "sum in DRAM": Case(
        Binary("add"),
        (IMAGE, IMAGE),
        IMAGE,
        EltwiseConfig(DataType.BFLOAT16, DRAM_TILE),
        (DRAM_TILE, DRAM_TILE),
        of_output(IN_DRAM, "layout"),
    ),
    "unary": Case(
        Unary(Activation("relu")),
        (IMAGE,),
        IMAGE,
        EltwiseConfig(DataType.BFLOAT16, DRAM_TILE),
        (DRAM_TILE,),
        {"output_dtype": DataType.BFLOAT8_B, **of_output(IN_DRAM, "layout")},
    ),
    "input": fixed(Input(), (PIXELS,), PIXELS, ROWS_IN_DRAM, ROWS_IN_DRAM, "permute"),
    "input in shards": fixed(Input(), (PIXELS,), PIXELS, HWC, ROWS_IN_DRAM, "convert_to_hwc"),
    "vector": fixed(Input(), (VECTOR,), VECTOR, DRAM_TILE, ROWS_IN_DRAM),
    "constant": fixed(Constant(), (), IMAGE, DRAM_TILE),
    "image out": fixed(Output(), (IMAGE,), IMAGE, DRAM_TILE),
    "activated image out": fixed(
        ActivatedOutput(Activation("sigmoid")), (IMAGE,), IMAGE, DRAM_TILE
    ),
    "vector out": fixed(Output(), (VECTOR,), VECTOR, DRAM_TILE),
    "rows joined": fixed(ConcatRows(), (IMAGE, IMAGE), (1, 64, 64, 32), DRAM_TILE),
    "concatenation": fixed(Concat(), (IMAGE, IMAGE), (1, 128, 32, 32), DRAM_TILE),
    "concatenation in shards": fixed(
        Concat(), (IMAGE, IMAGE), (1, 128, 32, 32), replace(SHARDS, shard_shape=(32, 128)), SHARDS
    ),
    "slice": fixed(Slice(0, 32), (IMAGE,), (1, 32, 32, 32), DRAM_TILE),
    "slice in shards": fixed(
        Slice(0, 32), (IMAGE,), (1, 32, 32, 32), replace(SHARDS, shard_shape=(32, 32)), SHARDS
    ),
    "crop": fixed(Crop((0, 16, 1), (0, 16, 1)), (IMAGE,), HALF, DRAM_TILE),
    "padding": fixed(Pad((0, 0, 0, 32)), (IMAGE,), (1, 64, 32, 64), ROWS_IN_DRAM),
    "gather": fixed(Gather((1, 0), (3, 2, 2)), (IMAGE,), (1, 64, 2, 3), ROWS_IN_DRAM),
    "pixel shuffle": fixed(PixelShuffle(2), (IMAGE,), (1, 16, 64, 64), ROWS_IN_DRAM),
    "upsampling": fixed(Upsample("nearest", (2, 2)), (IMAGE,), (1, 64, 64, 64), ROWS_IN_DRAM),
    "upsampling in shards": fixed(
        Upsample("nearest", (2, 2)), (IMAGE,), (1, 64, 64, 64), TWICE, SHARDS
    ),
    "softmax": fixed(Softmax(1), (IMAGE,), IMAGE, DRAM_TILE),
    "layer norm": fixed(LayerNorm(1e-5), (IMAGE,), IMAGE, DRAM_TILE),
    "group norm": fixed(GroupNorm(2, 1e-5), (IMAGE,), IMAGE, DRAM_TILE),
    "composed group norm": fixed(GroupNorm(2, 1e-5), (IMAGE,), IMAGE, DRAM_TILE, method="composed"),
    "plain group norm": fixed(PlainGroupNorm(2, 1e-5), (IMAGE,), IMAGE, DRAM_TILE),
    "matmul": fixed(Matmul(), ((1, 64, 64), (1, 64, 64)), (1, 64, 64), DRAM_TILE),
    "attention": fixed(Attention(2, 0.1), (HALF,) * 3, HALF, DRAM_TILE),
    "permutation": fixed(Permute((64, 32, 32), (0, 2, 1)), (IMAGE,), IMAGE, DRAM_TILE),
    "reshape": fixed(Reshape(), (ROW,), VECTOR, DRAM_TILE),
    "flattening": fixed(Reshape(), (IMAGE,), (1, 65536), DRAM_TILE),
    "host": fixed(ON_HOST, (VECTOR,), VECTOR, DRAM_TILE, DRAM_TILE, HOST_METHOD),
    "for the caller": fixed(
        FOR_THE_CALLER, (VECTOR,), VECTOR, DRAM_TILE, DRAM_TILE, HOST_OUTPUT_METHOD
    ),
}


def edited(config: Any, name: str, value: Any) -> Any:
    """Return a configuration with one field changed, ``layout.memory`` a field of a field."""
    owner, _, inner = name.partition(".")
    if inner:
        value = replace(getattr(config, owner), **{inner: value})
    config = replace(config, **{owner: value})
    # The second of two that must say the same, and a number of slices that means slices.
    if name in ("output_dtype", "layout.dtype") and isinstance(config, EltwiseConfig):
        dtype = config.output_dtype if name == "output_dtype" else config.layout.dtype
        config = replace(config, output_dtype=dtype, layout=replace(config.layout, dtype=dtype))
    if name == "slicing" and value == "dram_height":
        config = replace(config, num_slices=2)
    return config


def edits() -> Iterator[Any]:
    for name, case in CASES.items():
        for field, value in case.edits.items():
            if value is not None:
                yield pytest.param(case, field, value, id=f"{name}, {field}")


@pytest.mark.parametrize(("case", "field", "value"), list(edits()))
def test_an_edit_counts_or_is_refused(
    worker: WorkerDevice, case: Case, field: str, value: Any
) -> None:
    before = case.probed(worker, case.config)
    assert isinstance(before, ProbeOutcome), before
    after = case.probed(worker, edited(case.config, field, value))
    if isinstance(after, Rejection):
        assert after.kind is not RejectionKind.CRASH, after
        assert after.message
    else:
        assert effect(after) != effect(before)


def effect(outcome: ProbeOutcome) -> tuple[object, ...]:
    """Return what ran, what it left, and what it freed."""
    return outcome.ops, outcome.output_layout, outcome.saved_by_freeing_bytes


def every_field(kind: Any, prefix: str = "") -> set[str]:
    found = set()
    for item in fields(kind):
        value = getattr(kind, item.name)
        if is_dataclass(value):
            found |= every_field(value, f"{item.name}.")
        else:
            found.add(prefix + item.name)
    return found


@pytest.mark.parametrize(
    "config", [Conv2dConfig(), MatmulConfig(), PoolConfig(), EltwiseConfig(), FixedConfig()]
)
def test_no_field_is_left_out(config: LayerConfig) -> None:
    cases = [case for case in CASES.values() if isinstance(case.config, type(config))]
    assert {field for case in cases for field in case.edits} == every_field(config)


def test_every_way_of_a_layer_may_stand_in_a_module() -> None:
    for name, case in CASES.items():
        inputs = tuple(str(number) for number, _ in enumerate(case.shapes))
        assert set(methods(Layer("it", case.op, inputs, case.shape))) <= set(FIXED_METHODS), name


def test_no_operator_is_left_out() -> None:
    assert {type(case.op) for case in CASES.values()} == set(LayerOp.__args__)  # type: ignore[attr-defined]
