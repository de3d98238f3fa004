import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosched.errors import SearchError
from autosched.solver.bounds import admissible_bounds, pair_tables
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
