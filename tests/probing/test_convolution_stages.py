from dataclasses import replace

from autosched.network.operators import Conv2d
from autosched.probing.candidates import Choice
from autosched.probing.convolution_stages import taking_rows
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
    asked = taking_rows(WINDOW, SHAPE, found)
    assert {option.config for option in asked} == {found[2].config}
    layouts = [option.input_layouts[0] for option in asked if option.input_layouts]
    # As the tiles are spread, and as a pool leaves 600 pixels on 7 cores.
    assert [layout.shard_shape for layout in layouts] == [(96, 16), (86, 16)]
    for layout in layouts:
        assert (layout.page, layout.dtype) == (PageLayout.ROW_MAJOR, DataType.BFLOAT16)
        assert layout.grid == TILES.grid


def test_products_and_narrow_channels_are_not_asked_in_rows() -> None:
    found = [choice(TILES, 1.0)]
    assert taking_rows(Conv2d(16, 16, (1, 1)), SHAPE, found) == []
    assert taking_rows(Conv2d(12, 16, (3, 3)), (1, 12, 20, 30), found) == []
