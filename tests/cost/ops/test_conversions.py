"""Features of the ops that rearrange tensors or spread one over another."""

import pytest

from autosched.cost.ops import traffic as r
from autosched.cost.ops.attributes import plain_code
from autosched.cost.ops.families import read_features
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)

STICKS = TensorLayout(page=PageLayout.ROW_MAJOR)
TILES = TensorLayout()


def _op(code: str, source: TensorInfo, target: TensorInfo, attributes: str = "") -> DeviceOp:
    return DeviceOp(code, attributes, (source,), (target,), cores=4)


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("TilizeDeviceOperation", "tilize"),
        ("ttnn::operations::data_movement::Tilize", "tilize"),
        ("UpsampleOperation", "upsample"),
        ("MinimalMatmulOp", "minimalmatmul"),
    ],
)
def test_codes_of_all_releases_are_one(code: str, plain: str) -> None:
    assert plain_code(code) == plain


@pytest.mark.parametrize(
    ("attributes", "swap"),
    [
        ("TransposeParams(TransposeOpDim::WH, 0)", r.Swap.WITHIN),
        ("{'dim': 'TransposeOpDim::HC'}", r.Swap.ROWS),
        ("{'dim': 'TransposeOpDim::CN'}", r.Swap.TILES),
        ("{'dims': 'SmallVector([0; 2; 3; 1])'}", r.Swap.ROWS),
        ("{'dims': 'SmallVector([1; 0; 2; 3])'}", r.Swap.TILES),
        ("SmallVector([0, 1, 3, 2])", r.Swap.WITHIN),
        ("", r.Swap.WITHIN),
    ],
)
def test_what_a_transpose_takes_apart(attributes: str, swap: r.Swap) -> None:
    source, target = TensorInfo((1, 4, 64, 96), TILES), TensorInfo((1, 4, 96, 64), TILES)
    found = read_features(_op("TransposeDeviceOperation", source, target, attributes))
    assert isinstance(found, r.TransposeOp)
    assert found.swap is swap


def test_a_tiled_reshape_counts_rows_within_tiles() -> None:
    kept = read_features(
        _op("ReshapeView", TensorInfo((1, 1, 3136, 64), TILES), TensorInfo((1, 56, 56, 64), TILES))
    )
    assert isinstance(kept, r.ReshapeOp)
    assert kept.rows == 3136 * 2 / 4
    assert kept.fetches == 2 * kept.target.pages
    split = read_features(
        _op("ReshapeView", TensorInfo((1, 1, 32, 128), TILES), TensorInfo((1, 32, 4, 32), TILES))
    )
    assert isinstance(split, r.ReshapeOp)
    assert split.fetches == split.rows


def test_row_major_reshapes_may_be_unaligned() -> None:
    source, target = TensorInfo((1, 1, 100, 6), STICKS), TensorInfo((1, 1, 200, 3), STICKS)
    found = read_features(_op("Reshape", source, target))
    assert isinstance(found, r.ReshapeOp)
    assert found.unaligned
    assert found.rows == 0


def test_padding_that_a_tilize_fills_in() -> None:
    source, target = TensorInfo((1, 1, 19, 256), STICKS), TensorInfo((1, 1, 19, 256), TILES)
    found = read_features(_op("TilizeWithValPadding", source, target))
    assert isinstance(found, r.TilizePaddedOp)
    assert found.pad_bytes == 13 * 256 * 2 / 4
    # Two tiles a core: each reads a quarter of all sticks.
    assert (found.source.pages, found.source.page_bytes) == (19, 128)


def test_a_padded_slice_reads_the_tiles_of_its_sticks() -> None:
    sharded = TensorLayout(
        Memory.L1,
        ShardLayout.HEIGHT,
        DataType.BFLOAT16,
        PageLayout.ROW_MAJOR,
        (CoreRange(0, 0, 3, 0),),
        (320, 8),
    )
    source, target = TensorInfo((1, 64, 64, 3), TILES), TensorInfo((1, 1, 1280, 8), sharded)
    found = read_features(_op("PaddedSliceDeviceOperation", source, target))
    assert isinstance(found, r.PaddedSliceOp)
    assert (found.source.pages, found.target.pages) == (10, 320)


@pytest.mark.parametrize(
    ("shape", "broadcast", "fills"),
    [
        ((1, 1, 128, 64), "none", 0),
        ((1, 1, 1, 64), "row", 1),
        ((1, 1, 128, 1), "col", 1),
        ((1, 1, 1, 1), "scalar", 1),
    ],
)
def test_broadcasts_that_no_attribute_names(
    shape: tuple[int, ...], broadcast: str, fills: int
) -> None:
    one, other = TensorInfo((1, 1, 128, 64), TILES), TensorInfo(shape, TILES)
    found = read_features(DeviceOp("BinaryNgDeviceOperation", "", (one, other), (one,), cores=4))
    assert isinstance(found, r.BinaryOp)
    assert (found.broadcast, found.fills, found.legacy) == (broadcast, fills, False)


def test_functions_cost_by_their_kind() -> None:
    info = TensorInfo((1, 1, 128, 64), TILES)
    costs = [
        read_features(_op("Unary", info, info, f"UnaryOpType::{name}"))
        for name in ("RELU", "RECIP", "GELU")
    ]
    kinds = [item.cost for item in costs if isinstance(item, r.UnaryOp)]
    assert kinds == [r.FunctionCost.CHEAP, r.FunctionCost.COSTLY, r.FunctionCost.DEAREST]


def test_an_unknown_op_counts_all_it_reads() -> None:
    info = TensorInfo((1, 1, 128, 64), TILES)
    found = read_features(DeviceOp("NovelOperation", "", (info, info), (info,), cores=4))
    assert isinstance(found, r.GenericOp)
    assert found.source.total_bytes == 2 * found.target.total_bytes
