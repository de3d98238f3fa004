"""How long the exact solver takes on a network's probed tables, and how much memory."""

import statistics
import time
import tracemalloc
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna

from autosched.search.bench import Bench
from autosched.search.joint import JointProblem
from autosched.search.parameters import from_parameters, search_space
from autosched.search.samplers.joint_sampler import LAYER_TIMES, JointSampler
from autosched.search.solver import solve

_REPEATS = 3
_PROPOSALS = 20
_LIMIT_S = 60.0
# How far the op times of a trial are taken to be from the probed ones.
_IN_PLACE_NOISE = 0.05


@dataclass(frozen=True)
class SolverSpeed:
    """The solver on one network, after probing, on one core.

    ``seconds`` is the fastest of three solutions, ``peak_bytes`` the most memory that one holds;
    ``gap`` is that of its proof. ``proposal_ms`` is the joint sampler's own time for a trial, the
    median and the longest of 20 in which each trial taught it new times.
    """

    network: str
    board: str
    batch: int
    layers: int
    candidates: int
    bound_us: float
    optimal: bool
    gap: float
    states: int
    seconds: float
    peak_bytes: int
    proposal_ms: float
    longest_proposal_ms: float

    def to_plain(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        return asdict(self)


def measure_solver(bench: Bench) -> SolverSpeed:
    """Solve a prepared network's tables a few times.

    Raises:
        SearchError: if no schedule of the probed tables fits in L1.
    """
    joint = bench.prepared
    solutions = [solve(joint.problem, time_limit_s=_LIMIT_S) for _ in range(_REPEATS)]
    fastest = min(solutions, key=lambda solution: solution.seconds)
    proposals = proposals_ms(joint)
    return SolverSpeed(
        network=bench.network.name,
        board=bench.board.name,
        batch=bench.network.batch,
        layers=len(joint.problem.layers),
        candidates=sum(len(layer.candidates) for layer in joint.problem.layers),
        bound_us=fastest.lower_bound_us,
        optimal=fastest.optimal,
        gap=fastest.gap,
        states=fastest.states,
        seconds=fastest.seconds,
        peak_bytes=_peak_bytes(joint),
        proposal_ms=statistics.median(proposals),
        longest_proposal_ms=max(proposals),
    )


def _peak_bytes(joint: JointProblem) -> int:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        solve(joint.problem, time_limit_s=_LIMIT_S)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def proposals_ms(joint: JointProblem) -> list[float]:
    """Return the joint sampler's time for each of 20 trials, without the device's.

    Its times in place are drawn near the probed ones, so that every trial changes the tables.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random = np.random.default_rng(0)
    space = search_space(joint)
    study = optuna.create_study(sampler=JointSampler(joint, seed=0))
    times = []
    for _ in range(_PROPOSALS):
        begin = time.perf_counter()
        asked = study.ask(space)
        chosen = from_parameters(joint, asked.params).candidates
        layer_us = {
            name: joint.tables[name][index].time_us * random.normal(1.0, _IN_PLACE_NOISE)
            for name, index in chosen.items()
        }
        asked.set_user_attr(LAYER_TIMES, layer_us)
        study.tell(asked, sum(layer_us.values()))
        times.append((time.perf_counter() - begin) * 1e3)
    return times
