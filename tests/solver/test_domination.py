import heapq
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem
from autosched.solver.stages import undominated_candidates
from tests.solver.random_problems import SHAPES, every_schedule, random_problem

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
