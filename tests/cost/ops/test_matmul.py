from dataclasses import replace

import pytest

from autosched.cost.ops.families import work_of
from autosched.cost.ops.matmul import MatmulKind, flat_matmul, read_matmul
from autosched.cost.ops.traffic import Place
from autosched.cost.ops.work import all_quantities
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import CoreRange, Memory, ShardLayout, TensorInfo, TensorLayout
from tests.cost.records import Captures

GRID = (CoreRange(0, 0, 7, 3),)
MCAST_1D = "MatmulMultiCoreReuseMcast1DProgramFactory"


def _sharded(shape: tuple[int, ...], layout: ShardLayout, shard: tuple[int, int]) -> TensorInfo:
    return TensorInfo(shape, TensorLayout(Memory.L1, layout, grid=GRID, shard_shape=shard))


def _matmul(in0: TensorInfo, attributes: str = "", batches: int = 1) -> DeviceOp:
    rows, inner = in0.shape[-2:]
    in1 = TensorInfo((1, batches, inner, 64), TensorLayout())
    out = TensorInfo((1, batches, rows, 64), TensorLayout())
    return DeviceOp("Matmul", attributes, (in0, in1), (out,), factory=MCAST_1D, cores=32)


TALL = _sharded((1, 1, 2048, 512), ShardLayout.HEIGHT, (64, 512))
FLAT = TensorInfo((1, 1, 2048, 512), TensorLayout())


@pytest.mark.parametrize(
    ("in0", "attributes", "blocks"),
    [
        (TALL, "{'program_config': 'X(in0_block_w=4;out_subblock_h=1;out_subblock_w=2)'}", 4),
        (TALL, "{'user_core_coord': '(x=8;y=4)'}", 16),
        (TALL, "", 1),
        (_sharded((1, 1, 2048, 512), ShardLayout.BLOCK, (512, 64)), "", 8),
        (FLAT, "", 8),
        (TensorInfo((1, 1, 2048, 96), TensorLayout()), "", 3),
    ],
)
def test_inner_blocks(in0: TensorInfo, attributes: str, blocks: int) -> None:
    assert read_matmul(_matmul(in0, attributes)).k_blocks == blocks


def test_multicast_programs_go_through_all_batches() -> None:
    assert read_matmul(_matmul(FLAT, batches=12)).core_batches == 12


@pytest.mark.parametrize(
    ("rows", "inner", "blocks"),
    [(13, 15, 1), (13, 18, 13), (24, 21, 12), (30, 21, 30), (15, 18, 3)],
)
def test_fewer_rows_at_once_where_l1_is_full(rows: int, inner: int, blocks: int) -> None:
    op = flat_matmul(rows * 4 * 32, inner * 32, 32, cores=4)
    assert op.out_blocks == blocks
    assert all_quantities(work_of(op))["dram_page"] == inner * blocks


def test_a_program_states_its_blocks_of_rows() -> None:
    program = "X(in0_block_w=4;out_subblock_h=1;out_subblock_w=2;out_block_h=1;out_block_w=2;"
    stated = "{'program_config': '" + program + "per_core_M=2;per_core_N=2)'}"
    assert read_matmul(_matmul(TALL, stated)).out_blocks == 2
    assert read_matmul(_matmul(TALL)).out_blocks == 1


def test_a_captured_matmul_s_core_part_follows_from_its_shards(captures: Captures) -> None:
    matmul = read_matmul(captures["pointwise"][-1])
    assert (matmul.core_m, matmul.core_n, matmul.k_tiles) == (2, 8, 2)
    assert matmul.in1_place is Place.DRAM
    assert matmul.has_bias


def test_a_program_states_which_operand_is_sent() -> None:
    stated = "MatmulParams(<variant>); program=mcast_in0;in0_block_w=8;out_subblock_h=2;"
    op = read_matmul(_matmul(FLAT, stated + "out_subblock_w=1;per_core_M=64;per_core_N=1"))
    assert (op.kind, op.k_blocks) == (MatmulKind.MCAST_IN0, 2)
    assert (op.core_m, op.core_n, op.subblock_h, op.subblock_w) == (64, 1, 2, 1)


def test_the_last_resort_fetches_pair_by_pair() -> None:
    op = replace(_matmul(FLAT), factory="MatmulMultiCoreProgramFactory")
    found = read_matmul(op)
    assert (found.kind, found.core_m, found.core_n) == (MatmulKind.SINGLE, 4, 1)
    quantities = all_quantities(work_of(found))
    assert quantities["single_pair"] == 4 * 16
    assert quantities["dram_page"] == 4 * 16 + 4 * 16 + 4


def test_a_grid_is_wider_than_high() -> None:
    """p150 has 11x10 cores."""
    op = replace(_matmul(FLAT), factory="MatmulMultiCoreReuseMcast2DProgramFactory", cores=110)
    found = read_matmul(op)
    assert (found.core_m, found.core_n) == (7, 1)
