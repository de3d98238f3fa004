from dataclasses import replace

from autosched.cost.ops.families import work_of
from autosched.cost.ops.pooling import PoolOp
from autosched.schedule.tensors import ShardLayout
from tests.cost.records import Captures, record_of


def test_a_captured_pooling_s_details(captures: Captures) -> None:
    pool = record_of(captures["pool"], PoolOp)
    assert (pool.kind, pool.layout) == ("max", ShardLayout.HEIGHT)
    assert (pool.window_hw, pool.stride_hw, pool.channels) == ((3, 3), (2, 2), 64)
    assert 0 <= pool.out_sticks * pool.cores - 56 * 56 < pool.out_sticks


def test_a_window_of_more_than_32_positions_takes_another_pass(captures: Captures) -> None:
    small = record_of(captures["pool"], PoolOp)
    large = replace(small, window_hw=(7, 7))
    passes = [work_of(pool).serial["reduce_tile"] for pool in (small, large)]
    assert passes == [2 * small.out_sticks, 4 * small.out_sticks]
