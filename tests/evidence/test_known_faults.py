"""What is known to go wrong, and its neighbours that do not, as ttnn's mock device runs them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from autosched.device.interface import ProbeRequest
from autosched.device.machine import ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.evidence.fault_rules import Executable
from autosched.evidence.known_faults import BLACKHOLE, KNOWN_FAULTS, WORMHOLE, faults_of
from autosched.network.operators import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    LayerOp,
    Linear,
    Pool2d,
    Upsample,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.outcomes import ProbeOutcome
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from tests.examples.networks import BOARD

BLOCK, HEIGHT = ShardLayout.BLOCK, ShardLayout.HEIGHT
BF16, BF8 = DataType.BFLOAT16, DataType.BFLOAT8_B
Case = tuple[
    LayerOp,
    tuple[tuple[int, ...], ...],
    tuple[int, ...],
    LayerConfig,
    tuple[TensorLayout, ...] | None,
]


@pytest.fixture(scope="module")
def device() -> Iterator[WorkerDevice]:
    with WorkerDevice(BOARD) as worker:
        yield worker


def names(device: WorkerDevice, case: Case) -> list[str]:
    op, inputs, shape, config, layouts = case
    outcome = device.probe(ProbeRequest(op, inputs, shape, config, layouts))
    assert isinstance(outcome, ProbeOutcome), outcome
    candidate = Executable(op, inputs, shape, config, outcome.ops)
    return [fault.name for fault in faults_of(candidate, BOARD.arch, ttnn_version())]


def conv(
    inner: int = 32,
    kernel: tuple[int, int] = (1, 3),
    *,
    outer: int = 64,
    bias: bool = True,
    groups: int = 1,
    sides: tuple[int, int] = (8, 16),
    **config: object,
) -> Case:
    padding = (kernel[0] // 2, kernel[0] // 2, kernel[1] // 2, kernel[1] // 2)
    op = Conv2d(inner, outer, kernel, padding=padding, groups=groups, has_bias=bias)
    made = Conv2dConfig(**{"shard_layout": BLOCK, **config})  # type: ignore[arg-type]
    return op, ((1, inner, *sides),), (1, outer, *sides), made, None


def transposed(kernel: tuple[int, int] = (2, 2), **config: object) -> Case:
    op = ConvTranspose2d(64, 64, kernel, kernel)
    made = Conv2dConfig(**{"shard_layout": BLOCK, **config})  # type: ignore[arg-type]
    return op, ((1, 64, 16, 16),), (1, 64, 16 * kernel[0], 16 * kernel[1]), made, None


def dilated(width: int, slicing: str = "dram_height", dilation: int = 12) -> Case:
    op = Conv2d(64, 64, (3, 3), padding=(dilation,) * 4, dilation=(dilation,) * 2)
    config = Conv2dConfig(slicing=slicing, num_slices=2, output_memory="dram")
    return op, ((1, 64, 16, width),), (1, 64, 16, width), config, (DRAM_TILE,)


def pool(
    width: int = 16,
    padding: int = 1,
    slicing: str = "dram_height",
    page: PageLayout = PageLayout.TILE,
) -> Case:
    op = Pool2d("max", (3, 3), (1, 1), (padding,) * 4)
    side = width + 2 * padding - 2
    config = PoolConfig(
        output_memory="dram",
        slicing=slicing,
        num_slices=2,
        reallocate_halo_output=True,
        output_page=page,
    )
    return op, ((1, 64, 16, width),), (1, 64, 14 + 2 * padding, side), config, (DRAM_TILE,)


def concat(left: int, right: int, dtype: DataType = BF8, *, more: int = 0) -> Case:
    widths = [left, right, *([more] if more else [])]
    layouts = [
        TensorLayout(
            Memory.L1, HEIGHT, dtype, PageLayout.TILE, (CoreRange(0, 0, 7, 0),), (32, width)
        )
        for width in (*widths, sum(widths))
    ]
    shapes = tuple((1, width, 16, 16) for width in widths)
    return Concat(), shapes, (1, sum(widths), 16, 16), FixedConfig(layouts[-1]), tuple(layouts[:-1])


def upsampled(channels: int, columns: int = 64) -> Case:
    source = TensorLayout(
        Memory.L1, BLOCK, BF8, PageLayout.TILE, (CoreRange(0, 0, 0, 7),), (32, columns)
    )
    left = replace(source, dtype=BF16, page=PageLayout.ROW_MAJOR, shard_shape=(128, channels))
    shape = (1, channels, 20, 48)
    op = Upsample("nearest", (2, 2))
    return op, ((1, channels, 10, 24),), shape, FixedConfig(left), (source,)


def upsampled_by_columns(across: int, down: int, sides: tuple[int, int]) -> Case:
    """96 channels in ``across`` shards of 32, pixels in ``down`` of 32."""
    source = TensorLayout(
        Memory.L1,
        BLOCK,
        BF8,
        PageLayout.TILE,
        (CoreRange(0, 0, down - 1, across - 1),),
        (32, 96 // across),
        transposed=True,
    )
    left = replace(source, dtype=BF16, page=PageLayout.ROW_MAJOR, shard_shape=(128, 96 // across))
    height, width = sides
    shape = (1, 96, 2 * height, 2 * width)
    op = Upsample("nearest", (2, 2))
    return op, ((1, 96, *sides),), shape, FixedConfig(left), (source,)


def reusing(sides: tuple[int, int], block: int, cores: int = 0) -> Case:
    return conv(
        32,
        (3, 3),
        sides=sides,
        shard_layout=HEIGHT,
        act_block_h_override=block,
        core_grid=(CoreRange(0, 0, cores - 1, 0),) if cores else (),
        enable_activation_reuse=True,
    )


def from_dram(inner: int, width: int = 10, dtype: DataType = BF8) -> Case:
    case = conv(inner, (3, 3), sides=(10, width), output_dtype=dtype, shard_layout=None)
    config = replace(case[3], slicing="auto", output_memory="dram", reallocate_halo_output=True)  # type: ignore[call-arg]
    return *case[:3], config, (DRAM_TILE,)


IN_FLOAT32 = replace(Conv2dConfig().compute, fp32_dest_acc_en=True)
AGAIN = "float-sums-read-again"


def product(*, bias: bool = False, **config: object) -> Case:
    made = {"compute": IN_FLOAT32, "output_dtype": BF16, **config}
    return conv(128, (1, 1), bias=bias, **made)  # type: ignore[arg-type]


def linear(tiles_at_once: int) -> Case:
    program = MatmulProgram("mcast_in0", (2, 1), tiles_at_once, 1, 1, 1, 1)
    return multiplied(MatmulConfig(program=program, compute=IN_FLOAT32), (DRAM_TILE,))


def by_own_program() -> Case:
    """From one row of tiles that a core has whole: ttnn's program takes parts of it."""
    row = TensorLayout(
        Memory.L1, HEIGHT, BF16, PageLayout.TILE, (CoreRange(0, 0, 0, 0),), (32, 128)
    )
    return multiplied(MatmulConfig(core_grid=(2, 1), compute=IN_FLOAT32), (row,))


def multiplied(config: MatmulConfig, layouts: tuple[TensorLayout, ...]) -> Case:
    return Linear(128, 64, has_bias=False), ((1, 128),), (1, 64), config, layouts


ROW = {"groups": 64, "outer": 64, "inner": 64, "sides": (1, 64)}
SCALE = {"groups": 32, "outer": 32, "inner": 32, "sides": (1, 64), "shard_layout": HEIGHT}


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (transposed(full_inner_dim=True), "transposed-full-inner-dim"),
        (conv(), "block-few-inner-blocks"),
        (conv(64, bias=False), "block-few-inner-blocks"),
        (conv(32, (2, 2), bias=False), "block-few-inner-blocks"),
        (conv(32, (3, 3), full_inner_dim=True), "block-few-inner-blocks"),
        (conv(transpose_shards=True), "block-few-inner-blocks"),
        (conv(output_dtype=BF16, compute=IN_FLOAT32), "block-few-inner-blocks"),
        (dilated(44), "whole-height-slices"),
        (pool(), "pool-height-slices"),
        (pool(48), "pool-height-slices"),
        (concat(288, 32), "wide-concat"),
        (concat(256, 256), "wide-concat"),
        (upsampled(48), "upsample-wide-shards"),
        (upsampled_by_columns(3, 4, (16, 8)), "upsample-by-columns"),
        (upsampled_by_columns(3, 3, (17, 5)), "upsample-by-columns"),
        (conv(bias=False, **ROW), "depthwise-row-block"),  # type: ignore[arg-type]
        (
            conv(bias=False, **ROW, shard_layout=HEIGHT, config_tensors_in_dram=True),  # type: ignore[arg-type]
            "depthwise-row-tables",
        ),
        (conv(kernel=(1, 1), bias=False, **SCALE), "scale-of-a-row"),  # type: ignore[arg-type]
        (reusing((10, 4), 64), "activation-reuse-in-parts"),
        (reusing((24, 16), 96), "activation-reuse-in-parts"),
        (reusing((96, 96), 160), "activation-reuse-in-parts"),
        # A last core that has less, and blocks of less than two rows.
        (reusing((58, 64), 256, 5), "activation-reuse-in-parts"),
        (reusing((60, 64), 192, 7), "activation-reuse-in-parts"),
        (reusing((32, 96), 128, 4), "activation-reuse-in-parts"),
        (reusing((32, 160), 256, 5), "activation-reuse-in-parts"),
        (from_dram(40), "reshaped-padding-channels"),
        (product(), AGAIN),
        (product(shard_layout=None, slicing="auto", output_memory="dram"), AGAIN),
        (product(bias=True, compute=replace(IN_FLOAT32, packer_l1_acc=False)), AGAIN),
        (linear(2), AGAIN),
        (by_own_program(), AGAIN),
    ],
)
def test_what_goes_wrong_is_known(device: WorkerDevice, case: Case, name: str):
    assert name in names(device, case)


@pytest.mark.parametrize(
    "case",
    [
        transposed(),
        transposed((1, 2), full_inner_dim=True, output_dtype=BF16),
        transposed(shard_layout=HEIGHT),
        conv(bias=False),
        conv(64),
        conv(96, bias=False),
        conv(output_dtype=BF16),
        conv(shard_layout=HEIGHT),
        conv(96, bias=False, compute=IN_FLOAT32),
        conv(shard_layout=ShardLayout.WIDTH),
        conv(compute=replace(Conv2dConfig().compute, packer_l1_acc=False)),
        conv(outer=32),
        dilated(64),
        dilated(44, "dram_width"),
        dilated(44, dilation=2),
        pool(32),
        pool(padding=0),
        pool(48, slicing="dram_width"),
        pool(page=PageLayout.ROW_MAJOR),
        concat(224, 32),
        concat(544, 32),
        concat(288, 32, BF16),
        concat(288, 32, more=32),
        upsampled(64),
        upsampled_by_columns(3, 3, (12, 8)),
        conv(**ROW),  # type: ignore[arg-type]
        conv(bias=False, **ROW, shard_layout=HEIGHT),  # type: ignore[arg-type]
        conv(bias=False, output_dtype=BF16, **{**ROW, "sides": (2, 32)}),  # type: ignore[arg-type]
        conv(kernel=(1, 1), **SCALE),  # type: ignore[arg-type]
        reusing((20, 20), 160),
        reusing((64, 64), 128, 8),
        reusing((32, 96), 256, 4),
        reusing((32, 96), 512, 3),
        reusing((64, 40), 160, 4),
        reusing((58, 64), 768, 5),
        from_dram(48),
        from_dram(40, width=32),
        from_dram(40, dtype=BF16),
        product(bias=True),
        product(shard_layout=HEIGHT),
        product(compute=Conv2dConfig().compute),
        linear(4),
    ],
)
def test_what_was_executed_right_beside_it_is_left_in(device: WorkerDevice, case: Case):
    assert names(device, case) == []


def test_a_fault_is_of_architectures_and_versions():
    assert KNOWN_FAULTS[0].holds_for(WORMHOLE, "9.0.0")  # nobody knows it to be mended
    fault = replace(KNOWN_FAULTS[0], versions=("", "0.81.1"))
    assert fault.holds_for(WORMHOLE, "0.81.1")
    assert fault.holds_for(BLACKHOLE, "0.9.0")
    assert not fault.holds_for(WORMHOLE, "0.82.0")
    since = replace(fault, versions=("0.60", ""), archs=(BLACKHOLE,))
    assert since.holds_for(BLACKHOLE, "0.99.0")
    assert not since.holds_for(BLACKHOLE, "0.59.2")
    assert not since.holds_for(WORMHOLE, "0.81.1")


def test_each_has_a_name_and_a_source_of_its_own():
    assert len({fault.name for fault in KNOWN_FAULTS}) == len(KNOWN_FAULTS)
    assert all(fault.source in fault.words for fault in KNOWN_FAULTS)
