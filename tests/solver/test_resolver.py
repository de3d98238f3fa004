from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.errors import SearchError
from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting
from autosched.solver.solver import Resolver, solve
from tests.solver.random_problems import SHAPES, random_nogood, random_problem, two_convolutions


def drawn(problem, random):
    """Other times for every candidate, so that others dominate."""
    return [random.uniform(0, 20, len(layer.candidates)) for layer in problem.layers]


def with_times(problem, times_us):
    layers = tuple(
        replace(
            layer,
            candidates=tuple(
                replace(candidate, time_us=float(time))
                for candidate, time in zip(layer.candidates, times, strict=True)
            ),
        )
        for layer, times in zip(problem.layers, times_us, strict=True)
    )
    return replace(problem, layers=layers)


def check_equal(resolver, problem, times_us, k):
    try:
        expected = solve(with_times(problem, times_us), k)
    except SearchError:
        with pytest.raises(SearchError):
            resolver.solve(times_us, k)
        return
    found = resolver.solve(times_us, k)
    costs = [[item.cost_us for item in answer.assignments] for answer in (found, expected)]
    assert costs[0] == pytest.approx(costs[1], rel=1e-9)
    assert found.optimal
    assert found.gap == 0


@settings(max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(sorted(SHAPES)),
    count=st.integers(2, 5),
    k=st.sampled_from([1, 3]),
)
def test_answers_as_solving_anew_does(seed, shape, count, k):
    """Times change between questions, and learned constraints come in."""
    problem = random_problem(seed, shape, count)
    random, rng = np.random.default_rng(seed), Random(seed)
    resolver = Resolver(problem)
    for _ in range(3):
        check_equal(resolver, problem, drawn(problem, random), k)
        nogood = random_nogood(rng, problem.layers, len(problem.layout_bytes))
        resolver.forbid(nogood)
        problem = replace(problem, nogoods=(*problem.nogoods, nogood))
    check_equal(resolver, problem, drawn(problem, random), k)


def test_what_was_rejected_in_l1_may_run_with_a_tensor_in_dram():
    """All have one candidate: without the spill, of cost 6, there would be no schedule left."""
    problem = Problem(
        layers=(
            LayerTable("stem", (), (Candidate(1.0, (), 1),), moves={(1, 0): 1.5}),
            LayerTable("conv", (0,), (Candidate(1.0, (1,), 1),), ({(0, 1): 1.0},)),
            LayerTable("add", (1, 0), (Candidate(1.0, (1, 1), 1),), ({(0, 1): 1.0}, {(0, 1): 0.5})),
        ),
        layout_bytes=(0, 6),
        capacity_bytes=100,
    )
    resolver = Resolver(problem)
    times_us = [np.ones(1)] * 3
    assert resolver.solve(times_us).best.cost_us == 3.0
    chosen = ((0, 0), (1, 0))
    resolver.forbid(Nogood(chosen, (Waiting(0, 2, 1),)))
    best = resolver.solve(times_us).best
    assert (best.cost_us, [move.after for move in best.moves]) == (5.0, [1])
    resolver.forbid(Nogood(chosen, (Waiting(0, 2, 0), Waiting(0, 1, 1))))
    best = resolver.solve(times_us).best
    assert (best.cost_us, [move.after for move in best.moves]) == (6.0, [0])
    resolver.forbid(Nogood(chosen))
    with pytest.raises(SearchError, match="learned constraints"):
        resolver.solve(times_us)


def test_the_problem_itself_says_what_is_lacking():
    problem = two_convolutions(capacity=1)
    resolver = Resolver(problem)
    times_us = [np.ones(len(layer.candidates)) for layer in problem.layers]
    with pytest.raises(SearchError, match="bytes of L1 per core"):
        resolver.solve(times_us)
