"""A database after an update of autosched: what is stale is told, probed again, and purged."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


@pytest.fixture
def outdated(studied: Studied, tmp_path: Path) -> str:
    """The database of the studied network, all of its probes by other code than today's."""
    path = tmp_path / "outdated.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE autosched_probe SET revision = ''")
        connection.commit()
    return f"sqlite:///{path}"


def probes(url: str) -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        (number,) = connection.execute("SELECT count(*) FROM autosched_probe").fetchone()
    return int(number)


def test_a_purge_deletes_stale_probes_alone(
    studied: Studied, outdated: str, invoke: Invoke
) -> None:
    before = probes(outdated)
    first = invoke("db", "purge", "--stale", "--storage", outdated)
    assert first.code == 0, first.err
    assert f"Deleted: {before:,} stale probes" in first.out
    assert probes(outdated) == 0
    again = invoke("db", "purge", "--stale", "--storage", outdated, "--json").json
    assert again == {
        "database": outdated.removeprefix("sqlite:///"),
        "stale_probes": 0,
        "stale_executions": 0,
    }
    assert len(invoke("list", "--storage", outdated, "--json").json["studies"]) == 1
    fresh = invoke("db", "purge", "--stale", "--storage", studied.url, "--json").json
    assert fresh["stale_probes"] == 0


def test_a_purge_says_of_what(outdated: str, invoke: Invoke) -> None:
    before = probes(outdated)
    done = invoke("db", "purge", "--storage", outdated)
    assert done.code == 2
    assert "--stale" in done.err
    assert probes(outdated) == before


def test_a_search_tells_once_what_it_probes_again(outdated: str, invoke: Invoke) -> None:
    before = probes(outdated)
    done = invoke("resume", "tiny-n150", "--trials", "1", "--storage", outdated, "--json")
    assert done.code == 0, done.err
    told = [line for line in done.err.splitlines() if line.startswith("Stale:")]
    assert told == [
        f"Stale: {before:,} stored probes of another revision of the lowering; what is needed of "
        "them is probed again"
    ]
    assert "error" not in done.err
    assert done.json["stale_probes"] == before
    again = invoke("resume", "tiny-n150", "--trials", "1", "--storage", outdated, "--json")
    assert "Stale:" not in again.err
    assert again.json["stale_probes"] == 0
    assert "Probed: 0 probes run" in again.err
    assert probes(outdated) == before


def test_a_merge_brings_fresh_probes_for_stale_ones(
    studied: Studied, outdated: str, invoke: Invoke
) -> None:
    number = probes(outdated)
    done = invoke("merge", studied.url, "--storage", outdated)
    assert f"Probes: 0 added, 0 here already, {number:,} in place of stale ones" in done.out
    assert (
        invoke("db", "purge", "--stale", "--storage", outdated, "--json").json["stale_probes"] == 0
    )
