"""Two databases become one: the next search of a network reuses what both had probed."""

import shutil
from pathlib import Path

import pytest

from autosched.service.submissions import add_submission, ask_to_cancel
from autosched.store.database import open_store
from tests.cli.conftest import Invoke, Studied
from tests.examples import records as examples


def test_a_merged_study_is_there_with_its_probes(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/mine.sqlite3"
    other = studied.url.removeprefix("sqlite:///")
    first = invoke("merge", other, "--storage", url, "--json")
    assert first.code == 0, first.err
    assert first.json["probes"]["added"] > 0
    (study,) = first.json["studies"]
    assert (study["name_here"], study["is_new"], study["trials"]["added"]) == ("tiny-n150", True, 3)
    again = invoke("merge", other, "--storage", url)
    assert again.code == 0
    assert f"Probes: 0 added, {first.json['probes']['added']:,} here already" in again.out
    assert "Study tiny-n150: here already; 0 trials added, 3 here already" in again.out
    best = invoke("list", "--storage", url, "--json").json["studies"][0]
    assert best["latency_us"] == studied.done.json["latency_us"]


def test_a_merged_study_goes_on_without_new_probes(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/mine.sqlite3"
    assert invoke("merge", studied.url, "--storage", url).code == 0
    done = invoke("resume", "tiny-n150", "--trials", "1", "--storage", url)
    assert done.code == 0, done.err
    assert "Probed: 0 probes run" in done.out


def test_it_says_what_waits_there_and_does_not_come(invoke: Invoke, tmp_path: Path) -> None:
    other, url = f"sqlite:///{tmp_path}/other.sqlite3", f"sqlite:///{tmp_path}/mine.sqlite3"
    with open_store(other) as store:
        numbers = [add_submission(store, examples.submission(f"s{i}"), "").id for i in range(3)]
        ask_to_cancel(store, numbers[0])
    done = invoke("merge", other, "--storage", url)
    assert done.code == 0, done.err
    assert "Submissions that have ended: 1 added, 0 here already" in done.out
    assert "Left there: 2 submissions that wait or run" in done.out
    again = invoke("merge", other, "--storage", url, "--json").json
    assert (again["submissions"]["known"], again["unfinished"]) == (1, 2)


@pytest.mark.parametrize("other", ["gone.sqlite3", "sqlite:///gone.sqlite3"])
def test_a_missing_database_is_one_message(other: str, invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("merge", other, "--storage", f"sqlite:///{tmp_path}/mine.sqlite3")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "gone.sqlite3 is not there" in done.err
    assert not (tmp_path / "mine.sqlite3").exists()


def test_a_plain_path_is_a_path(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    other = tmp_path / "my?mode=ro#%41.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), other)
    done = invoke("merge", str(other), "--storage", f"sqlite:///{tmp_path}/mine.sqlite3", "--json")
    assert done.code == 0, done.err
    assert done.json["from"] == str(other)
    assert done.json["studies"][0]["trials"]["added"] == 3


def test_a_database_is_not_merged_into_itself(studied: Studied, invoke: Invoke) -> None:
    done = invoke("merge", studied.url, "--storage", studied.url)
    assert done.code == 2
    assert "is the database itself" in done.err
