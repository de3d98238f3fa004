import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.errors import SearchError
from autosched.solver.bounds import admissible_bounds, costs_more, pair_tables
from autosched.solver.solver import solve
from autosched.solver.stages import compile_stages
from tests.examples.synthetic_networks import densenet, resnet, unet
from tests.solver.random_problems import SHAPES, every_schedule, random_problem

ROOMY = 10**9


def root_us(problem, sweeps):
    stages = compile_stages(problem)
    pairs = pair_tables(stages, problem.capacity_bytes)
    return admissible_bounds(stages, pairs, sweeps)[0].constant


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(sorted(SHAPES)),
    count=st.integers(2, 5),
    sweeps=st.integers(0, 5),
)
def test_never_above_the_optimum(seed, shape, count, sweeps):
    problem = random_problem(seed, shape, count)
    assert root_us(problem, sweeps) <= min(every_schedule(problem), default=math.inf) + 1e-9


@pytest.mark.parametrize("problem", [resnet((3, 4)), unet(5), densenet((4,))])
def test_sweeps_tighten(problem):
    once = root_us(problem, 0)
    often = root_us(problem, 12)
    assert once < often <= solve(problem).best.cost_us * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_exact_on_chains_that_fit_easily(seed):
    problem = replace(random_problem(seed, "chain", 5), capacity_bytes=ROOMY, nogoods=())
    try:
        optimum = solve(problem).best.cost_us
    except SearchError:
        optimum = math.inf
    assert root_us(problem, 0) == pytest.approx(optimum)


def with_candidate(problem, index, candidate):
    """Return the least cost of all schedules with a candidate, infinite if there is none."""
    layer = problem.layers[index]
    if candidate not in layer.allowed:
        return math.inf
    layers = list(problem.layers)
    layers[index] = replace(layer, pinned=candidate)
    return min(every_schedule(replace(problem, layers=tuple(layers))), default=math.inf)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(sorted(SHAPES)),
    count=st.integers(2, 4),
)
def test_a_candidate_costs_no_less_than_the_bound_and_what_it_costs_more(seed, shape, count):
    problem = random_problem(seed, shape, count)
    least = root_us(problem, 12)
    for index, more in enumerate(costs_more(problem)):
        for candidate, more_us in enumerate(more):
            assert least + more_us <= with_candidate(problem, index, candidate) + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_what_a_candidate_costs_more_is_exact_on_chains_that_fit_easily(seed):
    problem = replace(random_problem(seed, "chain", 5), capacity_bytes=ROOMY, nogoods=())
    optimum = min(every_schedule(problem), default=math.inf)
    for index, more in enumerate(costs_more(problem)):
        for candidate in problem.layers[index].allowed:
            found = with_candidate(problem, index, candidate)
            expected = found - optimum if optimum < math.inf else 0.0
            assert more[candidate] == pytest.approx(expected)
