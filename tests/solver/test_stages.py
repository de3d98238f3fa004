import heapq
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting
from autosched.solver.stages import MoveStage, RunStage, compile_stages, undominated_candidates
from tests.solver.random_problems import SHAPES, every_schedule, random_problem

LOAD = {(0, 1): 3.0, (1, 2): 2.0}


def skip_network(**changes):
    layers = (
        LayerTable("a", (), (Candidate(1.0, (), 1),), moves={(1, 0): 4.0, (2, 0): 9.0}),
        LayerTable("b", (0,), (Candidate(1.0, (1,), 2), Candidate(1.0, (2,), 2)), (LOAD,)),
        LayerTable("c", (1, 0), (Candidate(1.0, (2, 1), 0),), ({}, LOAD)),
    )
    return Problem(layers, (0, 6, 5), 100, **changes)


def live(stage):
    return [column.tensor for column in stage.columns]


def test_the_frontier_is_what_is_live():
    stages = compile_stages(skip_network())
    kinds = [type(stage) for stage in stages]
    assert kinds == [RunStage, MoveStage, RunStage, MoveStage, RunStage]
    assert [live(stage) for stage in stages] == [[], [0], [0], [0, 1], [0, 1]]
    assert [stage.after for stage in stages if isinstance(stage, MoveStage)] == [0, 1]


def test_codes_number_the_layouts_that_can_be_reached():
    move = compile_stages(skip_network())[1]
    assert move.columns[0].layouts == (0, 1)
    assert move.columns[0].sizes.tolist() == [0, 6]
    assert move.time_us.tolist() == [[0.0, np.inf], [4.0, 0.0]]


def test_input_tables_are_by_layout_and_candidate():
    (tables,) = compile_stages(skip_network())[2].inputs
    assert tables.time_us.tolist() == [[3.0, np.inf], [0.0, 2.0]]
    assert tables.added_bytes.tolist() == [[6, 5], [0, 5]]
    assert not tables.freed_bytes.any()


def test_a_learned_constraint_has_a_column_while_undecided():
    stages = compile_stages(skip_network(nogoods=(Nogood(((2, 0), (0, 0))), Nogood(((1, 1),)))))
    assert [live(stage) for stage in stages] == [[], [0, -1], [0, -1], [0, -1, 1], [0, -1, 1]]
    assert [len(stage.watches) for stage in stages if isinstance(stage, RunStage)] == [1, 1, 1]


def test_where_a_tensor_waits_is_looked_up_when_the_layer_begins():
    """No column is needed for it; what can never be so is no constraint."""
    stages = compile_stages(
        skip_network(
            nogoods=(
                Nogood(((2, 0),), (Waiting(0, 2, 1),)),
                Nogood(waiting=(Waiting(0, 0, 1),)),
                Nogood(waiting=(Waiting(0, 2, 2),)),
            )
        )
    )
    assert [live(stage) for stage in stages] == [[], [0], [0], [0, 1], [0, 1]]
    watches = [stage.watches for stage in stages if isinstance(stage, RunStage)]
    assert [len(found) for found in watches] == [0, 0, 1]
    assert watches[2][0].waiting == ((0, 1),)


FAST, SLOW, LEAN, OTHER = (
    Candidate(1.0, (), 0, 5),
    Candidate(2.0, (), 0, 5),
    Candidate(2.0, (), 0, 3),
    Candidate(9.0, (), 1, 9),
)


def without_dominated(problem: Problem, keep: int = 1) -> Problem:
    """Return the same problem with dominated candidates forbidden; indices stay as they are."""
    kept = undominated_candidates(problem, keep)
    layers = (
        replace(layer, forbidden=frozenset(range(len(layer.candidates))) - frozenset(stay))
        for layer, stay in zip(problem.layers, kept, strict=True)
    )
    return replace(problem, layers=tuple(layers))


def kept(candidates, keep=1, nogoods=(), **layer):
    problem = Problem((LayerTable("conv", (), candidates, **layer),), (0, 1), 100, nogoods)
    return undominated_candidates(problem, keep)[0]


def test_slower_and_not_leaner_goes():
    assert kept((FAST, SLOW, LEAN, OTHER)) == (0, 2, 3)


def test_of_equals_one_stays():
    assert kept((FAST, FAST)) == (0,)
    assert kept((FAST, FAST, FAST), keep=2) == (0, 1)


def test_pinned_stays():
    assert kept((FAST, SLOW), pinned=1) == (1,)


def test_forbidden_dominates_nothing():
    assert kept((FAST, SLOW), forbidden=frozenset({0})) == (1,)


def test_one_in_a_learned_constraint_dominates_nothing():
    assert kept((FAST, SLOW), nogoods=(Nogood(((0, 0),)),)) == (0, 1)
    assert kept((FAST, SLOW), nogoods=(Nogood(((0, 1),)),)) == (0,)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(sorted(SHAPES)),
    count=st.integers(2, 4),
    k=st.sampled_from([1, 2, 5]),
)
def test_never_removes_the_k_best(seed, shape, count, k):
    problem = random_problem(seed, shape, count, layouts=2, candidates=4)
    before = heapq.nsmallest(k, every_schedule(problem))
    after = heapq.nsmallest(k, every_schedule(without_dominated(problem, k)))
    assert before == after
