from dataclasses import replace

import pytest

from autosched.report.layer_rows import describe, describe_change
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
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

HEIGHT = TensorLayout(
    Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 7, 6),), shard_shape=(64, 32)
)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (Conv2dConfig(), "ttnn's layout"),
        (
            Conv2dConfig(
                ShardLayout.HEIGHT,
                act_block_h_override=64,
                enable_act_double_buffer=True,
                enable_weights_double_buffer=True,
            ),
            "height, act_block_h 64, double-buffered",
        ),
        (
            Conv2dConfig(
                ShardLayout.BLOCK,
                enable_weights_double_buffer=True,
                full_inner_dim=True,
                output_memory="dram",
            ),
            "block, weights double-buffered, full inner dim, output to DRAM",
        ),
        (Conv2dConfig(slicing="auto"), "ttnn's layout, sliced by ttnn"),
        (
            Conv2dConfig(slicing="dram_height", num_slices=4),
            "ttnn's layout, slices of height: 4",
        ),
        (Conv2dConfig(ShardLayout.HEIGHT, fold_input=True), "height, input folded"),
        (PoolConfig(slicing="dram_width", num_slices=8), "as its input, slices of width: 8"),
        (MatmulConfig(core_grid=(8, 7), output="width"), "grid 8x7, output width"),
        (PoolConfig(ShardLayout.HEIGHT, reallocate_halo_output=True), "height, halo moved"),
        (PoolConfig(output_page=PageLayout.ROW_MAJOR), "as its input, rows"),
        (EltwiseConfig(layout=HEIGHT), "height"),
        (FixedConfig(method="permute"), "permute, DRAM"),
        (FixedConfig(output=TensorLayout(Memory.L1)), "L1 interleaved"),
    ],
)
def test_configurations_in_words(config: LayerConfig, text: str) -> None:
    assert describe(config) == text


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        (DRAM_TILE, HEIGHT, "DRAM -> height 56"),
        (HEIGHT, HEIGHT, "height 56, packed"),
        (
            HEIGHT,
            replace(HEIGHT, shard_shape=(32, 32)),
            "height 56 of 64x32 -> height 56 of 32x32",
        ),
        (HEIGHT, replace(DRAM_TILE, page=PageLayout.ROW_MAJOR), "height 56 tiles -> DRAM rows"),
        (
            HEIGHT,
            replace(HEIGHT, dtype=DataType.BFLOAT8_B),
            "height 56 bfloat16 -> height 56 bfloat8_b",
        ),
    ],
)
def test_changes_of_layout_in_words(source: TensorLayout, target: TensorLayout, text: str) -> None:
    assert describe_change(source, target) == text
