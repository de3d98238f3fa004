from autosched.bench.rule_baselines import (
    RANKING_RULES,
    RuleBaseline,
    farthest,
    overflow,
    with_fallbacks,
)
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.schedule.schedule import Provenance
from autosched.schedule.tensors import Edge, Memory, ShardLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_config
from tests.bench.made import BIG, BLOCK, DRAM, HEIGHT, KIB, WIDE, add, conv, given, joint, layer

MADE_FOR = Provenance("made", "0" * 16, "n150", "0.81.1")
CHAIN = [layer("x"), layer("a", "x"), layer("b", "a")]


def baseline(problem, rule="greedy"):
    formats = LayerFormats(problem.network, Formats())
    return RuleBaseline(problem, formats, RANKING_RULES[rule].rank)


def rejected(place):
    return Rejection(RejectionKind.INVALID, "no", place)


def chain(*choices):
    return joint(CHAIN, {"x": (given(HEIGHT),), "a": choices, "b": (conv(HEIGHT, HEIGHT),)})


def test_switches_that_only_cost_or_save_time_stay_off():
    fast = conv(HEIGHT, HEIGHT, time_us=1.0, enable_act_double_buffer=True)
    plain = conv(HEIGHT, HEIGHT, time_us=9.0)
    schedule = baseline(chain(fast, plain)).schedule(MADE_FOR)
    assert not schedule.layers["a"].enable_act_double_buffer


def test_height_takes_height_where_greedy_keeps_its_block():
    problem = joint(
        CHAIN,
        {
            "x": (given(BLOCK),),
            "a": (conv(BLOCK, BLOCK), conv(WIDE, WIDE, shard_layout=ShardLayout.HEIGHT)),
            "b": (conv(BLOCK, BLOCK), conv(WIDE, WIDE, shard_layout=ShardLayout.HEIGHT)),
        },
    )
    assert not baseline(problem).schedule(MADE_FOR).reshards
    by_height = baseline(problem, "height").schedule(MADE_FOR)
    assert by_height.reshards == {Edge("x", "a"): WIDE}


def test_a_rejected_candidate_makes_way_for_the_next_then_for_dram():
    switched = conv(HEIGHT, HEIGHT, act_block_h_override=64)
    made = baseline(chain(conv(HEIGHT, HEIGHT), switched))
    assert made.reject(rejected("a"))
    assert made.schedule(MADE_FOR).layers["a"].act_block_h_override == 64
    assert made.reject(rejected("a"))
    last = made.schedule(MADE_FOR)
    assert last.layers["a"].slicing == "auto"
    assert last.layers["a"].output_memory == "dram"
    assert last.reshards[Edge("x", "a")].memory is Memory.DRAM
    assert last.reshards[Edge("a", "b")] == HEIGHT


def test_a_rejected_reshard_counts_against_its_consumer():
    made = baseline(chain(conv(BLOCK, HEIGHT)))
    assert made.reject(rejected("x -> a"))
    assert made.schedule(MADE_FOR).layers["a"].slicing == "auto"


def test_nothing_is_left_once_a_layer_in_dram_is_rejected_and_nothing_waits():
    made = baseline(chain(conv(HEIGHT, HEIGHT)))
    assert made.reject(rejected("a"))
    assert not made.reject(rejected("a"))
    assert not made.reject(rejected("who knows"))


def test_what_waits_is_spilled_before_a_candidate_is_passed_over():
    layers = [layer("x"), layer("a", "x"), layer("b", "a"), layer("sum", "b", "x")]
    problem = joint(
        layers,
        {
            "x": (given(HEIGHT),),
            "a": (conv(HEIGHT, HEIGHT),),
            "b": (conv(HEIGHT, HEIGHT, scratch_kib=1290),),
            "sum": (add(HEIGHT),),
        },
    )
    schedule = baseline(problem).schedule(MADE_FOR)
    assert schedule.layers["b"].slicing == "l1_full"
    assert {edge: target.memory for edge, target in schedule.moves.items()} == {
        Edge("x", "a"): Memory.DRAM
    }
    assert schedule.reshards[Edge("x", "sum", 1)] == HEIGHT


def test_a_layer_too_large_for_l1_even_alone_goes_to_dram():
    schedule = baseline(chain(conv(HEIGHT, HEIGHT, scratch_kib=1400))).schedule(MADE_FOR)
    assert schedule.layers["a"].slicing == "auto"


def test_a_problem_with_fallbacks_keeps_its_candidates_and_adds_ttnns_own_way():
    problem = chain(conv(HEIGHT, HEIGHT))
    formats = LayerFormats(problem.network, Formats())
    wider = with_fallbacks(problem, formats)
    for made in problem.network:
        *kept, last = wider.tables[made.name]
        assert tuple(kept) == problem.tables[made.name]
        assert last.config == default_config(made, formats)
        assert last.output_layout.memory is Memory.DRAM


NONE = frozenset()
LAYERS = [
    layer("x"),
    layer("a", "x"),
    layer("b", "a"),
    layer("c", "b"),
    layer("near", "c", "a"),
    layer("far", "near", "x"),
]


def two_waiting(scratch_kib):
    """While b and c run, x and a wait; x is used later."""
    return joint(
        LAYERS,
        {
            "x": (given(HEIGHT),),
            "a": (conv(HEIGHT, HEIGHT),),
            "b": (conv(HEIGHT, HEIGHT),),
            "c": (conv(HEIGHT, HEIGHT, scratch_kib),),
            "near": (add(HEIGHT),),
            "far": (add(HEIGHT),),
        },
    )


def first(problem):
    return dict.fromkeys(problem.tables, 0)


def test_a_step_that_fits_is_no_overflow():
    problem = two_waiting(scratch_kib=100)
    assert overflow(problem, first(problem), NONE) is None


def test_an_overflow_names_the_step_and_the_bytes():
    problem = two_waiting(scratch_kib=1300)
    over = overflow(problem, first(problem), NONE)
    held = (1300 + 4 * 17) * KIB
    assert over is not None
    assert (over.layer, over.bytes) == ("c", held - problem.board.l1_bank_bytes)


def test_the_tensor_used_last_of_all_leaves_first_after_its_latest_use():
    problem = two_waiting(scratch_kib=1300)
    spill = farthest(problem, first(problem), NONE, "c")
    assert spill == Edge("x", "a")
    assert farthest(problem, first(problem), frozenset({spill}), "c") == Edge("a", "b")
    gone = frozenset({spill, Edge("a", "b")})
    assert farthest(problem, first(problem), gone, "c") is None


def test_a_spill_frees_the_tensor_in_the_steps_between():
    problem = two_waiting(scratch_kib=1270)
    before = overflow(problem, first(problem), NONE)
    after = overflow(problem, first(problem), frozenset({Edge("x", "a")}))
    assert before is not None
    assert after is None


def test_inputs_and_output_of_the_step_cannot_leave():
    problem = joint(
        [layer("x"), layer("a", "x"), layer("sum", "a", "x")],
        {"x": (given(BIG),), "a": (conv(BIG, BIG),), "sum": (add(BIG),)},
    )
    assert farthest(problem, first(problem), NONE, "sum") is None
    assert farthest(problem, first(problem), NONE, "a") is None


def test_a_tensor_in_dram_has_nothing_to_free():
    tables = dict(two_waiting(1300).tables)
    tables["x"] = (given(DRAM),)
    problem = joint(LAYERS, tables)
    assert farthest(problem, first(problem), NONE, "c") == Edge("a", "b")
