from dataclasses import replace

from autosched.network.graph import Layer, Network
from autosched.network.operators import GroupNorm, Input, LayerNorm
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.tensors import CoreRange, DataType, TensorLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats
from autosched.space.norms import NormCandidate, norm_candidates
from tests.examples.layouts import BLOCKS, DRAM_8B, HEIGHTS, ROWS_OF_HEIGHTS, WIDTHS

SHAPE = (1, 64, 16, 16)


def candidates(
    op: LayerNorm | GroupNorm,
    sources: list[TensorLayout],
    wanted: tuple[TensorLayout, ...] = (),
    shape: tuple[int, ...] = SHAPE,
) -> list[NormCandidate]:
    layer = Layer("norm", op, ("x",), shape)
    network = Network("alone", (Layer("x", Input(), (), shape), layer))
    return norm_candidates(layer, LayerFormats(network, Formats()), sources, wanted)


def test_a_layer_norm_runs_in_the_shards_that_ttnn_normalises() -> None:
    wide = replace(BLOCKS, shard_shape=(64, 64))
    found = candidates(LayerNorm(1e-5), [HEIGHTS, BLOCKS, ROWS_OF_HEIGHTS], (wide, HEIGHTS))
    assert found == [(FixedConfig(output=place), place) for place in (DRAM_8B, BLOCKS, wide)]


def test_a_group_norm_runs_in_dram_and_in_shards_of_whole_groups() -> None:
    """ttnn's own where cores have whole groups; composed of means wherever tiles are."""
    found = candidates(GroupNorm(4, 1e-5), [DRAM_8B, HEIGHTS, BLOCKS], (WIDTHS,))
    assert [(config.method, layout) for config, layout in found] == [
        *(("", layout) for layout in (DRAM_8B, HEIGHTS, BLOCKS)),
        *(("composed", layout) for layout in (DRAM_8B, HEIGHTS, BLOCKS, WIDTHS)),
    ]
    for config, layout in found:
        assert config.output == replace(layout, dtype=DataType.BFLOAT16)


def test_group_norms_are_offered_blocks_of_whole_groups() -> None:
    """Shards of 48 channels hold no whole tiles, those of 96 two groups and three tiles."""
    parts = replace(BLOCKS, grid=(CoreRange(0, 0, 7, 7),), shard_shape=(32, 48))
    found = candidates(GroupNorm(8, 1e-5), [parts], shape=(1, 384, 16, 16))
    made = replace(parts, grid=(CoreRange(0, 0, 3, 7),), shard_shape=(32, 96))
    own = [layout for config, layout in found if not config.method]
    assert own == [DRAM_8B, made]


def test_a_row_of_cores_that_ends_early_is_composed_on() -> None:
    """ttnn's own takes a rectangle."""
    grid = (CoreRange(0, 0, 7, 0), CoreRange(0, 1, 3, 1))
    ragged = replace(HEIGHTS, grid=grid, shard_shape=(32, 64))
    found = candidates(GroupNorm(2, 1e-5), [ragged], shape=(1, 64, 16, 24))
    assert [config.method for config, layout in found if layout == ragged] == ["composed"]


def test_images_that_end_within_a_tile_are_normalised_by_ttnn_alone() -> None:
    found = candidates(GroupNorm(4, 1e-5), [DRAM_8B, HEIGHTS], shape=(1, 64, 7, 7))
    assert found == [(FixedConfig(), DRAM_8B)]
