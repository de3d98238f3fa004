from dataclasses import replace

import pytest

from autosched.cost.model import CostModel
from autosched.schedule.configurations import Conv2dConfig
from autosched.search import risk
from autosched.search.open_study import open_study
from autosched.search.risk import RARE_SHARE, rarities, risks_us
from autosched.search.samplers.joint_sampler import JointSampler
from autosched.search.settings import Settings
from autosched.solver.solver import solve
from autosched.store.database import Store
from autosched.store.trials import (
    CAUTIOUS_SAMPLER,
    TrialRecord,
    add_trial,
    best_of,
    fastest_of,
    list_trials,
)
from tests.examples.networks import residual
from tests.examples.studied import QUICK, Studied


def test_rare_switches_are_counted(studied: Studied) -> None:
    choice = studied.joint.tables["conv1"][0]
    plain = replace(choice, config=Conv2dConfig(), is_executed=True)
    assert rarities(plain) == 0
    rare = Conv2dConfig(enable_activation_reuse=True, act_block_w_div=2)
    assert rarities(replace(plain, config=rare, is_executed=False)) == 3


def test_a_candidate_risks_what_is_open_of_its_ops(studied: Studied, cost: CostModel) -> None:
    found = risks_us(studied.joint, cost)
    for layer, risks in zip(studied.joint.network, found, strict=True):
        for choice, found_us in zip(studied.joint.tables[layer.name], risks, strict=True):
            open_us = cost.risk_ns(choice.ops) / 1e3
            rare_us = RARE_SHARE * rarities(choice) * choice.time_us
            assert found_us == pytest.approx(open_us + rare_us)


@pytest.fixture
def doubtful(studied: Studied, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the optimum chose for a convolution is taken to be rare, several times over."""
    best = solve(studied.joint.problem).best
    names = [layer.name for layer in studied.joint.network]
    favourite = studied.joint.tables["conv1"][best.candidates[names.index("conv1")]]
    monkeypatch.setattr(risk, "rarities", lambda choice: 40 * (choice == favourite))


@pytest.mark.usefixtures("doubtful")
def test_less_risk_takes_more_time_within_a_limit(studied: Studied, cost: CostModel) -> None:
    sampler = JointSampler(studied.joint, seed=0)
    best_us = sampler.solve().best.cost_us
    risks = risks_us(studied.joint, cost)
    names = [layer.name for layer in studied.joint.network]

    def risked(share: float) -> float:
        found = sampler.least_risky(risks, best_us * (1 + share))
        assert found is not None
        return sum(
            float(own[found.candidates[name]]) for name, own in zip(names, risks, strict=True)
        )

    found = [risked(share) for share in (1e-9, 0.5)]
    assert found[1] < 0.9 * found[0]
    assert [risked(share) for share in (1e-9, 0.5)] == found
    assert sampler.least_risky(risks, 0.5 * best_us) is None


def searched(studied: Studied, store: Store, share: float, name: str) -> list[TrialRecord]:
    settings = replace(QUICK, risk=share)
    with open_study(store, residual(), "n150", settings, name, studied.device()) as study:
        study.optimize()
        best, trials = study.best, study.trials
        fastest = fastest_of(store, study.record)
    assert best is not None
    assert fastest is not None
    assert best.latency_us is not None
    assert fastest.latency_us is not None
    assert best.latency_us <= fastest.latency_us * (1 + share)
    return [best, fastest, *trials]


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """No difference is more than the model's error."""
    monkeypatch.setattr(CostModel, "probability_faster", lambda *_: 0.6)


@pytest.mark.usefixtures("doubtful", "unsure")
def test_a_search_ends_with_what_risks_less(studied: Studied, probed: Store) -> None:
    best, fastest, *trials = searched(studied, probed, 0.3, "careful")
    assert best.sampler == CAUTIOUS_SAMPLER
    assert [trial.sampler for trial in trials].count(CAUTIOUS_SAMPLER) == 1
    assert best.fingerprint != fastest.fingerprint
    again, *_ = searched(studied, probed, 0.3, "again")
    assert again.fingerprint == best.fingerprint


@pytest.mark.usefixtures("doubtful")
def test_what_is_slower_by_more_than_the_error_is_not_best(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CostModel, "probability_faster", lambda *_: 0.85)
    best, fastest, *trials = searched(studied, probed, 0.3, "too careful")
    assert best == replace(fastest, schedule=best.schedule)
    assert CAUTIOUS_SAMPLER not in [trial.sampler for trial in trials]


def test_without_a_share_the_fastest_is_best(studied: Studied, probed: Store) -> None:
    best, fastest, *trials = searched(studied, probed, 0.0, "bold")
    assert best == replace(fastest, schedule=best.schedule)
    assert CAUTIOUS_SAMPLER not in [trial.sampler for trial in trials]


@pytest.mark.usefixtures("doubtful", "unsure")
def test_a_cautious_trial_that_is_left_behind_is_not_best(studied: Studied, probed: Store) -> None:
    searched(studied, probed, 0.3, "careful")
    settings = replace(QUICK, risk=0.3)
    device = studied.device()
    with open_study(probed, residual(), "n150", settings, "careful", device) as study:
        faster = list_trials(probed, study.record, with_ops=True)[-1]
        assert faster.latency_us is not None
        far = replace(faster, latency_us=faster.latency_us / 10, sampler="joint", number=None)
        number = add_trial(probed, study.record, far).number
        found = best_of(probed, study.record)
    assert found is not None
    assert found.number == number


def test_studies_from_before_have_no_risk() -> None:
    assert Settings().risk > 0
    assert Settings.from_plain({"sampler": "joint"}).risk == 0.0
