import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.errors import SearchError
from autosched.solver.orders import (
    candidate_orders,
    depth_first_order,
    in_any_order,
    solve_best_order,
)
from autosched.solver.problem import Candidate, LayerTable, Problem
from autosched.solver.solver import solve
from tests.examples.synthetic_networks import densenet
from tests.solver.random_problems import SHAPES, every_schedule, random_problem

DIAMOND = [(), (0,), (1,), (0,), (2, 3)]


def legal(order, producers):
    place = {layer: step for step, layer in enumerate(order)}
    return sorted(order) == list(range(len(producers))) and all(
        place[producer] < place[layer]
        for layer, inputs in enumerate(producers)
        for producer in inputs
    )


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(sorted(SHAPES)), limit=st.integers(1, 9))
def test_orders_are_topological_distinct_and_few(seed, shape, limit):
    producers = [layer.producers for layer in random_problem(seed, shape, 7).layers]
    orders = list(candidate_orders(producers, limit))
    assert orders[0] == tuple(range(7))
    assert len(set(orders)) == len(orders) <= limit
    assert all(legal(order, producers) for order in orders)


def test_either_branch_of_a_fork_comes_first():
    assert list(candidate_orders(DIAMOND)) == [(0, 1, 2, 3, 4), (0, 3, 1, 2, 4)]


def test_depth_first_finishes_a_branch():
    assert depth_first_order([(), (), (0,), (1,), (2, 3)], frozenset()) == (0, 2, 1, 3, 4)


def test_long_networks_need_no_recursion():
    producers = [() if i == 0 else (i - 1,) for i in range(5000)]
    assert list(candidate_orders(producers)) == [tuple(range(5000))]


def wide_and_narrow_branch(capacity):
    """The second branch needs much room to run but leaves little: it should run first."""
    return Problem(
        layers=(
            LayerTable("stem", (), (Candidate(1.0, (), 0),)),
            LayerTable("bulky", (0,), (Candidate(1.0, (0,), 1), Candidate(9.0, (0,), 2)), ({},)),
            LayerTable("hungry", (0,), (Candidate(1.0, (0,), 2, 10),), ({},)),
            LayerTable(
                "join", (1, 2), (Candidate(1.0, (1, 2), 0), Candidate(1.0, (2, 2), 0)), ({}, {})
            ),
        ),
        layout_bytes=(0, 8, 1),
        capacity_bytes=capacity,
    )


def test_the_better_branch_goes_first():
    problem = wide_and_narrow_branch(15)
    assert solve(problem).best.cost_us == 12.0
    ordered, solution = solve_best_order(problem)
    assert ordered.order == (0, 2, 1, 3)
    assert solution.best.cost_us == 4.0


def test_keeps_its_own_order_where_l1_costs_nothing():
    ordered, solution = solve_best_order(wide_and_narrow_branch(100))
    assert ordered.order == (0, 1, 2, 3)
    assert solution.best.cost_us == 4.0


def test_another_order_may_be_the_only_one():
    problem = wide_and_narrow_branch(15)
    layers = list(problem.layers)
    layers[1] = LayerTable("bulky", (0,), layers[1].candidates, ({},), pinned=0)
    pinned = Problem(tuple(layers), problem.layout_bytes, 15)
    with pytest.raises(SearchError, match="'hungry' lacks 4 bytes"):
        solve(pinned)
    assert solve_best_order(pinned)[1].best.cost_us == 4.0


def test_no_order_fits():
    with pytest.raises(SearchError, match="'hungry' lacks"):
        solve_best_order(wide_and_narrow_branch(5))


def test_never_worse_than_the_own_order():
    problem = densenet((3,), capacity_bytes=400_000)
    assert solve_best_order(problem)[1].best.cost_us <= solve(problem).best.cost_us


def any_order_us(problem):
    try:
        return solve(in_any_order(problem)).lower_bound_us
    except SearchError:
        return float("inf")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(["diamond", "dense", "scattered"]))
def test_no_order_has_a_schedule_below_the_bound_of_any(seed, shape):
    problem = random_problem(seed, shape, 4)
    producers = [layer.producers for layer in problem.layers]
    best = min(
        (
            cost
            for order in itertools.permutations(range(4))
            if legal(order, producers)
            for cost in every_schedule(replace(problem, execution_order=order))
        ),
        default=float("inf"),
    )
    assert any_order_us(problem) <= best * (1 + 1e-9)


def test_a_spill_that_only_another_order_can_use_is_counted():
    """Reader 1 wants the tensor from DRAM, reader 2 as it was left: reader 2 has to come first."""
    problem = Problem(
        layers=(
            LayerTable("stem", (), (Candidate(1.0, (), 1),), moves={(1, 0): 1.0}),
            LayerTable("from_dram", (0,), (Candidate(1.0, (0,), 0),), ({(1, 0): 9.0},)),
            LayerTable("as_left", (0,), (Candidate(1.0, (1,), 0),), ({(0, 1): 9.0},)),
        ),
        layout_bytes=(0, 8),
        capacity_bytes=100,
    )
    assert solve(problem).best.cost_us == 12
    other = replace(problem, execution_order=(0, 2, 1))
    assert solve(other).best.cost_us == 4
    assert any_order_us(problem) == 4


def test_without_time_no_other_order_is_begun():
    ordered, solution = solve_best_order(wide_and_narrow_branch(15), total_limit_s=0.0)
    assert ordered.order == (0, 1, 2, 3)
    assert solution.best.cost_us == 12.0
