from dataclasses import replace
from datetime import timedelta

import pytest

from autosched.report.page.figures import MOST_BARS, MOST_DOTS, bars, progress, ticks
from tests.examples import records as examples


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1329.0), (388.0, 391.0), (380.0, 3700.0), (1.0, 9e5), (5.0, 5.0)]
)
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 20
    assert found == sorted(found)
    assert all(low <= value <= high for value in found)


def test_what_is_far_longer_than_all_else_is_cut() -> None:
    pairs = [(f"{number}", {"dram": 2.0}, {"compute": 1.0}, "") for number in range(20)]
    rows = bars([("x", {"dram": 900.0, "launch": 100.0}, {"compute": 4.0}, ""), *pairs])
    assert rows[0]["before"]["is_cut"]
    assert sum(part["width"] for part in rows[0]["before"]["parts"]) == pytest.approx(100)
    assert rows[0]["before"]["time"] == "1,000.0"
    assert not rows[0]["after"]["is_cut"]
    assert rows[1]["before"]["parts"][0]["width"] == pytest.approx(50)
    assert rows[1]["after"]["parts"][0]["width"] == pytest.approx(25)


def test_of_many_trials_some_have_dots_and_all_count() -> None:
    first = examples.trial()
    trials = [
        replace(
            first,
            number=number,
            latency_us=1000.0 + (number * 7919) % 5000 - (number == 7001),
            started_at=first.started_at + timedelta(seconds=number),
        )
        for number in range(20_000)
    ]
    found = progress(trials, None, first.started_at)
    assert found is not None
    for curve in (found["by_trial"], found["by_time"]):
        assert MOST_DOTS <= len(curve["dots"]) < 2 * MOST_DOTS
        assert min(dot["value"] for dot in curve["dots"]) == min(
            trial.latency_us or 0.0 for trial in trials
        )
        assert len(curve["path"]) < 20_000


def test_of_many_layers_the_longest_have_bars() -> None:
    pairs = [(f"{number}", {}, {"dram": float(number)}, "") for number in range(3 * MOST_BARS)]
    rows = bars(pairs)
    assert [row["layer"] for row in rows] == [item[0] for item in pairs[-MOST_BARS:]]
