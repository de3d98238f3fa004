import math

import pytest

from autosched.budget import UNLIMITED, Budget
from autosched.errors import TimeUpError


def test_a_budget_without_end_is_never_up() -> None:
    assert math.isinf(UNLIMITED.left_s)
    assert Budget.of(None) == UNLIMITED
    assert not UNLIMITED.is_up


def test_time_runs_down_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("autosched.budget.time.monotonic", lambda: now)
    budget = Budget.of(5)
    assert budget.left_s == pytest.approx(5)
    now = 105.5
    assert budget.is_up
    assert budget.left_s == 0


def test_a_part_ends_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosched.budget.time.monotonic", lambda: 100.0)
    whole = Budget.of(5)
    assert whole.part(2).left_s == pytest.approx(2)
    assert whole.part(9).left_s == pytest.approx(5)
    assert UNLIMITED.part(3).left_s == pytest.approx(3)


def test_whoever_cannot_go_on_without_time_says_so() -> None:
    UNLIMITED.check()
    with pytest.raises(TimeUpError):
        Budget.of(0).check()
