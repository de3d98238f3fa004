import pytest

from autosched.bench.rule_beam import Step, compiler_rank, height_rank, plainness
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import Memory, ShardLayout, TensorLayout
from tests.bench.made import BLOCK, DRAM, HEIGHT, WIDE, conv, sharded

IN_L1 = TensorLayout(Memory.L1)


def step(output, dram_input_bytes=0, reshards=0):
    return Step(conv(HEIGHT, output), dram_input_bytes, reshards)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        # Each line wins by its own criterion and loses by all that come after it.
        (step(IN_L1, 999, 1), step(DRAM)),
        (step(WIDE, 999, 1), step(IN_L1)),
        (step(WIDE, 0, 1), step(HEIGHT, 1, 0)),
        (step(WIDE, 0, 0), step(HEIGHT, 0, 1)),
        (step(sharded(ShardLayout.HEIGHT, 8, 34)), step(WIDE)),
        (step(HEIGHT), step(sharded(ShardLayout.HEIGHT, 8, 34))),
    ],
    ids=["L1", "sharded", "DRAM input", "no reshard", "cores", "L1 bytes"],
)
def test_the_compiler_ranks_in_the_order_of_its_criteria(better, worse):
    assert compiler_rank(better) < compiler_rank(worse)


def test_one_reshard_is_as_bad_as_two():
    assert compiler_rank(step(HEIGHT, 0, 1)) == compiler_rank(step(HEIGHT, 0, 2))


def test_no_rank_knows_a_time():
    fast, slow = (Step(conv(HEIGHT, BLOCK, time_us=time), 0, 0) for time in (1.0, 900.0))
    assert compiler_rank(fast) == compiler_rank(slow)
    assert height_rank(fast) == height_rank(slow)


def test_height_beats_every_other_sharding_whatever_it_costs():
    assert height_rank(step(WIDE, 999, 1)) < height_rank(step(BLOCK))


def test_a_configuration_without_switches_is_plainer():
    plain = Conv2dConfig(shard_layout=ShardLayout.BLOCK)
    switched = Conv2dConfig(shard_layout=ShardLayout.BLOCK, full_inner_dim=True)
    assert plainness(plain) < plainness(switched)
    assert plainness(plain)[0] == 0
