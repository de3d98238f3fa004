"""Ops that rearrange a tensor's elements."""

import pytest

from autosched.cost.model import CostModel
from autosched.cost.ops.conversions import (
    Swap,
    read_reshape,
    read_tilize_padded,
    read_transpose,
)
from autosched.schedule.tensors import PageLayout, TensorInfo, TensorLayout
from tests.cost.records import made_op

STICKS = TensorLayout(page=PageLayout.ROW_MAJOR)
TILES = TensorLayout()


@pytest.mark.parametrize(
    ("attributes", "swap"),
    [
        ("TransposeParams(TransposeOpDim::WH, 0)", Swap.WITHIN),
        ("{'dim': 'TransposeOpDim::HC'}", Swap.ROWS),
        ("{'dim': 'TransposeOpDim::CN'}", Swap.TILES),
        ("{'dims': 'SmallVector([0; 2; 3; 1])'}", Swap.ROWS),
        ("{'dims': 'SmallVector([1; 0; 2; 3])'}", Swap.TILES),
        ("SmallVector([0, 1, 3, 2])", Swap.WITHIN),
        ("", Swap.WITHIN),
    ],
)
def test_what_a_transpose_takes_apart(attributes: str, swap: Swap) -> None:
    source, target = TensorInfo((1, 4, 64, 96), TILES), TensorInfo((1, 4, 96, 64), TILES)
    found = read_transpose(made_op("TransposeDeviceOperation", source, target, attributes))
    assert found.swap is swap


def test_a_tiled_reshape_counts_rows_within_tiles() -> None:
    source, target = TensorInfo((1, 1, 3136, 64), TILES), TensorInfo((1, 56, 56, 64), TILES)
    kept = read_reshape(made_op("ReshapeView", source, target))
    assert kept.rows == 3136 * 2 / 4
    assert kept.fetches == 2 * kept.target.pages


def test_a_reshape_to_another_width_fetches_a_tile_for_every_row() -> None:
    source, target = TensorInfo((1, 1, 32, 128), TILES), TensorInfo((1, 32, 4, 32), TILES)
    split = read_reshape(made_op("ReshapeView", source, target))
    assert split.fetches == split.rows


def test_row_major_reshapes_may_be_unaligned() -> None:
    source, target = TensorInfo((1, 1, 100, 6), STICKS), TensorInfo((1, 1, 200, 3), STICKS)
    found = read_reshape(made_op("Reshape", source, target))
    assert found.unaligned
    assert found.rows == 0


def test_padding_that_a_tilize_fills_in() -> None:
    source, target = TensorInfo((1, 1, 19, 256), STICKS), TensorInfo((1, 1, 19, 256), TILES)
    found = read_tilize_padded(made_op("TilizeWithValPadding", source, target))
    assert found.pad_bytes == 13 * 256 * 2 / 4
    # Two tiles a core: each reads a quarter of all sticks.
    assert (found.source.pages, found.source.page_bytes) == (19, 128)


def test_generated_kernels_untilize_faster() -> None:
    tiles = TensorInfo((1, 1, 192, 224), TensorLayout())
    rows = TensorInfo((1, 1, 192, 224), TensorLayout(page=PageLayout.ROW_MAJOR))
    model = CostModel.load("wormhole_b0")
    times = [
        model.time_ns(made_op(code, tiles, rows))
        for code in ("UntilizeDeviceOperation", "UntilizeCodegenDeviceOperation")
    ]
    assert times[1] < 0.8 * times[0]
