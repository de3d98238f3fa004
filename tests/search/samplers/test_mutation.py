from itertools import pairwise

import numpy as np

from autosched.budget import Budget
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.search.samplers.mutation import MutationSampler
from autosched.search.samplers.optuna_trials import search_space
from tests.examples.studied import Studied
from tests.search.samplers.fake_study import propose


def test_it_starts_from_the_fastest_candidates(studied: Studied):
    proposed = propose(studied.joint, MutationSampler(studied.joint, seed=0), 1)
    assert all(value in (0, "stay") for value in proposed.parameters[0].values())


def test_each_child_differs_from_the_best_in_at_most_four_neighbours(either: Studied):
    names = list(search_space(either.joint))
    proposed = propose(either.joint, MutationSampler(either.joint, seed=1), 60)
    # The fastest candidates of all layers may leave what the next cannot be brought from.
    ran = next(place for place, cost_us in enumerate(proposed.costs_us) if cost_us < np.inf)
    best, best_us = proposed.parameters[ran], proposed.costs_us[ran]
    later = zip(proposed.parameters[ran + 1 :], proposed.costs_us[ran + 1 :], strict=True)
    for child, cost_us in later:
        changed = [names.index(name) for name in names if child[name] != best[name]]
        assert changed
        assert changed[-1] - changed[0] < 4
        if cost_us < best_us:
            best, best_us = child, cost_us
    assert best_us < proposed.costs_us[ran]


def test_a_space_without_choices_has_one_schedule(studied: Studied):
    tables = {name: choices[:1] for name, choices in studied.joint.tables.items()}
    single = JointProblem(studied.network, tables, studied.joint.reshards, {}, studied.joint.board)
    proposed = propose(single, MutationSampler(single, seed=0), 2)
    assert proposed.parameters == [{}]


def test_no_proposal_is_repeated_until_there_is_no_other(studied: Studied):
    """Two layers have a choice of two, so that there are four schedules."""
    tables = {
        name: choices[: 2 if name in ("stem", "conv1") else 1]
        for name, choices in studied.joint.tables.items()
    }
    four = JointProblem(studied.network, tables, studied.joint.reshards, {}, studied.joint.board)
    proposed = propose(four, MutationSampler(four, seed=0), 60)
    assert len(proposed.parameters) == len({tuple(v.items()) for v in proposed.parameters}) == 4


def test_it_proposes_nothing_once_its_time_is_up(studied: Studied):
    sampler = MutationSampler(studied.joint, seed=0)
    propose(studied.joint, sampler, 1)
    assert sampler.propose(Budget.of(0)) is None


def test_equal_seeds_propose_the_same(studied: Studied):
    runs = [propose(studied.joint, MutationSampler(studied.joint, seed=5), 10) for _ in range(2)]
    assert runs[0].parameters == runs[1].parameters


def test_a_start_that_is_rejected_is_changed_where_it_was(either: Studied):
    """Until something runs, each proposal differs from the last one around the layer at fault."""
    names = list(search_space(either.joint))
    fault = "conv1"
    refusal = Rejection(RejectionKind.L1_OVERFLOW, "", fault)

    def refuse(selection: Selection) -> Rejection | None:
        return refusal if selection.candidates[fault] == 0 else None

    proposed = propose(either.joint, MutationSampler(either.joint, seed=3), 30, refuse)
    tried = [values[fault] for values in proposed.parameters]
    accepted = next(number for number, chosen in enumerate(tried) if chosen != 0)
    for last, child in pairwise(proposed.parameters[: accepted + 1]):
        changed = [names.index(name) for name in names if child[name] != last[name]]
        assert min(changed) - 3 <= names.index(fault) <= max(changed) + 3
    assert min(proposed.costs_us) < np.inf
