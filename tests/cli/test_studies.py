import sqlite3
from contextlib import closing
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


HOSTILE = "[red]\x1b]0;title\x07\x9b31m"
SHOWN = "[red]\\x1b]0;title\\x07\\x9b31m"


def test_what_others_wrote_controls_no_terminal(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(Path(studied.url.removeprefix("sqlite:///")).read_bytes())
    with closing(sqlite3.connect(copy)) as other, other:
        other.execute("UPDATE autosched_study SET name = ?, network = ?", (HOSTILE, HOSTILE))
    storage = ("--storage", f"sqlite:///{copy}")
    for words in (("list",), ("show", HOSTILE), ("show", HOSTILE, "--layers"), ("show", "gone")):
        done = invoke(*words, *storage)
        assert not set("\x1b\x07\x9b") & set(done.out + done.err)
        assert "[red]" in done.out + done.err
    assert SHOWN in " ".join(invoke("show", HOSTILE, *storage).out.split())
    done = invoke("list", *storage, "--json")
    assert done.json["studies"][0]["study"] == HOSTILE
    assert done.out.isascii()


def test_an_empty_database_says_how_to_begin(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("list", "--storage", f"sqlite:///{tmp_path}/empty.sqlite3")
    assert done.code == 0
    assert "autosched run NET.PY" in done.out
