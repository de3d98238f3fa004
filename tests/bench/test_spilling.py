from autosched.bench.rule_baselines import farthest, overflow
from autosched.schedule.tensors import Edge
from tests.bench.made import BIG, DRAM, HEIGHT, KIB, add, conv, given, joint, layer

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
