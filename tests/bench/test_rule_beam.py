import pytest

from autosched.bench.rule_beam import RuleBeam, Step, compiler_rank, height_rank, plainness
from autosched.errors import SearchError
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import Memory, ShardLayout, TensorLayout
from tests.bench.made import BLOCK, DRAM, HEIGHT, WIDE, add, conv, given, joint, layer, sharded


def choose(problem, width=8):
    beam = RuleBeam(problem.network, problem.tables, problem.reshards, compiler_rank, width)
    every = {name: range(len(choices)) for name, choices in problem.tables.items()}
    return beam.choose(every)


def test_a_layer_stays_where_its_input_lies_rather_than_reshard_to_more_cores():
    problem = joint(
        [layer("x"), layer("a", "x")],
        {"x": (given(WIDE),), "a": (conv(HEIGHT, HEIGHT), conv(WIDE, WIDE))},
    )
    assert choose(problem) == {"x": 0, "a": 1}


def test_the_beam_keeps_a_producer_that_suits_its_consumer():
    # Alone, x would take HEIGHT (more cores), but then a would have to reshard.
    tables = {"x": (given(HEIGHT), given(WIDE)), "a": (conv(WIDE, WIDE),)}
    problem = joint([layer("x"), layer("a", "x")], tables)
    assert choose(problem)["x"] == 1
    assert choose(problem, width=1)["x"] == 0


def test_a_tensor_read_thrice_lies_as_most_of_its_readers_want_it():
    tables = {
        "x": (given(HEIGHT), given(BLOCK)),
        "a": (conv(BLOCK, BLOCK),),
        "b": (conv(BLOCK, BLOCK),),
        "c": (conv(HEIGHT, HEIGHT),),
    }
    layers = [layer("x"), layer("a", "x"), layer("b", "x"), layer("c", "x")]
    assert choose(joint(layers, tables))["x"] == 1


def test_an_impossible_reshard_is_never_chosen():
    tables = {"x": (given(HEIGHT),), "a": (conv(BLOCK, BLOCK), conv(DRAM, DRAM))}
    layers = [layer("x"), layer("a", "x")]
    assert choose(joint(layers, tables))["a"] == 0
    assert choose(joint(layers, tables, impossible={(HEIGHT, BLOCK)}))["a"] == 1


def test_a_layer_that_no_reshard_leads_to_is_named():
    tables = {"x": (given(HEIGHT),), "a": (conv(BLOCK, BLOCK),)}
    problem = joint([layer("x"), layer("a", "x")], tables, impossible={(HEIGHT, BLOCK)})
    with pytest.raises(SearchError, match="layer a: no reshard"):
        choose(problem)


def test_one_layers_gain_does_not_outweigh_what_it_costs_those_before():
    # The last layer would take fewer bytes in WIDE, but a would have to run on fewer cores.
    small = sharded(ShardLayout.HEIGHT, 8)
    large = sharded(ShardLayout.HEIGHT, 8, kib=34)
    tables = {
        "x": (given(HEIGHT), given(WIDE)),
        "a": (conv(HEIGHT, HEIGHT), conv(WIDE, WIDE)),
        "b": (conv(HEIGHT, large), conv(WIDE, small)),
    }
    problem = joint([layer("x"), layer("a", "x"), layer("b", "a")], tables)
    assert choose(problem) == {"x": 0, "a": 0, "b": 0}


def test_an_addition_prefers_the_layout_of_both_its_inputs():
    tables = {
        "x": (given(HEIGHT),),
        "a": (conv(HEIGHT, WIDE), conv(HEIGHT, HEIGHT)),
        "sum": (add(WIDE), add(HEIGHT)),
    }
    problem = joint([layer("x"), layer("a", "x"), layer("sum", "a", "x")], tables)
    assert choose(problem) == {"x": 0, "a": 1, "sum": 1}


def test_a_tie_goes_to_the_producer_that_ranks_better_however_it_is_spelled():
    # The outputs tie; the one spelled first reads from the worse producer, and that from DRAM.
    tables = {
        "x": (given(HEIGHT), given(DRAM)),
        "a": (conv(HEIGHT, HEIGHT), conv(DRAM, WIDE)),
        "out": (
            conv(WIDE, DRAM, act_block_h_override=32),
            conv(HEIGHT, DRAM, act_block_h_override=64),
        ),
    }
    problem = joint([layer("x"), layer("a", "x"), layer("out", "a")], tables)
    assert choose(problem) == {"x": 0, "a": 0, "out": 1}


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
