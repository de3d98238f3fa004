import heapq
import time
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.errors import SearchError
from autosched.solver import frontier, solver
from autosched.solver.evaluate import evaluate, violates
from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting
from autosched.solver.solver import Resolver, solve
from tests.examples.synthetic_networks import densenet, resnet, unet
from tests.solver.random_problems import (
    SHAPES,
    every_schedule,
    random_nogood,
    random_problem,
    two_convolutions,
)

PROBLEMS = st.builds(
    random_problem,
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(sorted(SHAPES)),
    count=st.integers(2, 5),
    layouts=st.integers(2, 4),
    candidates=st.integers(1, 3),
)


def best_costs(problem, k):
    return heapq.nsmallest(k, every_schedule(problem))


def check_exact(problem, k):
    expected = best_costs(problem, k)
    if not expected:
        with pytest.raises(SearchError, match="no feasible schedule"):
            solve(problem, k)
        return
    solution = solve(problem, k)
    assert [found.cost_us for found in solution.assignments] == pytest.approx(expected, rel=1e-9)
    assert solution.optimal
    assert solution.gap == 0
    assert solution.lower_bound_us == solution.best.cost_us


@settings(max_examples=300)
@given(problem=PROBLEMS, k=st.sampled_from([1, 1, 4, 9]))
def test_equals_exhaustive_enumeration(problem, k):
    check_exact(problem, k)


@pytest.mark.parametrize("seed", range(6))
def test_six_layers_equal_exhaustive_enumeration(seed):
    check_exact(random_problem(seed, "nested", count=6, layouts=3, candidates=3), 2)


@settings(max_examples=150)
@given(problem=PROBLEMS, width=st.integers(1, 12), k=st.sampled_from([1, 3]))
def test_a_budget_ends_in_a_true_bound(problem, width, k):
    expected = best_costs(problem, k)
    try:
        solution = solve(problem, k, memory_limit_states=width)
    except SearchError as error:
        message = str(error)
        solution = None
    if solution is None:
        assert not expected or "none proven impossible" in message
        return
    assert solution.lower_bound_us <= expected[0] + 1e-9
    assert solution.best.cost_us >= expected[0] - 1e-9
    assert solution.gap == pytest.approx(solution.best.cost_us / solution.lower_bound_us - 1)
    if solution.optimal:
        assert [found.cost_us for found in solution.assignments] == pytest.approx(expected)


@settings(max_examples=100)
@given(problem=PROBLEMS, k=st.sampled_from([1, 5]))
def test_assignments_are_distinct_legal_and_cost_what_they_say(problem, k):
    try:
        solution = solve(problem, k)
    except SearchError:
        return
    made = {(found.candidates, found.moves) for found in solution.assignments}
    assert len(made) == len(solution.assignments)
    for found in solution.assignments:
        assert found.fits(problem.capacity_bytes)
        assert not violates(problem, found)
        for layer, chosen in zip(problem.layers, found.candidates, strict=True):
            assert chosen in layer.allowed
        moves = {(move.after, move.tensor): move.target for move in found.moves}
        assert evaluate(problem, found.candidates, moves) == found


def test_widening_and_chunks_change_nothing(monkeypatch):
    problem = unet(3)
    expected = solve(problem, 3)
    monkeypatch.setattr(solver, "FIRST_WIDTH", 4)
    monkeypatch.setattr(frontier, "CHUNK_CELLS", 100)
    again = solve(problem, 3)
    assert [a.cost_us for a in again.assignments] == [a.cost_us for a in expected.assignments]
    assert again.optimal


def test_resnet_50_is_solved_well_under_a_second():
    solution = solve(resnet((3, 4, 6, 3)))
    assert solution.optimal
    assert solution.seconds < 1


def test_effort_grows_about_linearly_with_depth():
    shallow, deep = resnet((3, 4, 6, 3)), resnet((3, 8, 36, 3))
    layers = len(deep.layers) / len(shallow.layers)
    first, second = solve(shallow), solve(deep)
    assert second.states / first.states < 1.5 * layers
    assert second.seconds / first.seconds < 4 * layers


def test_unet_is_solved_within_seconds():
    solution = solve(unet(5), time_limit_s=20)
    assert solution.optimal
    assert solution.seconds < 10


def test_densenet_has_a_proven_gap_within_seconds():
    solution = solve(densenet((6, 12)), time_limit_s=20, gap=0.01)
    assert solution.gap <= 0.01
    assert solution.lower_bound_us <= solution.best.cost_us


def test_a_time_limit_is_kept_and_still_bounds():
    problem = densenet((6, 12))
    begin = time.perf_counter()
    solution = solve(problem, time_limit_s=0.0)
    assert time.perf_counter() - begin < 5
    assert 0 < solution.lower_bound_us <= solution.best.cost_us
    assert not solution.optimal


def test_l1_decides_between_candidates():
    assert solve(two_convolutions(23)).best.candidates == (0, 1, 0)
    assert solve(two_convolutions(22)).best.candidates == (0, 0, 0)


def test_an_early_consumer_reads_before_the_spill():
    """The spill waits for the next layer, which reads the tensor in place; it frees L1 later."""
    spill, reload = {(1, 0): 4.0}, {(0, 1): 4.0}
    layers = (
        LayerTable("skip", (), (Candidate(1.0, (), 1),), moves=spill),
        LayerTable("down", (0,), (Candidate(1.0, (1,), 0),), (reload,)),
        LayerTable("wide", (1,), (Candidate(1.0, (0,), 0, 20),), ({},)),
        LayerTable("join", (2, 0), (Candidate(1.0, (0, 1), 0),), ({}, reload)),
    )
    best = solve(Problem(layers, (0, 6), 20)).best
    assert best.cost_us == 12.0
    assert [(move.tensor, move.after) for move in best.moves] == [(0, 1)]
    assert [reshard.consumer for reshard in best.reshards] == [3]


def test_an_output_must_fit_even_where_the_op_frees_early():
    layers = (
        LayerTable("conv", (), (Candidate(1.0, (), 1, -4), Candidate(9.0, (), 0))),
        LayerTable("pool", (0,), (Candidate(1.0, (0,), 0),), ({(1, 0): 1.0},)),
    )
    assert solve(Problem(layers, (0, 6), 6)).best.candidates == (0, 0)
    assert solve(Problem(layers, (0, 6), 5)).best.candidates == (1, 0)


def test_an_accepted_gap_ends_early():
    problem = unet(5)
    exact, near = solve(problem), solve(problem, gap=0.2)
    assert near.states < exact.states
    assert near.gap <= 0.2
    assert near.lower_bound_us <= exact.best.cost_us <= near.best.cost_us


@pytest.mark.parametrize("limits", [{"k": 0}, {"memory_limit_states": 0}])
def test_illegal_limits(limits):
    with pytest.raises(SearchError, match="both must be >= 1"):
        solve(unet(1), **limits)


def test_no_layers_take_no_time():
    assert solve(Problem((), (), 0)).best.cost_us == 0.0


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
