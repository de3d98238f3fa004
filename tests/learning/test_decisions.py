import numpy as np
import pytest
from scipy.stats import norm

from autosched.cost.learning import Learner
from autosched.cost.model import CostModel
from autosched.learning.decisions import Decision, choose, decide, values
from autosched.learning.timetable import Timetable


@pytest.fixture
def decision(timetable: Timetable, cost: CostModel) -> Decision:
    return decide(timetable, Learner(cost.coefficients).learn([]))


@pytest.mark.parametrize(("mean", "moved"), [(0.0, 2.0), (1.0, 2.0), (5.0, 1.0)])
def test_the_value_of_news_of_one_alternative_is_the_known_formula(
    mean: float, moved: float
) -> None:
    """For two choices that is moved f(-mean / moved) with f(z) = z N(z) + n(z)."""
    at = -mean / moved
    expected = moved * (at * norm.cdf(at) + norm.pdf(at))
    found = values(np.array([mean]), np.array([[moved]]), [1])
    assert found[0] == pytest.approx(expected, abs=0.02 * moved)


def test_news_that_moves_nothing_is_worth_nothing() -> None:
    found = values(np.array([1.0, 2.0]), np.array([[0.0, 3.0], [0.0, -3.0]]), [1, 1])
    assert found[0] == 0.0
    both = values(np.array([1.0, 2.0]), np.array([[0.0, 3.0], [0.0, -3.0]]), [2])
    assert 0.0 < both[1] < found[1] + 1e-9


def test_alternatives_are_what_draws_choose_otherwise(decision: Decision) -> None:
    assert decision.alternatives
    assert 0.0 < decision.expected_loss_us < decision.best.cost_us
    whole = decision.timetable.spent(decision.best)
    for changes in decision.alternatives.values():
        for change in changes:
            taken_off = {place: -count for place, count in change.items() if count < 0}
            assert all(whole[place] >= count for place, count in taken_off.items())
    # Where choices depend on each other by L1 alone, one may do no more than drop a move.
    changes = [change for region in decision.alternatives.values() for change in region]
    assert any(count > 0 for change in changes for count in change.values())


def test_the_same_seed_draws_the_same(decision: Decision, timetable: Timetable) -> None:
    again = decide(timetable, decision.belief)
    assert again.alternatives == decision.alternatives
    assert again.expected_loss_us == decision.expected_loss_us


def test_what_is_chosen_says_more_of_the_alternatives_than_others_do(decision: Decision) -> None:
    telling = decision.telling
    chosen = choose(decision, telling, 5)
    assert len(set(chosen)) == 5
    assert set(chosen) <= set(telling)
    assert choose(decision, telling, 3) == chosen[:3]
    assert choose(decision, chosen[:2], 5) in ([*chosen[:2]], [*chosen[1::-1]])
    assert choose(decision, [], 5) == []


def test_a_batch_does_not_ask_the_same_twice(decision: Decision) -> None:
    """After the first, what is all but the same is worth less than before."""
    first, second = choose(decision, decision.telling, 2)
    rows = decision.features[[first, second]]
    open_ = decision.belief.covariance(rows)
    correlation = open_[0, 1] / np.sqrt(open_[0, 0] * open_[1, 1])
    assert correlation < 0.98


def test_without_alternatives_the_schedule_s_own_time_is_asked_for(
    timetable: Timetable, cost: CostModel
) -> None:
    settled = decide(timetable, Learner(cost.coefficients).learn([]), draws=0)
    assert settled.alternatives == {}
    (chosen,) = choose(settled, settled.telling, 1)
    spent = settled.timetable.spent(settled.best)
    longest = sorted(spent, key=lambda place: -settled.times_us[place])[:4]
    assert chosen in longest
