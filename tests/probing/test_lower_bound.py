"""The lower bound holds for whatever the device makes of a schedule."""

from dataclasses import replace

import pytest

from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof, prove, relative_gap
from autosched.solver.solver import solve
from tests.examples.studied import Studied


def with_moves(joint: JointProblem, share: float) -> JointProblem:
    """The same tables, where a share of every layer's time is a move."""
    tables = {
        name: tuple(replace(choice, move_us=share * choice.time_us) for choice in choices)
        for name, choices in joint.tables.items()
    }
    return JointProblem(joint.network, tables, joint.reshards, joint.spills, joint.board)


def test_no_trial_is_faster_than_the_bound(either: Studied) -> None:
    proof = prove(either.joint, 10.0)
    latencies = [trial.latency_us for trial in either.trials if trial.latency_us is not None]
    assert latencies
    assert proof.bound_us <= min(latencies) * (1 + 1e-9)


def test_without_moves_the_bound_is_the_optimum(either: Studied) -> None:
    without = with_moves(either.joint, 0.0)
    proof = prove(without, 10.0)
    assert proof.optimal
    assert proof.bound_us == pytest.approx(solve(without.problem).best.cost_us)
    assert proof.any_order_us <= proof.bound_us


def test_what_a_move_takes_is_left_out_of_the_bound(either: Studied) -> None:
    """The proposal counts it all the same."""
    moving = with_moves(either.joint, 0.25)
    still = with_moves(either.joint, 0.0)
    assert prove(moving, 10.0).bound_us < prove(still, 10.0).bound_us
    assert solve(moving.problem).best.cost_us == solve(still.problem).best.cost_us


def test_little_l1_raises_the_bound_of_one_order_only(either: Studied) -> None:
    joint = with_moves(either.joint, 0.0)
    peak = max(solve(joint.problem).best.peak_bytes)
    joint.bounding_problem = replace(joint.bounding_problem, capacity_bytes=peak - 1)
    tight = prove(joint, 10.0)
    roomy = prove(either.joint, 10.0)
    assert tight.bound_us >= tight.any_order_us
    assert tight.any_order_us == pytest.approx(roomy.any_order_us)


def test_what_is_reached_may_lack_moves_only() -> None:
    proof = Proof(bound_us=1000.0, any_order_us=990.0, optimal=True, seconds=0.1)
    assert proof.is_reached(1000.4)
    assert not proof.is_reached(1001.0)
    assert not proof.is_reached(None)


def test_the_gap_is_relative_to_the_bound() -> None:
    assert relative_gap(110.0, 100.0) == pytest.approx(0.1)
    assert relative_gap(100.0 - 1e-12, 100.0) == 0
    assert relative_gap(90.0, 100.0) == pytest.approx(-0.1)
    assert relative_gap(None, 100.0) is None
    assert relative_gap(1.0, None) is None
