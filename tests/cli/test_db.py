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


@pytest.fixture
def poisoned(studied: Studied, tmp_path: Path) -> str:
    """The database of the studied network after a full disk: three probes and a trial of it."""
    path = tmp_path / "poisoned.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    with closing(sqlite3.connect(path)) as connection:
        ran = "SELECT id FROM autosched_probe WHERE rejection IS NULL ORDER BY id LIMIT 3"
        connection.execute("UPDATE autosched_probe SET created_at = '2026-01-01 00:00:00.000000'")
        connection.execute("UPDATE autosched_probe SET rejection = NULL")
        connection.execute(
            f"UPDATE autosched_probe SET rejection = 'invalid configuration' WHERE id IN ({ran})"  # noqa: S608
        )
        connection.execute(
            "UPDATE autosched_probe SET created_at = '2026-03-01 12:00:00.000000' "
            "WHERE id = (SELECT max(id) FROM autosched_probe WHERE rejection IS NOT NULL)"
        )
        connection.execute(
            "UPDATE autosched_trial SET rejection_kind = 'invalid configuration', "
            "state = 'rejected', started_at = '2026-03-01 12:00:00.000000' WHERE number = 1"
        )
        connection.commit()
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("words", "probes_left", "trials"),
    [
        (("--kind", "invalid configuration"), 3, 1),
        (("--kind", "Invalid-Configuration", "--kind", "hang"), 3, 1),
        (("--kind", "invalid configuration", "--since", "2026-02-01"), 1, 1),
        (("--kind", "invalid configuration", "--since", "2026-03-01T11:59Z"), 1, 1),
        (("--kind", "invalid configuration", "--since", "2026-03-01T12:01Z"), 0, 0),
        (("--kind", "invalid configuration", "--since", "1m"), 0, 0),
        (("--kind", "invalid configuration", "--board", "n150"), 3, 1),
        (("--kind", "invalid configuration", "--board", "p150"), 0, 0),
        (("--kind", "hang"), 0, 0),
    ],
)
def test_what_was_turned_down_wrongly_is_forgotten(
    poisoned: str, invoke: Invoke, words: tuple[str, ...], probes_left: int, trials: int
) -> None:
    before = probes(poisoned)
    done = invoke("db", "purge", *words, "--yes", "--storage", poisoned, "--json")
    assert done.code == 0, done.err
    path = poisoned.removeprefix("sqlite:///")
    assert done.json == {
        "database": path,
        "probes": probes_left,
        "executions": 0,
        "trials": trials,
    }
    assert probes(poisoned) == before - probes_left
    (study,) = invoke("list", "--storage", poisoned, "--json").json["studies"]
    assert study["trials"] == 3 - trials


def test_forgetting_is_asked_for(poisoned: str, invoke: Invoke) -> None:
    before = probes(poisoned)
    done = invoke("db", "purge", "--kind", "invalid configuration", "--storage", poisoned)
    assert done.code == 2
    assert "3 probes, 0 executions, 1 trial turned down as invalid configuration" in done.err
    assert "confirm it with --yes" in done.err
    assert probes(poisoned) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kind", "poison"), "there are "),
        (("--kind", "right"), "is no kind of rejection"),
        (("--kind", "hang", "--since", "yesterday"), "2026-11-20T08:00"),
        (("--kind", "hang", "--since", "99999999999999d"), "is no moment"),
        (("--kind", "hang", "--board", "n999"), "n999"),
        (("--kind", "hang", "--stale"), "one at a time"),
        (("--stale", "--since", "2d"), "go with --kind"),
    ],
)
def test_a_purge_that_is_not_understood_deletes_nothing(
    poisoned: str, invoke: Invoke, words: tuple[str, ...], message: str
) -> None:
    before = probes(poisoned)
    done = invoke("db", "purge", *words, "--yes", "--storage", poisoned)
    assert done.code == 2
    assert message.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert probes(poisoned) == before


def test_what_is_damaged_is_named_and_goes(outdated: str, invoke: Invoke) -> None:
    path = outdated.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE autosched_trial SET schedule = x'00' WHERE number < 2")
        connection.execute("UPDATE autosched_trial SET latency_us = 9e999 WHERE number = 2")
        connection.execute("UPDATE autosched_probe SET config = '[' WHERE id = 1")
    for words in (
        ("list",),
        ("show", "tiny-n150"),
        ("export", "tiny-n150", "-o", "a.json"),
        ("resume", "tiny-n150", "--trials", "1"),
    ):
        done = invoke(*words, "--storage", outdated)
        assert done.code == 2
        assert f"{path}: autosched_trial" in done.err
        assert "autosched db purge --damaged" in done.err
    done = invoke("db", "purge", "--damaged", "--storage", outdated)
    assert done.code == 2
    assert "3 damaged trials" in done.err
    done = invoke("db", "purge", "--damaged", "--yes", "--storage", outdated)
    assert "Deleted: 1 damaged probe, 0 damaged executions" in done.out
    assert invoke("list", "--storage", outdated, "--json").json["studies"][0]["trials"] == 0


def test_a_damaged_study_is_deleted(poisoned: str, invoke: Invoke) -> None:
    with closing(sqlite3.connect(poisoned.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE autosched_study SET settings = 'no JSON'")
    done = invoke("list", "--storage", poisoned)
    assert done.code == 2
    assert "autosched_study 1: " in done.err
    assert "autosched delete tiny-n150" in done.err
    assert invoke("delete", "tiny-n150", "--yes", "--storage", poisoned).code == 0
    assert invoke("list", "--storage", poisoned, "--json").json["studies"] == []


def test_a_search_tells_once_what_it_probes_again(outdated: str, invoke: Invoke) -> None:
    before = probes(outdated)
    done = invoke("resume", "tiny-n150", "--trials", "1", "--storage", outdated, "--json")
    assert done.code == 0, done.err
    told = [line for line in done.err.splitlines() if line.startswith("Stale:")]
    assert told == [
        f"Stale: {before:,} stored probes of another revision of the lowering, or of a machine "
        "that failed; what is needed of them is probed again"
    ]
    assert "error:" not in done.err
    assert done.json["stale_probes"] == before
    again = invoke("resume", "tiny-n150", "--trials", "1", "--storage", outdated, "--json")
    assert "Stale:" not in again.err
    assert again.json["stale_probes"] == 0
    assert "Probed: 0 probes run" in again.err
    assert probes(outdated) == 2 * before


def test_a_merge_brings_fresh_probes_beside_stale_ones(
    studied: Studied, outdated: str, invoke: Invoke
) -> None:
    number = probes(outdated)
    done = invoke("merge", studied.url, "--storage", outdated)
    assert f"Probes: {number:,} added, 0 here already" in done.out
    purged = invoke("db", "purge", "--stale", "--storage", outdated, "--json").json
    assert purged["stale_probes"] == number
    assert probes(outdated) == number


def test_probes_go_from_one_database_to_another_by_a_file(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    file, other = tmp_path / "probes.gz", f"sqlite:///{tmp_path}/other.sqlite3"
    written = invoke("db", "export", str(file), "--storage", studied.url, "--json").json
    assert written["probes"] == probes(studied.url) > 100
    assert (written["board"], written["compiler"]) == ("n150", "")
    again = invoke("db", "export", str(file), "--storage", studied.url)
    assert (again.code, "is there already" in again.err) == (2, True)
    brought = invoke("db", "import", str(file), "--storage", other, "--json").json
    assert (brought["added"], brought["known"]) == (written["probes"], 0)
    assert probes(other) == written["probes"]


def test_a_file_of_anything_else_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "some.gz"
    file.write_text("some text")
    done = invoke("db", "import", str(file), "--storage", f"sqlite:///{tmp_path}/other.sqlite3")
    assert done.code == 2
    assert "is no file of probes" in done.err
