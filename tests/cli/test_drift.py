"""``autosched drift``: the probes of two versions of ttnn side by side."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


@pytest.fixture
def updated(studied: Studied, tmp_path: Path) -> str:
    """The database of the studied network, with a copy of each probe by an earlier ttnn."""
    path = tmp_path / "updated.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(autosched_probe)")]
        columns = ", ".join(name for name in names if name not in ("id", "ttnn_version"))
        connection.execute(
            f"INSERT INTO autosched_probe (ttnn_version, {columns}) "  # noqa: S608
            f"SELECT '0.80.0', {columns} FROM autosched_probe"
        )
        invalid = "SELECT outcome FROM autosched_probe WHERE rejection IS NOT NULL LIMIT 1"
        ran = "SELECT max(id) FROM autosched_probe WHERE rejection IS NULL"
        connection.execute(
            "UPDATE autosched_probe SET rejection = 'invalid configuration', "  # noqa: S608
            f"outcome = ({invalid}) WHERE id = ({ran})"
        )
        connection.commit()
    return f"sqlite:///{path}"


def test_two_versions_are_compared_record_by_record(updated: str, invoke: Invoke) -> None:
    done = invoke("drift", "0.80.0", "0.81.1", "--storage", updated)
    assert done.code == 0, done.err
    assert "Accepted now: 1" in done.out
    assert "0 slower" in done.out
    plain = invoke("drift", "0.81.1", "0.80.0", "--storage", updated, "--json").json
    (changed,) = plain["changed"]
    assert changed["went"] == "rejected now"
    assert changed["before"]["kind"] == "estimated"


def test_an_unknown_version_says_which_there_are(studied: Studied, invoke: Invoke) -> None:
    done = invoke("drift", "0.1", "shipped", "--storage", studied.url)
    assert done.code == 2
    assert "there: 0.81.1" in done.err
