from dataclasses import replace

import pytest

from autosched.boards import BOARDS
from autosched.network.operators import Conv2d
from autosched.probing.candidates import Choice
from autosched.probing.convolution_stages import (
    higher_blocks,
    leaving_rows,
    reusing,
    taking_rows,
)
from autosched.schedule.configurations import Conv2dConfig, LayerConfig
from autosched.schedule.tensors import (
    TILE,
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.layers import Option

WINDOW = Conv2d(16, 16, (3, 3), padding=(1, 1, 1, 1))
SHAPE = (1, 16, 20, 30)
TILES = TensorLayout(
    Memory.L1,
    ShardLayout.HEIGHT,
    DataType.BFLOAT8_B,
    PageLayout.TILE,
    (CoreRange(0, 0, 6, 0),),
    (96, 32),
)
BLOCK = replace(TILES, sharding=ShardLayout.BLOCK)


def choice(layout: TensorLayout, time_us: float, **fields: object) -> Choice:
    config = Conv2dConfig(**fields)  # type: ignore[arg-type]
    return Choice(config, (layout,), layout, time_us, 0, ())


def test_the_fastest_of_height_shards_is_asked_in_rows_too() -> None:
    found = [
        choice(BLOCK, 1.0),
        choice(TILES, 3.0),
        choice(TILES, 2.0, enable_act_double_buffer=True),
    ]
    asked = taking_rows(WINDOW, SHAPE, found, 3)
    assert {option.config for option in asked} == {found[2].config}
    layouts = [option.input_layouts[0] for option in asked if option.input_layouts]
    # As the tiles are spread, and as a pool leaves 600 pixels on 7 cores.
    assert [layout.shard_shape for layout in layouts] == [(96, 16), (86, 16)]
    for layout in layouts:
        assert (layout.page, layout.dtype) == (PageLayout.ROW_MAJOR, DataType.BFLOAT16)
        assert layout.grid == TILES.grid


def test_products_and_narrow_channels_are_not_asked_in_rows() -> None:
    found = [choice(TILES, 1.0)]
    assert taking_rows(Conv2d(16, 16, (1, 1)), SHAPE, found, 3) == []
    assert taking_rows(Conv2d(12, 16, (3, 3)), (1, 12, 20, 30), found, 3) == []


def test_rows_of_a_convolution_are_filled_up_to_tiles() -> None:
    (asked,) = taking_rows(WINDOW, SHAPE, [choice(TILES, 1.0)], 3, filled_up=True)
    assert asked.input_layouts is not None
    assert asked.input_layouts[0].shard_shape == (96, 32)


def test_the_fastest_of_each_combination_of_layouts_leave_rows() -> None:
    rows = replace(TILES, page=PageLayout.ROW_MAJOR, dtype=DataType.BFLOAT16)
    found = [
        choice(BLOCK, 1.0),
        choice(TILES, 3.0),
        choice(TILES, 2.0, enable_act_double_buffer=True),
        replace(choice(TILES, 4.0), input_layouts=(rows,)),
        replace(choice(TILES, 5.0), output_layout=replace(TILES, shard_shape=(128, 32))),
    ]
    asked = leaving_rows(WINDOW, found, 2)
    assert [option.input_layouts for option in asked] == [(TILES,), (rows,)]
    for option, like in zip(asked, (found[2], found[3]), strict=True):
        in_rows = {"output_page": PageLayout.ROW_MAJOR, "output_dtype": DataType.BFLOAT16}
        assert option.config == replace(like.config, **in_rows)  # type: ignore[arg-type]
    assert leaving_rows(replace(WINDOW, out_channels=12), found, 2) == []


def test_activations_are_reused_where_every_core_has_as_many_pixels() -> None:
    # 600 pixels: 7 cores of 96 are more, 6 of 100 are all.
    even = replace(TILES, grid=(CoreRange(0, 0, 5, 0),), shard_shape=(100, 32))
    found = [choice(TILES, 1.0), choice(even, 1.2), choice(even, 1.3, act_block_h_override=32)]
    (asked,) = reusing(WINDOW, SHAPE, found)
    assert asked.config == replace(found[1].config, enable_activation_reuse=True)  # type: ignore[type-var]
    assert asked.input_layouts == (even,)
    # It has to come near the fastest, and to gather rows one by one.
    assert reusing(WINDOW, SHAPE, [choice(TILES, 1.0), choice(even, 2.0)]) == []
    assert reusing(Conv2d(16, 16, (1, 1)), SHAPE, found) == []
    assert reusing(replace(WINDOW, stride=(2, 2)), SHAPE, found) == []
    of_blocks = replace(even, sharding=ShardLayout.BLOCK)
    assert reusing(WINDOW, SHAPE, [choice(of_blocks, 1.0)]) == []


@pytest.mark.parametrize(
    ("own", "blocks"), [(0, [0, 64, 480]), (480, [480, 64, 320]), (64, [64]), (32, [32])]
)
def test_lower_blocks_of_two_rows_are_reused_too(own: int, blocks: list[int]) -> None:
    # 64 rows of 30 pixels on two cores.
    shape = (1, 16, 64, 30)
    even = replace(TILES, grid=(CoreRange(0, 0, 1, 0),), shard_shape=(960, 32))
    asked = reusing(WINDOW, shape, [choice(even, 1.0, act_block_h_override=own)])
    heights = [option.config.act_block_h_override for option in asked]  # type: ignore[union-attr]
    assert heights == blocks


# A core has 150 tiles of 480 rows of 640 pixels.
@pytest.mark.parametrize(
    ("fits", "does_not", "next_block"),
    [
        ({1, 10}, {75, 150}, 30),
        ({1, 25}, {75, 150}, 50),
        ({1, 50}, {75, 150}, None),
        ({1, 50}, {75, 150, 0, 2}, None),
        ({1, 10}, set(), None),
        ({0, 1}, {150}, None),
        (set(), {1, 150}, None),
    ],
)
@pytest.mark.parametrize("layout", [ShardLayout.HEIGHT, ShardLayout.WIDTH])
def test_blocks_grow_until_they_do_not_fit(
    layout: ShardLayout, fits: set[int], does_not: set[int], next_block: int | None
) -> None:
    structure = Conv2dConfig(shard_layout=layout)
    asked = [
        Option(replace(structure, act_block_h_override=tiles * TILE), None)
        for tiles in (*fits, *does_not)
    ]
    found = [
        choice(TILES, 1.0, shard_layout=layout, act_block_h_override=tiles * TILE) for tiles in fits
    ]
    # It makes no difference where the halo is.
    found = [replace(item, config=moved(item.config)) for item in found]
    expected = (
        []
        if next_block is None or layout is ShardLayout.WIDTH
        else [Option(replace(structure, act_block_h_override=next_block * TILE), None)]
    )
    assert higher_blocks(asked, found, (1, 16, 480, 640), BOARDS["n150"]) == expected


def moved(config: LayerConfig) -> Conv2dConfig:
    assert isinstance(config, Conv2dConfig)
    return replace(config, reallocate_halo_output=True)
