import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autosched.boards import BOARDS, Board
from autosched.network.operators import Conv2d, ConvTranspose2d, is_pointwise
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import DataType, ShardLayout
from autosched.space.convolutions import (
    TILE,
    folded_structures,
    higher_block,
    in_slices,
    rare_switches,
    refinements,
    slicings,
    split_readers,
    structures,
)
from autosched.space.efforts import EFFORTS, Effort
from tests.examples.networks import BOARD

THREE = Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1))
POINTWISE = Conv2d(64, 64, (1, 1))
BASE = Conv2dConfig(weights_dtype=DataType.BFLOAT4_B, output_dtype=DataType.BFLOAT16)
QUICK, DEFAULT, FULL = EFFORTS.values()
SHARDED = (ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH)

boards = st.sampled_from(list(BOARDS.values()))
efforts = st.sampled_from(list(EFFORTS.values()))
sides = st.integers(1, 130)
convolutions = st.builds(
    Conv2d,
    in_channels=st.integers(1, 1024),
    out_channels=st.integers(1, 1024),
    kernel=st.sampled_from([(1, 1), (3, 3), (7, 7), (1, 7), (7, 1)]),
    stride=st.sampled_from([(1, 1), (2, 2)]),
    padding=st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1)]),
)


@given(
    op=convolutions,
    batch=st.integers(1, 16),
    height=sides,
    width=sides,
    board=boards,
    effort=efforts,
)
def test_structures_are_distinct_and_legal(
    op: Conv2d, batch: int, height: int, width: int, board: Board, effort: Effort
) -> None:
    shape = (batch, op.out_channels, height, width)
    found = structures(op, shape, BASE, board, effort)
    assert len(set(found)) == len(found)
    pixels = batch * height * width
    for config in found:
        assert config.act_block_h_override % TILE == 0
        assert config.act_block_h_override < pixels + TILE
        # What every candidate shares is the base's.
        assert replace(config, shard_layout=None, act_block_h_override=0, core_grid=()) == BASE
    per_layout = [
        [config for config in found if config.shard_layout is layout and not config.core_grid]
        for layout in SHARDED
    ]
    for configs in per_layout:
        # ttnn's own choice first, then at most as many blocks as the effort allows.
        assert configs[0].act_block_h_override == 0
        evenly = 3 * effort.dividing_blocks if configs[0].shard_layout is ShardLayout.HEIGHT else 0
        assert len(configs) <= 1 + effort.blocks_per_layout + evenly
    on_grids = [config for config in found if config.core_grid]
    if is_pointwise(op) or effort.grids:
        assert bool(on_grids) == (not is_pointwise(op))
    assert effort.grids or {config.shard_layout for config in on_grids} <= {ShardLayout.BLOCK}


@pytest.mark.parametrize(
    ("sides", "tiles"),
    [
        # ResNet-50's first at batch 16: 98 tiles on 64 cores; its pool leaves 28 on 56 of 112.
        ((448, 448), 112),
        # 9,600 tiles: 150 on 64 cores; of 160 on 60 all are full, eight rows of the image on each.
        ((480, 640), 160),
        # 5,280 tiles: 83 on 64 cores, the last of which has less.
        ((1056, 160), 88),
    ],
)
def test_blocks_divide_an_image_evenly_on_fewer_cores(sides: tuple[int, int], tiles: int) -> None:
    found = structures(THREE, (1, 64, *sides), BASE, BOARD, DEFAULT)
    blocks = {
        config.act_block_h_override // TILE
        for config in found
        if config.shard_layout is ShardLayout.HEIGHT
    }
    assert tiles in blocks
    assert any(tiles % block == 0 for block in blocks - {0, 1, 2, tiles})
    cores = math.prod(sides) // TILE // tiles
    assert cores * tiles * TILE == math.prod(sides)
    assert 3 * BOARD.cores // 4 < cores < BOARD.cores


def of_block_shards(op: Conv2d, board: str) -> set[int]:
    """Return the columns of the grids that are asked for at effort quick."""
    found = structures(op, (1, op.out_channels, 14, 14), BASE, BOARDS[board], QUICK)
    return {grid.x1 + 1 for config in found for grid in config.core_grid}


def test_a_wide_board_tries_the_columns_that_a_narrower_one_would_take() -> None:
    depthwise = replace(THREE, in_channels=384, out_channels=384, groups=384)
    assert of_block_shards(depthwise, "p150-140") == {6}
    assert of_block_shards(depthwise, "p150") == set()
    fewer = replace(THREE, in_channels=384, out_channels=256)
    assert of_block_shards(fewer, "p150-140") == {6, 8}
    assert of_block_shards(fewer, "p150") == {8}
    assert of_block_shards(fewer, "n150") == {8}


def test_where_few_blocks_divide_a_cores_rows_those_come_that_waste_least() -> None:
    # 224 * 224 rows are 1,568 tiles: 13 on each of 130 cores.
    found = structures(THREE, (1, 64, 224, 224), BASE, BOARDS["p150-140"], QUICK)
    heights = [
        config.act_block_h_override // TILE
        for config in found
        if config.shard_layout is ShardLayout.HEIGHT
    ]
    assert heights[:4] == [0, 1, 13, 7]
    # Of 14 and of 16 all cores have as many, the latter at half the sides, too.
    assert heights[4:] == [14, 16]


@pytest.mark.parametrize(("larger", "smaller"), [("p150-140", "p150"), ("n150", "n300-worker")])
@given(tiles=st.integers(1, 12_800))
def test_more_cores_deal_an_image_evenly_where_fewer_do(
    larger: str, smaller: str, tiles: int
) -> None:
    # Even parts of fewer cores, by which they may be as fast as uneven ones of more.
    fewer, more = (-(-tiles // BOARDS[name].cores) for name in (smaller, larger))
    assume(tiles % fewer == 0 and fewer <= 1.3 * more)
    found = structures(THREE, (1, 64, tiles, TILE), BASE, BOARDS[larger], QUICK)
    blocks = [
        config.act_block_h_override // TILE
        for config in found
        if config.shard_layout is ShardLayout.HEIGHT
    ]
    parts = {math.ceil(more / block) * block if block else more for block in blocks}
    assert any(tiles % part == 0 for part in parts if part <= fewer)


@given(op=convolutions, height=sides, width=sides, board=boards)
def test_more_effort_looks_at_no_less(op: Conv2d, height: int, width: int, board: Board) -> None:
    shape = (1, op.out_channels, height, width)
    counts = [len(structures(op, shape, BASE, board, effort)) for effort in EFFORTS.values()]
    assert counts == sorted(counts)


def test_of_many_blocks_a_whole_shard_one_tile_and_half_a_shard_come_first() -> None:
    # 480 rows of 640 pixels are 150 tiles on each of 64 cores; 60 may have 160.
    found = structures(THREE, (1, 64, 480, 640), BASE, BOARD, QUICK)
    heights = [
        config.act_block_h_override // TILE
        for config in found
        if config.shard_layout is ShardLayout.HEIGHT
    ]
    assert heights == [0, 1, 75, 150, 160]


@given(height=sides, board=boards, fits=st.integers(1, 200), more=st.integers(0, 200))
def test_a_higher_block_divides_what_a_core_has(
    height: int, board: Board, fits: int, more: int
) -> None:
    shape = (1, 64, height, 4 * height)
    low, high = fits * TILE, (fits + more) * TILE
    found = higher_block(shape, ShardLayout.HEIGHT, board, low, high)
    tiles = math.ceil(math.ceil(4 * height * height / TILE) / board.cores)
    if found is None:
        assert not [part for part in range(fits + 1, fits + more) if tiles % part == 0]
    else:
        assert low < found < high
        assert tiles * TILE % found == 0


@given(op=convolutions, board=boards, height=sides)
def test_core_grids_lie_on_the_board(op: Conv2d, board: Board, height: int) -> None:
    for config in structures(op, (1, op.out_channels, height, height), BASE, board, FULL):
        for grid in config.core_grid:
            assert (grid.x0, grid.y0) == (0, 0)
            assert 0 <= grid.x1 < board.grid[0]
            assert 0 <= grid.y1 < board.grid[1]


def test_full_effort_has_every_block_that_divides_a_cores_rows() -> None:
    found = structures(THREE, (1, 64, 112, 112), BASE, BOARD, FULL)
    heights = {
        config.act_block_h_override for config in found if config.shard_layout is ShardLayout.HEIGHT
    }
    # 112 * 112 rows are 392 tiles: 7 on each of 64 cores.
    assert {0, 1 * TILE, 7 * TILE} <= heights
    assert max(heights) == 14 * TILE


@given(
    op=convolutions,
    layout=st.sampled_from(SHARDED),
    block=st.integers(0, 8),
    board=boards,
)
def test_refinements_differ_from_their_structure_and_each_other(
    op: Conv2d, layout: ShardLayout, block: int, board: Board
) -> None:
    structure = replace(BASE, shard_layout=layout, act_block_h_override=block * TILE)
    found = refinements(op, structure, board)
    assert structure not in found
    assert len(set(found)) == len(found)
    for config in found:
        assert config.shard_layout is layout
        assert config.act_block_h_override == structure.act_block_h_override
        assert config.core_grid == structure.core_grid
        assert not config.full_inner_dim or layout is ShardLayout.BLOCK
        assert config.act_block_w_div == 1 or layout is ShardLayout.WIDTH
        if config.enable_activation_reuse:
            assert layout is ShardLayout.HEIGHT
            assert op.stride == (1, 1)
            assert op.kernel[1] > 1


@pytest.mark.parametrize(
    ("op", "layout", "count"),
    [
        (POINTWISE, ShardLayout.HEIGHT, 0),
        (POINTWISE, ShardLayout.BLOCK, 0),
        (POINTWISE, ShardLayout.WIDTH, 3),
        (THREE, ShardLayout.HEIGHT, 7),
        (THREE, ShardLayout.BLOCK, 7),
        (THREE, ShardLayout.WIDTH, 3),
        (replace(THREE, stride=(2, 2)), ShardLayout.HEIGHT, 3),
        (replace(THREE, in_channels=64 * TILE * 4), ShardLayout.WIDTH, 11),
    ],
)
def test_refinements_are_every_combination_of_switches(
    op: Conv2d, layout: ShardLayout, count: int
) -> None:
    assert len(refinements(op, replace(BASE, shard_layout=layout), BOARD)) == count


@pytest.mark.parametrize(
    ("layout", "changed"),
    [
        (ShardLayout.WIDTH, [{"config_tensors_in_dram"}, {"compute"}]),
        (
            ShardLayout.HEIGHT,
            [
                {"config_tensors_in_dram"},
                {"compute"},
                {"force_split_reader"},
                {"force_split_reader"},
            ],
        ),
        (
            ShardLayout.BLOCK,
            [
                {"config_tensors_in_dram"},
                {"compute"},
                {"force_split_reader"},
                {"force_split_reader"},
                {"transpose_shards"},
            ],
        ),
    ],
)
def test_what_seldom_pays_is_tried_one_at_a_time(
    layout: ShardLayout, changed: list[set[str]]
) -> None:
    refined = replace(BASE, shard_layout=layout, enable_act_double_buffer=True)
    found = rare_switches(THREE, refined)
    assert [
        {name for name, value in vars(config).items() if value != getattr(refined, name)}
        for config in found
    ] == changed
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("layout", "count"), [(ShardLayout.BLOCK, 1), (ShardLayout.HEIGHT, 0)])
def test_readers_of_blocks_alone_are_split(layout: ShardLayout, count: int) -> None:
    refined = replace(BASE, shard_layout=layout, enable_act_double_buffer=True)
    found = split_readers(THREE, refined)
    assert found == [replace(refined, force_split_reader=True)] * count
    pointwise = replace(THREE, kernel=(1, 1), padding=(0, 0, 0, 0))
    assert split_readers(pointwise, refined) == []


def test_a_matmul_has_no_rare_switches() -> None:
    pointwise = replace(THREE, kernel=(1, 1), padding=(0, 0, 0, 0))
    assert rare_switches(pointwise, replace(BASE, shard_layout=ShardLayout.BLOCK)) == []


def test_a_width_divisor_splits_a_cores_channels_evenly() -> None:
    structure = replace(BASE, shard_layout=ShardLayout.WIDTH)
    for tiles, divisors in ((64, {1}), (128, {1, 2}), (256, {1, 2, 4}), (96, {1})):
        found = refinements(replace(THREE, in_channels=tiles * TILE), structure, BOARD)
        assert {config.act_block_w_div for config in found} == divisors


@pytest.mark.parametrize(
    ("change", "pointwise"),
    [
        ({}, True),
        ({"stride": (2, 2)}, False),
        ({"padding": (0, 1, 0, 0)}, False),
        ({"groups": 64}, False),
        ({"kernel": (1, 3)}, False),
    ],
)
def test_a_pointwise_convolution_is_a_matmul(change: dict[str, object], pointwise: bool) -> None:
    assert is_pointwise(replace(POINTWISE, **change)) is pointwise


def test_the_last_resort_goes_from_dram_to_dram() -> None:
    sliced = in_slices(BASE)
    assert (sliced.slicing, sliced.output_memory, sliced.shard_layout) == ("auto", "dram", None)
    assert sliced.weights_dtype is BASE.weights_dtype


@pytest.mark.parametrize("effort", [QUICK, DEFAULT, FULL])
def test_large_images_are_sliced_with_low_blocks(effort: Effort) -> None:
    found = slicings(BASE, effort)
    assert len(set(found)) == len(found)
    assert all(config.output_memory == "dram" for config in found)
    assert all(config.act_block_h_override for config in found)
    by_part = [config for config in found if config.slicing != "auto"]
    assert {config.slicing for config in by_part} == (
        {"dram_height", "dram_width"} if effort.slices else set()
    )
    assert len({config.num_slices for config in by_part}) == effort.slices
    assert all(config.num_slices > 1 for config in by_part)


@pytest.mark.parametrize("effort", [QUICK, DEFAULT])
def test_folded_structures_are_few(effort: Effort) -> None:
    stem = Conv2d(12, 64, (4, 4))
    found = folded_structures(stem, (1, 64, 112, 112), BASE, BOARD, effort)
    asked = 1 + effort.blocks_per_layout + effort.dividing_blocks
    assert len(set(found)) == len(found) <= asked
    for config in found:
        unfolded = replace(config, fold_input=False, shard_layout=None, act_block_h_override=0)
        assert config.fold_input
        assert config.shard_layout is ShardLayout.HEIGHT
        assert unfolded == BASE


def test_a_transposed_convolution_has_the_options_of_a_convolution_but_for_reuse() -> None:
    transposed = ConvTranspose2d(64, 64, (3, 3), padding=(1, 1))
    shape = (1, 64, 56, 56)
    assert structures(transposed, shape, BASE, BOARD, FULL) == structures(
        THREE, shape, BASE, BOARD, FULL
    )
    height = replace(BASE, shard_layout=ShardLayout.HEIGHT)
    found = refinements(transposed, height, BOARD)
    assert found
    assert not any(config.enable_activation_reuse for config in found)
    assert not is_pointwise(transposed)


def test_a_single_window_is_a_product_in_any_shards() -> None:
    found = folded_structures(Conv2d(3136, 64, (1, 1)), (8, 64, 1, 1), BASE, BOARD, QUICK)
    assert {config.shard_layout for config in found} == {
        ShardLayout.HEIGHT,
        ShardLayout.BLOCK,
        ShardLayout.WIDTH,
    }
    assert all(config.fold_input for config in found)
