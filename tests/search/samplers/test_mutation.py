from itertools import pairwise

import numpy as np
import optuna
import pytest

from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import RejectionKind
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
    best, best_us = proposed.parameters[0], proposed.costs_us[0]
    assert best_us < np.inf
    for child, cost_us in zip(proposed.parameters[1:], proposed.costs_us[1:], strict=True):
        changed = [names.index(name) for name in names if child[name] != best[name]]
        assert changed
        assert changed[-1] - changed[0] < 4
        if cost_us < best_us:
            best, best_us = child, cost_us
    assert best_us < proposed.costs_us[0]


def test_a_space_without_choices_has_one_schedule(studied: Studied):
    tables = {name: choices[:1] for name, choices in studied.joint.tables.items()}
    single = JointProblem(studied.network, tables, studied.joint.reshards, {}, studied.joint.board)
    study = optuna.create_study(sampler=MutationSampler(single, seed=0))
    for _ in range(2):
        asked = study.ask(search_space(single))
        assert asked.params == {}
        study.tell(asked, 1.0)


def test_equal_seeds_propose_the_same(studied: Studied):
    runs = [propose(studied.joint, MutationSampler(studied.joint, seed=5), 10) for _ in range(2)]
    assert runs[0].parameters == runs[1].parameters


def test_parameters_outside_the_space_are_drawn_at_random(studied: Studied):
    study = optuna.create_study(sampler=MutationSampler(studied.joint, seed=0))
    assert study.ask(search_space(studied.joint)).suggest_float("colour", 0, 1) == pytest.approx(
        0.5, abs=0.5
    )


def test_a_start_that_is_rejected_is_changed_where_it_was(either: Studied):
    """Until something runs, each proposal differs from the last one around the layer at fault."""
    names = list(search_space(either.joint))
    fault = "conv1"
    refusal = [RejectionKind.L1_OVERFLOW.value, fault]

    def refuse(selection: Selection) -> list[str] | None:
        return refusal if selection.candidates[fault] == 0 else None

    proposed = propose(either.joint, MutationSampler(either.joint, seed=3), 30, refuse)
    tried = [values[fault] for values in proposed.parameters]
    accepted = next(number for number, chosen in enumerate(tried) if chosen != 0)
    for last, child in pairwise(proposed.parameters[: accepted + 1]):
        changed = [names.index(name) for name in names if child[name] != last[name]]
        assert min(changed) - 3 <= names.index(fault) <= max(changed) + 3
    assert min(proposed.costs_us) < np.inf
