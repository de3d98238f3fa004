"""Concatenations, cuts, enlargements and broadcasts: where they may run."""

from dataclasses import replace

import pytest

from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Binary,
    Concat,
    ConcatRows,
    Gather,
    Input,
    LayerOp,
    Pad,
    PixelShuffle,
    Slice,
    Upsample,
)
from autosched.schedule.configurations import EltwiseConfig, FixedConfig
from autosched.schedule.tensors import DRAM_TILE, CoreRange, DataType, PageLayout, TensorLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_config
from autosched.space.layers import Option, options
from tests.examples.layouts import BLOCKS, DRAM_8B, HEIGHTS, ROWS_IN_DRAM, ROWS_OF_HEIGHTS


def layer_of(
    op: LayerOp,
    shape: tuple[int, ...],
    *inputs: tuple[int, ...],
    formats: Formats = Formats(),  # noqa: B008 - frozen
) -> tuple[Layer, LayerFormats]:
    """A layer whose neighbours are the caller's: bfloat16 where it has a choice."""
    sources = tuple(Layer(f"x{i}", Input(), (), given) for i, given in enumerate(inputs))
    layer = Layer("layer", op, tuple(source.name for source in sources), shape)
    return layer, LayerFormats(Network("net", (*sources, layer)), formats)


def options_of(
    layer: tuple[Layer, LayerFormats], *sources: list[TensorLayout], wanted: object = ()
) -> list[Option]:
    found = options(*layer, sources, wanted)  # type: ignore[arg-type]
    assert len(set(found)) == len(found)
    return found


def image(channels: int, side: int = 16) -> tuple[int, ...]:
    return (1, channels, side, side)


CONCAT = layer_of(Concat(), image(96), image(64), image(32))


def bfloat16(layout: TensorLayout, **fields: object) -> TensorLayout:
    return replace(layout, dtype=DataType.BFLOAT16, **fields)


def test_a_concatenation_takes_one_place_for_all() -> None:
    narrow = bfloat16(HEIGHTS, shard_shape=(32, 32))
    wide = bfloat16(HEIGHTS, shard_shape=(32, 96))
    found = options_of(CONCAT, [HEIGHTS], [DRAM_8B, narrow])
    assert found == [
        Option(FixedConfig(DRAM_TILE), (DRAM_TILE, DRAM_TILE)),
        Option(FixedConfig(wide), (bfloat16(HEIGHTS), narrow)),
    ]


def test_a_concatenation_goes_where_its_reader_wants_it() -> None:
    found = options_of(
        CONCAT, [DRAM_8B], [DRAM_8B], wanted=[replace(HEIGHTS, shard_shape=(64, 96))]
    )
    assert found[1].input_layouts == (
        bfloat16(HEIGHTS, shard_shape=(64, 64)),
        bfloat16(HEIGHTS, shard_shape=(64, 32)),
    )


def test_blocks_concatenate_where_every_core_has_whole_tiles() -> None:
    assert len(options_of(CONCAT, [BLOCKS], [DRAM_8B])) == 1
    even = layer_of(Concat(), image(192), image(64), image(128))
    found = options_of(even, [BLOCKS], [DRAM_8B])
    assert found[1].config == FixedConfig(bfloat16(BLOCKS, shard_shape=(32, 96)))


def test_rows_concatenate_as_rows() -> None:
    found = options_of(CONCAT, [ROWS_OF_HEIGHTS], [DRAM_8B])
    assert [option.config.output.page for option in found] == [
        PageLayout.TILE,
        PageLayout.ROW_MAJOR,
        PageLayout.ROW_MAJOR,
    ]
    assert found[2].config.output.dtype is DataType.BFLOAT16


def test_rows_are_joined_in_dram() -> None:
    joined = layer_of(ConcatRows(), image(64), image(64), image(64))
    found = options_of(joined, [HEIGHTS], [DRAM_8B])
    assert found == [Option(FixedConfig(DRAM_TILE), (DRAM_TILE, DRAM_TILE))]


def test_a_concatenation_is_tried_in_few_places() -> None:
    many = [replace(HEIGHTS, shard_shape=(32 * rows, 64)) for rows in range(1, 20)]
    assert len(options_of(CONCAT, many, [DRAM_8B])) == 7


def test_places_of_a_concatenation_are_of_all_neighbours_and_pages() -> None:
    many = [replace(ROWS_OF_HEIGHTS, shard_shape=(32 * rows, 64)) for rows in range(1, 20)]
    skip = bfloat16(HEIGHTS, shard_shape=(1024, 32))
    found = options_of(CONCAT, many, [DRAM_8B, skip])
    assert [option.input_layouts[0] for option in found[2:5]] == [
        bfloat16(HEIGHTS, shard_shape=(1024, 64)),
        bfloat16(many[0]),
        bfloat16(many[1]),
    ]


@pytest.mark.parametrize(
    ("op", "places"), [(Slice(32, 64), [DRAM_8B, HEIGHTS]), (Slice(8, 64), [DRAM_8B])]
)
def test_shards_are_cut_at_whole_tiles_only(op: Slice, places: list[TensorLayout]) -> None:
    layer = layer_of(op, image(op.stop - op.start), image(64))
    found = options_of(layer, [HEIGHTS, BLOCKS])
    assert [option.input_layouts for option in found] == [(place,) for place in places]


def test_rows_are_cut_where_cores_can_write() -> None:
    found = options_of(layer_of(Slice(8, 64), image(56), image(64)), [ROWS_OF_HEIGHTS])
    assert [option.input_layouts for option in found] == [
        (DRAM_TILE,),
        (ROWS_IN_DRAM,),
        (ROWS_OF_HEIGHTS,),
    ]
    assert found[2].config == FixedConfig(replace(ROWS_OF_HEIGHTS, shard_shape=(32, 56)))


def test_each_core_enlarges_its_own_shard() -> None:
    found = options_of(layer_of(Upsample("nearest", (2, 3)), image(64, 96), image(64)), [HEIGHTS])
    assert [option.input_layouts for option in found] == [(DRAM_8B,), (ROWS_IN_DRAM,), (HEIGHTS,)]
    assert found[2].config == FixedConfig(replace(ROWS_OF_HEIGHTS, shard_shape=(192, 64)))


@pytest.mark.parametrize("op", [Pad((1, 1, 1, 1)), PixelShuffle(2), Gather((1, 0), (0, 0))])
def test_padding_and_pixel_shuffle_go_through_dram(op: LayerOp) -> None:
    layer = layer_of(op, image(16, 32), image(64))
    assert options_of(layer, [HEIGHTS]) == [
        Option(FixedConfig(ROWS_IN_DRAM), (DRAM_8B,)),
        Option(FixedConfig(ROWS_IN_DRAM), (ROWS_IN_DRAM,)),
    ]


def test_a_broadcast_factor_may_lie_anywhere() -> None:
    layer = layer_of(Binary("mul"), image(64), image(64), (1, 64, 1, 1))
    small = TensorLayout(dtype=DataType.BFLOAT16)
    one_core = bfloat16(HEIGHTS, grid=(CoreRange(0, 0, 0, 0),))
    found = options_of(layer, [HEIGHTS, BLOCKS], [one_core])
    assert [option.input_layouts for option in found] == [
        (place, other) for place in (DRAM_8B, HEIGHTS, BLOCKS) for other in (small, one_core)
    ]
    assert found[2].config == EltwiseConfig(DataType.BFLOAT16, bfloat16(HEIGHTS))


def test_formats_follow_from_rows_and_whole_tiles() -> None:
    formats = Formats(end_activations=DataType.BFLOAT8_B)

    def dtype_of(op: LayerOp, *widths: int) -> DataType:
        layer, by_layer = layer_of(op, image(sum(widths)), *map(image, widths), formats=formats)
        return by_layer.output_dtype(layer)

    block_floats, wide = DataType.BFLOAT8_B, DataType.BFLOAT16
    assert dtype_of(Concat(), 64, 32) is block_floats
    assert dtype_of(Concat(), 24, 40) is wide
    assert dtype_of(Slice(32, 64), 64) is block_floats
    assert dtype_of(Slice(0, 24), 64) is wide
    for op in (Upsample("nearest", (2, 2)), Pad((0, 1, 0, 1)), PixelShuffle(2)):
        assert dtype_of(op, 64) is wide


def test_defaults_leave_rows_where_the_layer_does() -> None:
    layer, formats = layer_of(PixelShuffle(2), image(16, 32), image(64))
    assert default_config(layer, formats) == FixedConfig(ROWS_IN_DRAM)
    assert default_config(*CONCAT) == FixedConfig(DRAM_TILE)
