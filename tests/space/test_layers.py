from dataclasses import replace

import pytest

from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Attention,
    Constant,
    Crop,
    GroupNorm,
    HostOp,
    HostStep,
    HostView,
    Input,
    Output,
    Permute,
    Reshape,
    Softmax,
)
from autosched.schedule.configurations import (
    HOST_METHOD,
    EltwiseConfig,
    FixedConfig,
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
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_config
from autosched.space.layers import Option, options, sliced_pools
from tests.examples.layouts import BLOCKS, DRAM_8B, HEIGHTS, ROWS_OF_HEIGHTS
from tests.examples.space_layers import FORMATS, NETWORK


def options_of(name: str, *sources: list[TensorLayout], wanted: object = ()) -> list[Option]:
    found = options(NETWORK.by_name[name], FORMATS, sources, wanted)  # type: ignore[arg-type]
    assert len(set(found)) == len(found)
    return found


def layouts(found: list[Option]) -> list[tuple[TensorLayout, ...] | None]:
    return [option.input_layouts for option in found]


def test_a_pool_asks_for_native_layouts_and_takes_what_is_there() -> None:
    found = options_of("pool", [HEIGHTS, DRAM_8B, BLOCKS])
    native = [option.config for option in found if option.input_layouts is None]
    assert [config.shard_layout for config in native] == [
        ShardLayout.HEIGHT,
        ShardLayout.BLOCK,
        ShardLayout.WIDTH,
    ]
    assert layouts(found)[3:] == [(HEIGHTS,), (BLOCKS,), (DRAM_8B,)]
    in_dram = found[-1].config
    assert in_dram == PoolConfig(output_dtype=DataType.BFLOAT8_B, output_memory="dram")


def test_a_pool_leaves_rows_where_they_are_wanted() -> None:
    in_tiles = options_of("pool", [HEIGHTS, DRAM_8B, BLOCKS])
    in_rows = set(options_of("pool", [HEIGHTS, DRAM_8B, BLOCKS], wanted=[ROWS_OF_HEIGHTS]))
    assert in_rows > set(in_tiles)
    added = in_rows - set(in_tiles)
    assert {option.input_layouts for option in added} == {None, (HEIGHTS,)}
    for option in added:
        assert isinstance(option.config, PoolConfig)
        assert option.config.output_page is PageLayout.ROW_MAJOR
        assert option.config.output_dtype is DataType.BFLOAT16


def test_a_pool_too_large_for_l1_is_sliced_in_tiles_and_in_rows() -> None:
    rows = TensorLayout(page=PageLayout.ROW_MAJOR)
    counts = {}
    for name in ("quick", "default", "full"):
        found = sliced_pools(PoolConfig(ShardLayout.HEIGHT), DRAM_8B, find_effort(name))
        assert len(set(found)) == len(found)
        counts[name] = len(found)
        for option in found:
            assert isinstance(option.config, PoolConfig)
            in_rows = option.config.output_page is PageLayout.ROW_MAJOR
            assert option.input_layouts == ((rows,) if in_rows else (DRAM_8B,))
            assert option.config.output_memory == "dram"
            assert option.config.shard_layout is None
            assert not option.config.num_slices or option.config.slicing != "auto"
    assert counts == {"quick": 6, "default": 18, "full": 30}


def test_a_mean_is_a_pool() -> None:
    assert {type(option.config) for option in options_of("mean", [HEIGHTS])} == {PoolConfig}


def test_a_sum_runs_in_each_place_that_its_neighbours_have() -> None:
    wanted = replace(BLOCKS, dtype=DataType.BFLOAT16)
    found = options_of("sum", [HEIGHTS], [DRAM_8B], wanted=[wanted])
    assert [option.config for option in found] == [
        EltwiseConfig(DataType.BFLOAT8_B, place) for place in (DRAM_8B, HEIGHTS, BLOCKS)
    ]
    assert layouts(found) == [(place, place) for place in (DRAM_8B, HEIGHTS, BLOCKS)]


def test_inputs_of_a_sum_keep_their_own_formats() -> None:
    wide = replace(HEIGHTS, dtype=DataType.BFLOAT16)
    found = options_of("sum", [wide], [HEIGHTS])
    assert layouts(found) == [
        (TensorLayout(), DRAM_8B),
        (wide, HEIGHTS),
    ]


def test_a_pointwise_layer_takes_tiles_only() -> None:
    found = options_of("gate", [ROWS_OF_HEIGHTS])
    assert [option.config.layout.page for option in found] == [PageLayout.TILE]
    assert found[0].config.layout.memory is Memory.DRAM


def test_a_linear_layer_leaves_dram_or_width_shards() -> None:
    found = options_of("fc", [HEIGHTS, ROWS_OF_HEIGHTS])
    assert layouts(found) == [(DRAM_8B,), (DRAM_8B,), (HEIGHTS,), (HEIGHTS,)]
    assert [option.config.output for option in found] == ["dram", "width"] * 2
    config = found[0].config
    assert isinstance(config, MatmulConfig)
    assert config.output_dtype is DataType.BFLOAT16


def test_reshape_and_softmax_take_dram_or_tiles() -> None:
    for name in ("flat", "soft"):
        found = options_of(name, [HEIGHTS, ROWS_OF_HEIGHTS])
        assert layouts(found) == [(DRAM_8B,), (HEIGHTS,)]
        assert {type(option.config) for option in found} == {FixedConfig}


def test_an_output_takes_rows_too() -> None:
    assert layouts(options_of("y", [HEIGHTS, ROWS_OF_HEIGHTS])) == [
        (DRAM_8B,),
        (HEIGHTS,),
        (ROWS_OF_HEIGHTS,),
    ]


def test_an_input_is_permuted_or_made_in_the_rows_that_are_wanted() -> None:
    uneven = replace(ROWS_OF_HEIGHTS, shard_shape=(64, 64))
    found = options_of("x", wanted=[HEIGHTS, ROWS_OF_HEIGHTS, uneven, DRAM_8B])
    uploaded = TensorLayout(page=PageLayout.ROW_MAJOR)
    turned = replace(ROWS_OF_HEIGHTS, page=PageLayout.TILE)
    assert found == [
        Option(FixedConfig(output=uploaded, method="permute"), (uploaded,)),
        Option(FixedConfig(output=ROWS_OF_HEIGHTS, method="convert_to_hwc"), (uploaded,)),
        Option(FixedConfig(output=turned, method="transpose"), (uploaded,)),
        Option(FixedConfig(output=turned, method="transpose_on_the_way"), (uploaded,)),
    ]


@pytest.mark.parametrize("channels", [3, 32, 80])
def test_channels_of_one_tile_or_less_and_parts_of_tiles_are_not_turned(channels: int) -> None:
    layer = Layer("x", Input(), (), (1, channels, 64, 64))
    found = options_alone(layer, wanted=[HEIGHTS])
    assert "transpose" not in {option.config.method for option in found}


def test_shards_of_many_channels_are_turned_back_where_they_cut_evenly() -> None:
    layer = Layer("y", Output(), ("x",), (1, 64, 16, 16))
    odd = replace(HEIGHTS, shard_shape=(64, 64))
    found = options_alone(layer, [HEIGHTS, odd])

    def places(method: str) -> set[tuple[TensorLayout, ...] | None]:
        return {item.input_layouts for item in found if item.config == FixedConfig(method=method)}

    assert places("transpose") == {(DRAM_8B,), (HEIGHTS,)}
    assert places("transpose_on_the_way") == {(HEIGHTS,)}


@pytest.mark.parametrize(("batch", "sizes"), [(1, [(25, 9), (32, 8)]), (2, [(50, 9), (64, 8)])])
def test_images_of_odd_sides_are_made_in_tiles_of_pixels(
    batch: int, sizes: list[tuple[int, int]]
) -> None:
    """Of 225 pixels ten cores would have a broken number each, and none divides them in tiles."""
    wanted = replace(ROWS_OF_HEIGHTS, grid=(CoreRange(0, 0, 4, 1),), shard_shape=(23, 8))
    found = options_alone(Layer("x", Input(), (), (batch, 3, 15, 15)), wanted=[wanted])
    shards = [option.config.output for option in found[1:]]
    rows = [layout.shard_shape[0] for layout in shards if layout.shard_shape is not None]
    assert list(zip(rows, [layout.cores for layout in shards], strict=True)) == sizes


def test_sources_that_are_unknown_leave_options_out() -> None:
    assert options_of("flat", []) == []
    assert [option.input_layouts for option in options_of("pool", [])] == [None] * 3


def options_alone(layer: Layer, *sources: list[TensorLayout], wanted: object = ()) -> list[Option]:
    """Options of a layer whose inputs are the network's."""
    inputs = [Layer(name, Input(), (), layer.shape) for name in layer.inputs]
    formats = LayerFormats(Network("alone", (*inputs, layer)), Formats())
    return options(layer, formats, sources, wanted)  # type: ignore[arg-type]


def test_several_inputs_of_a_fixed_layer_come_from_dram() -> None:
    layer = Layer("attend", Attention(2, 0.5), ("x", "y", "y"), (1, 64, 16, 16))
    (option,) = options_alone(layer, [HEIGHTS], [BLOCKS], [BLOCKS])
    assert option.input_layouts == (DRAM_8B, DRAM_8B, DRAM_8B)
    (option,) = options_alone(Layer("positions", Constant(), (), (1, 64, 16, 16)))
    assert option.input_layouts == ()


def test_an_input_is_made_on_as_many_of_the_wanted_cores_as_divide_it() -> None:
    wanted = replace(ROWS_OF_HEIGHTS, grid=(CoreRange(0, 0, 7, 6),), shard_shape=(7328, 8))
    found = options_alone(Layer("x", Input(), (), (1, 3, 640, 640)), wanted=[wanted])
    made = found[1].config
    assert isinstance(made, FixedConfig)
    assert (made.output.cores, made.output.shard_shape) == (50, (8192, 8))
    assert made.output.grid == (CoreRange(0, 0, 7, 5), CoreRange(0, 6, 1, 6))


def test_cores_that_divide_an_image_in_tiles_come_first() -> None:
    """Of 224 x 224 pixels 128 cores would have twelve tiles and a quarter each."""
    grid = (CoreRange(0, 0, 12, 9),)
    wanted = replace(ROWS_OF_HEIGHTS, grid=grid, shard_shape=(386, 8))
    found = options_alone(Layer("x", Input(), (), (1, 3, 224, 224)), wanted=[wanted])
    shards = [option.config.output for option in found[1:]]
    assert [(layout.cores, layout.shard_shape) for layout in shards] == [
        (112, (448, 8)),
        (121, (416, 8)),
    ]


def test_a_host_layer_reads_from_dram_and_leaves_bfloat16_there() -> None:
    view = HostView((1, 64, 16, 16), (0, 1, 2, 3), (1, 64, 16, 16))
    op = HostOp((HostStep("aten.maximum.default", '[[{"input":0},{"input":1}],{}]'),), (view, view))
    x, y = (Layer(name, Input(), (), view.shape) for name in "xy")
    layer = Layer("host", op, ("x", "y"), view.shape)
    formats = LayerFormats(Network("host", (x, y, layer)), Formats())
    config = FixedConfig(DRAM_TILE, HOST_METHOD)
    assert default_config(layer, formats) == config
    (option,) = options(layer, formats, [[HEIGHTS, DRAM_8B], [BLOCKS]], [HEIGHTS])
    assert option.config == config
    assert option.input_layouts is not None
    assert [layout.memory for layout in option.input_layouts] == [Memory.DRAM, Memory.DRAM]
    assert not any(layout.is_sharded for layout in option.input_layouts)


def test_an_image_is_handed_back_by_turning_rows_or_tiles() -> None:
    found = options_alone(Layer("y", Output(), ("x",), (1, 16, 16, 16)), [HEIGHTS, BLOCKS])
    assert found == [
        *(Option(FixedConfig(), (place,)) for place in (DRAM_8B, HEIGHTS, BLOCKS)),
        Option(FixedConfig(method="transpose"), (DRAM_8B,)),
        Option(FixedConfig(method="convert_to_chw"), (HEIGHTS,)),
    ]
    mixed = options_alone(Layer("y", Output(), ("x",), (2, 513, 5, 5)), [HEIGHTS])
    assert {option.config for option in mixed} == {FixedConfig(), FixedConfig(method="transpose")}


def test_what_comes_in_rows_is_taken_in_rows_and_in_tiles() -> None:
    """The network's own input is an image in rows: its first layer may be any."""
    rows, tiles = TensorLayout(page=PageLayout.ROW_MAJOR), TensorLayout()
    image = Layer("x", Input(), (), (1, 3, 8, 8))
    for op, shape in (
        (Reshape(), (1, 192)),
        (Crop((0, 8, 2), (0, 8, 2)), (1, 3, 4, 4)),
        (Permute((1, 3, 8, 8), (0, 1, 3, 2)), (1, 3, 8, 8)),
        (Softmax(1), (1, 3, 8, 8)),
        (GroupNorm(3, 1e-5), (1, 3, 8, 8)),
    ):
        network = Network("first", (image, Layer("first", op, ("x",), shape)))
        formats = LayerFormats(network, Formats())
        found = options(network.by_name["first"], formats, [[rows]], ())
        assert list(dict.fromkeys(layouts(found))) == [(tiles,), (rows,)]
