import pytest

from autosched.bench.rule_beam import RuleBeam, compiler_rank
from autosched.errors import SearchError
from autosched.schedule.tensors import ShardLayout
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
