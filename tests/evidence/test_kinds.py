from dataclasses import replace

import pytest

from autosched.evidence.kinds import kind_of, reshard_kind
from autosched.network.operators import (
    Activation,
    Binary,
    Concat,
    ConcatRows,
    Conv2d,
    Input,
    LayerOp,
    Linear,
    Unary,
)
from autosched.schedule.configurations import (
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
)
from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

OP = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
SHAPE = (1, 64, 32, 32)
CONFIG = Conv2dConfig(shard_layout=ShardLayout.BLOCK)
SHARDS = TensorLayout(
    Memory.L1,
    ShardLayout.BLOCK,
    DataType.BFLOAT8_B,
    PageLayout.TILE,
    (CoreRange(0, 0, 3, 3),),
    (32, 32),
)


def kind(
    op: LayerOp = OP,
    shape: tuple[int, ...] = SHAPE,
    config: LayerConfig = CONFIG,
    output: TensorLayout = SHARDS,
) -> str:
    return kind_of(op, (shape,), config, (SHARDS,), output)


def test_a_kind_reads_like_a_sentence():
    assert kind() == (
        "Conv2d, asked block, weights bfloat8_b, LoFi, packer_l1_acc, l1_full, "
        "in l1 block bfloat8_b tile, out l1 block bfloat8_b tile"
    )


@pytest.mark.parametrize(
    "other",
    [
        kind(replace(OP, activation=Activation("hardswish"))),
        kind(replace(OP, activation=Activation("relu"))),
        kind(replace(OP, has_bias=False)),
        kind(replace(OP, stride=(2, 2))),
        kind(replace(OP, dilation=(2, 2))),
        kind(replace(OP, groups=64)),
        kind(replace(OP, groups=2)),
        kind(Conv2d(64, 64, (1, 1))),
        kind(shape=(1, 64, 1, 32)),
        kind(shape=(1, 64, 32, 33)),
        kind(shape=(1, 48, 32, 32)),
        kind(shape=(2, 64, 32, 32)),
        kind(replace(OP, out_channels=48)),
        kind(output=replace(SHARDS, shard_shape=(32, 64))),
        kind(output=replace(SHARDS, shard_shape=(32, 288))),
        kind(config=replace(CONFIG, full_inner_dim=True)),
        kind(config=replace(CONFIG, act_block_h_override=64)),
        kind(config=replace(CONFIG, core_grid=(CoreRange(0, 0, 1, 1),))),
        kind(config=replace(CONFIG, slicing="dram_height", num_slices=2)),
        kind(config=replace(CONFIG, compute=replace(CONFIG.compute, packer_l1_acc=False))),
        kind(output=replace(SHARDS, dtype=DataType.BFLOAT16)),
        kind(output=DRAM_TILE),
    ],
)
def test_what_changes_a_program_changes_the_kind(other: str):
    assert other != kind()


@pytest.mark.parametrize(
    "other",
    [
        kind(replace(OP, out_channels=128)),
        kind(shape=(1, 128, 16, 64)),
        kind(output=replace(SHARDS, grid=(CoreRange(0, 0, 7, 7),), shard_shape=(64, 32))),
    ],
)
def test_sizes_do_not(other: str):
    assert other == kind()


def test_rows_that_end_within_a_tile_are_joined_by_other_kernels():
    def joined(*rows: int) -> str:
        shapes = tuple((1, 64, count, 1) for count in rows)
        return kind_of(ConcatRows(), shapes, FixedConfig(), (DRAM_TILE,) * len(rows), DRAM_TILE)

    assert joined(64, 20) == joined(32, 96) != joined(20, 64)


def test_two_tensors_and_more_are_concatenated_by_other_kernels():
    two, three = (
        kind_of(Concat(), (SHAPE,) * count, FixedConfig(), (DRAM_TILE,) * count, DRAM_TILE)
        for count in (2, 3)
    )
    assert two != three
    assert two.endswith("two")


def test_a_function_is_named_and_what_it_is_fused_into():
    gelu = Activation("gelu")
    fused, alone = (
        kind_of(op, (SHAPE,), EltwiseConfig(), (DRAM_TILE,), DRAM_TILE)
        for op in (Binary("add", gelu), Unary(gelu))
    )
    assert fused.startswith("Binary add, fused, function gelu, ")
    assert alone.startswith("Unary, function gelu, ")


def test_products_say_their_formats_and_fidelity():
    config = MatmulConfig(compute=ComputeConfig(Fidelity.HIFI4))
    found = kind_of(Linear(64, 10), ((1, 64),), config, (DRAM_TILE,), DRAM_TILE)
    assert found.startswith("Linear, weights bfloat8_b, HiFi4, packer_l1_acc, ")


def test_the_way_an_input_is_converted_is_named():
    found = kind_of(Input(), (SHAPE,), FixedConfig(method="permute"), (DRAM_TILE,), DRAM_TILE)
    assert found.startswith("Input, permute, ")


def test_reshards_are_of_their_layouts():
    assert reshard_kind(DRAM_TILE, SHARDS) == (
        "reshard, in dram interleaved bfloat16 tile, out l1 block bfloat8_b tile"
    )


def test_a_folded_single_window_is_a_matrix_product():
    """What stems were folded says nothing of it."""
    window = Conv2d(64, 64, (32, 32))
    folded = kind(window, config=replace(CONFIG, fold_input=True))
    assert folded.startswith("Conv2d pointwise, asked block, fold_input")
    assert kind(window) == kind()


def test_a_window_that_slides_down_a_column_is_that_of_a_row():
    column = Conv2d(64, 64, (3, 1), padding=(1, 1, 0, 0))
    assert "one row" in kind(column, (1, 64, 32, 1))
    assert "one column" in kind(Conv2d(64, 64, (1, 1)), (1, 64, 32, 1))
