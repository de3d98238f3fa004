import time
from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest

from autosched.errors import SearchError
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import RejectionKind
from autosched.search.samplers.joint_sampler import JointSampler
from autosched.search.samplers.optuna_trials import search_space, to_parameters
from autosched.solver.solver import solve
from tests.examples.studied import Studied
from tests.search.samplers.fake_study import propose

INVALID, OVERFLOW = RejectionKind.INVALID.value, RejectionKind.L1_OVERFLOW.value


def optimum(studied: Studied) -> Selection:
    best = solve(studied.joint.problem).best
    return studied.joint.selection(
        best.candidates, [(move.tensor, move.after) for move in best.moves]
    )


def test_the_optimum_is_proposed_first(either: Studied):
    proposed = propose(either.joint, JointSampler(either.joint, seed=0), 1)
    assert proposed.parameters == [to_parameters(either.joint, optimum(either))]
    assert proposed.costs_us[0] == pytest.approx(either.bound_us)


def test_no_proposal_is_repeated(either: Studied, record_property: Callable[[str, object], None]):
    begin = time.perf_counter()
    proposed = propose(either.joint, JointSampler(either.joint, seed=0), 25)
    record_property("seconds_per_proposal", (time.perf_counter() - begin) / 25)
    assert len({tuple(values.items()) for values in proposed.parameters}) == 25
    assert proposed.costs_us[:4] == sorted(proposed.costs_us[:4])
    assert max(proposed.costs_us) < 2 * min(proposed.costs_us)


def test_equal_seeds_propose_the_same(studied: Studied):
    runs = [propose(studied.joint, JointSampler(studied.joint, seed=3), 12) for _ in range(2)]
    assert runs[0].parameters == runs[1].parameters


def test_draws_reach_as_far_as_the_times_are_uncertain(studied: Studied):
    joint = studied.joint
    certain, vague = (
        JointProblem(
            joint.network,
            {
                name: tuple(replace(choice, stderr_log=error) for choice in choices)
                for name, choices in joint.tables.items()
            },
            joint.reshards,
            joint.spills,
            joint.board,
        )
        for error in (1e-9, 2.0)
    )
    costs = [propose(item, JointSampler(item, seed=0), 12).costs_us for item in (certain, vague)]
    assert max(costs[0]) < max(costs[1])
    assert all(choice.stderr_log > 0 for choice in joint.tables["conv1"])


def test_a_candidate_that_is_slow_in_place_is_given_up(studied: Studied):
    """conv1 took a thousand times what it took alone, with whatever candidate."""
    first = optimum(studied)

    def slow(selection: Selection) -> dict[str, float]:
        chosen = selection.candidates["conv1"]
        time_us = studied.joint.tables["conv1"][chosen].time_us
        return {"conv1": 1000 * time_us if chosen == first.candidates["conv1"] else time_us}

    sampler = JointSampler(studied.joint, seed=0)
    proposed = propose(studied.joint, sampler, 4, slow)
    chosen = [selection.candidates["conv1"] for selection in proposed.selections]
    assert chosen[0] == first.candidates["conv1"]
    assert first.candidates["conv1"] not in chosen[1:]
    assert sampler.solve().best.candidates[3] != first.candidates["conv1"]


def test_packing_counts_as_its_layers_time_and_copies_do_not(studied: Studied):
    first = optimum(studied)
    tables = studied.joint.tables

    def told(times_us: dict[str, float]) -> float:
        sampler = JointSampler(studied.joint, seed=0)
        propose(studied.joint, sampler, 2, lambda _: times_us)
        return float(sampler._times_us[3][first.candidates["conv1"]])

    alone_us = tables["conv1"][first.candidates["conv1"]].time_us
    assert told({"conv1": 50.0}) == 50.0
    assert told({"conv1": 50.0, "pool -> conv1 (move)": 5.0}) == 55.0
    assert told({"conv1": 50.0, "pool -> conv1": 5.0, "conv1 -> conv2": 5.0}) == 50.0
    assert told({"pool -> conv1": 5.0}) == alone_us


def test_a_rejected_combination_is_not_proposed_again(studied: Studied):
    """A layer is rejected together with what feeds it."""
    rejected: list[tuple[int, int]] = []

    def refuse(selection: Selection) -> list[str] | None:
        pair = selection.candidates["conv1"], selection.candidates["pool"]
        assert pair not in rejected
        if len(rejected) < 6:
            rejected.append(pair)
            return [INVALID, "conv1"]
        return None

    propose(studied.joint, JointSampler(studied.joint, seed=0), 12, refuse)
    assert len(set(rejected)) == 6


def test_where_memory_ran_out_all_that_was_live_is_part_of_it(skipped: Studied):
    """At conv3 the stem's output waits, too; at conv1 its own input does."""
    sampler = JointSampler(skipped.joint, seed=0)
    first = optimum(skipped)
    propose(skipped.joint, sampler, 2, lambda _: [OVERFLOW, "conv2 -> conv3"])
    number = {layer.name: index for index, layer in enumerate(skipped.network)}
    assert sampler._knowledge.nogoods[0] == tuple(
        (number[name], first.candidates[name]) for name in ("stem", "conv2", "conv3")
    )


def test_a_rejection_without_a_place_teaches_nothing_but_is_not_repeated(studied: Studied):
    sampler = JointSampler(studied.joint, seed=0)
    proposed = propose(studied.joint, sampler, 3, lambda _: [RejectionKind.HANG.value, ""])
    assert sampler._knowledge.nogoods == []
    assert len({tuple(values.items()) for values in proposed.parameters}) == 3


def test_when_everything_was_rejected_it_says_so(studied: Studied):
    """Every way to convert the input has failed."""
    ways = len(studied.joint.tables["x"])
    sampler = JointSampler(studied.joint, seed=0)
    with pytest.raises(SearchError):
        propose(studied.joint, sampler, ways + 1, lambda _: [INVALID, "x"])
    assert len(sampler._knowledge.nogoods) == ways


def test_parameters_outside_the_space_are_drawn_at_random(studied: Studied):
    study = optuna.create_study(sampler=JointSampler(studied.joint, seed=0))
    asked = study.ask(search_space(studied.joint))
    assert 0 <= asked.suggest_float("colour", 0, 1) <= 1
