from dataclasses import replace

from autosched.network.operators import Conv2d
from autosched.probing.candidates import Choice
from autosched.probing.convolution_stages import leaving_rows, reusing, taking_rows
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

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
    (asked,) = reusing(WINDOW, 600, found)
    assert asked.config == replace(found[1].config, enable_activation_reuse=True)  # type: ignore[type-var]
    assert asked.input_layouts == (even,)
    # It has to come near the fastest, and to gather rows one by one.
    assert reusing(WINDOW, 600, [choice(TILES, 1.0), choice(even, 2.0)]) == []
    assert reusing(Conv2d(16, 16, (1, 1)), 600, found) == []
    assert reusing(replace(WINDOW, stride=(2, 2)), 600, found) == []
    of_blocks = replace(even, sharding=ShardLayout.BLOCK)
    assert reusing(WINDOW, 600, [choice(of_blocks, 1.0)]) == []
