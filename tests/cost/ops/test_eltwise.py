import pytest

from autosched.cost.ops.eltwise import (
    FUSED_PRIORS,
    FunctionCost,
    fused_cost,
    fused_quantities,
    read_binary,
    read_unary,
)
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import (
    CoreRange,
    Memory,
    PageLayout,
    ShardLayout,
    TensorInfo,
    TensorLayout,
)
from tests.cost.records import made_op

TILES = TensorLayout()


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
    found = read_binary(DeviceOp("BinaryNgDeviceOperation", "", (one, other), (one,), cores=4))
    assert (found.broadcast, found.fills, found.legacy) == (broadcast, fills, False)


def test_functions_cost_by_their_kind() -> None:
    info = TensorInfo((1, 1, 128, 64), TILES)
    kinds = [
        read_unary(made_op("Unary", info, info, f"UnaryOpType::{name}")).cost
        for name in ("RELU", "RECIP", "GELU")
    ]
    assert kinds == [FunctionCost.CHEAP, FunctionCost.COSTLY, FunctionCost.DEAREST]


@pytest.mark.parametrize(
    ("page", "shard_shape", "tiles"),
    [
        (PageLayout.ROW_MAJOR, (1, 5120), 5),
        (PageLayout.ROW_MAJOR, (96, 16), 2),
        (PageLayout.TILE, (96, 32), 3),
    ],
)
def test_rows_fill_tiles_wherever_they_end(
    page: PageLayout, shard_shape: tuple[int, int], tiles: int
) -> None:
    layout = TensorLayout(
        Memory.L1,
        ShardLayout.HEIGHT,
        page=page,
        grid=(CoreRange(0, 0, 3, 0),),
        shard_shape=shard_shape,
    )
    info = TensorInfo((1, 1, 4 * shard_shape[0], shard_shape[1]), layout)
    assert read_unary(made_op("Unary", info, info, "UnaryOpType::SIGMOID")).tiles == tiles


@pytest.mark.parametrize(("height", "uneven"), [(32, False), (96, True)])
def test_shards_that_do_not_cut_evenly_are_uneven(height: int, uneven: bool) -> None:
    layout = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 3, 0),), shard_shape=(height, 64)
    )
    info = TensorInfo((1, 1, 128, 64), layout)
    op = DeviceOp("BinaryNgDeviceOperation", "", (info, info), (info,), cores=4)
    found = read_binary(op)
    assert found.uneven is uneven


def test_a_dram_operand_leaves_the_fast_path() -> None:
    sharded = TensorLayout(
        Memory.L1, ShardLayout.HEIGHT, grid=(CoreRange(0, 0, 3, 0),), shard_shape=(32, 64)
    )
    one = TensorInfo((1, 1, 128, 64), sharded)
    other = TensorInfo((1, 1, 128, 64), TensorLayout())
    op = DeviceOp("BinaryNgDeviceOperation", "", (one, other), (one,), cores=4)
    found = read_binary(op)
    assert found.uneven


@pytest.mark.parametrize(
    ("attributes", "cost"),
    [
        ("activation=std::nullopt", None),
        ("activation=UnaryWithParam(op_type=UnaryOpType::RELU)", None),
        ("activation=UnaryWithParam(op_type=UnaryOpType::RELU6)", FunctionCost.CHEAP),
        ("activation=<BasicUnaryWithParam>; fused=SILU", FunctionCost.DEAREST),
    ],
)
def test_a_fused_function_costs_what_it_does_alone_but_for_the_packer_s(
    attributes: str, cost: FunctionCost | None
) -> None:
    assert fused_cost(attributes) is cost
    quantities = fused_quantities(cost, 3.0)
    assert list(quantities.values()) == ([] if cost is None else [3.0])
    assert set(quantities) <= set(FUSED_PRIORS)
