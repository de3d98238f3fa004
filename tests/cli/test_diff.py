from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


def test_the_default_and_the_best_differ(studied: Studied, invoke: Invoke) -> None:
    done = invoke("diff", "tiny-n150:0", "tiny-n150", "--storage", studied.url)
    assert done.code == 0, done.err
    assert "A: tiny-n150, trial 0" in done.out
    assert "shard_layout none -> " in done.out
    plain = invoke("diff", "tiny-n150:0", "tiny-n150", "--storage", studied.url, "--json").json
    before, after = plain["before"]["latency_us"], plain["after"]["latency_us"]
    assert after < before
    moved = sum(item["difference_us"] or 0.0 for item in plain["layers"])
    assert moved < 0


def test_a_file_has_the_times_of_the_trial_that_ran_it(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    words = ("diff", str(studied.schedule), "tiny-n150", "--safe", "--storage", studied.url)
    plain = invoke(*words, "--json").json
    assert plain["before"]["latency_us"] == plain["after"]["latency_us"]
    assert {item["change"] for item in plain["layers"]} == {""}
    nowhere = f"sqlite:///{tmp_path}/other.sqlite3"
    alone = ("diff", str(studied.schedule), str(studied.schedule), "--safe", "--storage", nowhere)
    assert "no trial of it in this database" in invoke(*alone).out


@pytest.mark.parametrize(
    ("other", "words"),
    [("nobody", "nobody"), ("tiny-n150:99", "no trial 99"), ("nobody.py", "no such file")],
)
def test_what_is_not_there(studied: Studied, invoke: Invoke, other: str, words: str) -> None:
    done = invoke("diff", "tiny-n150", other, "--storage", studied.url)
    assert done.code == 2
    assert words in done.err
