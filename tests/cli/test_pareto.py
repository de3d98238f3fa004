import shutil
from pathlib import Path

import optuna
import pytest

from tests.cli.conftest import Invoke, Studied


@pytest.fixture
def copied(studied: Studied, tmp_path: Path) -> str:
    path = tmp_path / "copied.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    return f"sqlite:///{path}"


def test_a_front_is_traced_kept_drawn_and_gone_on_with(
    copied: str, invoke: Invoke, tmp_path: Path
) -> None:
    picture = tmp_path / "front.html"
    words = ("pareto", "tiny-n150", "--points", "4", "--storage", copied)
    done = invoke(*words, "--picture", str(picture), "--json")
    assert done.code == 0, done.err
    points = done.json["points"]
    assert 2 <= len(points) <= 6
    assert [point["latency_us"] for point in points] == sorted(p["latency_us"] for p in points)
    assert [point["pcc"] for point in points] == sorted(point["pcc"] for point in points)
    assert points[0]["pcc"] >= 0.9
    assert "tiny-n150-pareto" in picture.read_text()

    front = optuna.load_study(study_name="autosched:tiny-n150-pareto", storage=copied)
    assert [item.name for item in front.directions] == ["MINIMIZE", "MAXIMIZE"]
    best = {(trial.values[0], trial.values[1]) for trial in front.best_trials}
    assert {(point["latency_us"], point["pcc"]) for point in points} <= best
    numbers = len(front.trials)

    schedule = tmp_path / "exact.py"
    last = str(points[-1]["trial"])
    named = ("--trial", last, "-o", str(schedule), "--storage", copied)
    assert invoke("export", "tiny-n150-pareto", *named).code == 0
    assert f"PCC {points[-1]['pcc']:.4f}" in schedule.read_text()

    other = invoke(*words, "--min-pcc", "0.95", "--timeout", "0.2s")
    assert other.code == 0, other.err
    assert "tiny-n150-pareto-0.95" in other.out
    assert "This is not all of it: time up; go on with: autosched pareto tiny-n150" in other.out
    again = invoke(*words, "--json").json
    assert again["points"] == points
    assert len(optuna.load_study(study_name=front.study_name, storage=copied).trials) == numbers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--picture", "front.gif"), "front.gif: a picture is written as .html, .png, .svg"),
        (("--picture", "nowhere/front.png"), "there is no directory nowhere"),
        (("--min-pcc", "2"), "--min-pcc 2.0"),
    ],
)
def test_what_cannot_be_traced(
    copied: str, invoke: Invoke, words: tuple[str, ...], message: str
) -> None:
    done = invoke("pareto", "tiny-n150", "--storage", copied, *words)
    assert done.code == 2
    assert message in done.err


def test_an_unknown_study(copied: str, invoke: Invoke) -> None:
    done = invoke("pareto", "nobody", "--storage", copied)
    assert done.code == 2
    assert "nobody" in done.err
