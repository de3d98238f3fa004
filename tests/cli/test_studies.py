from pathlib import Path

from tests.cli.conftest import Invoke, Studied


def test_a_study_with_its_best(studied: Studied, invoke: Invoke) -> None:
    done = invoke("list", "--storage", studied.url)
    assert done.code == 0, done.err
    line = next(line for line in done.out.splitlines() if line.startswith("tiny-n150"))
    assert "mock n150" in line
    assert line.rstrip().endswith("estimated")


def test_json(studied: Studied, invoke: Invoke) -> None:
    (study,) = invoke("list", "--storage", studied.url, "--json").json["studies"]
    assert (study["study"], study["trials"]) == ("tiny-n150", 3)
    assert study["latency_us"] == studied.done.json["latency_us"]


def test_an_empty_database_says_how_to_begin(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("list", "--storage", f"sqlite:///{tmp_path}/empty.sqlite3")
    assert done.code == 0
    assert "autosched run NET.PY" in done.out
