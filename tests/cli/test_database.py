import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


@pytest.fixture
def copied(studied: Studied, tmp_path: Path) -> Path:
    path = tmp_path / "copied.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    return path


def test_a_database_is_looked_after(copied: Path, invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{copied}"
    found = invoke("db", "check", "--storage", url, "--json").json
    assert found["is_fine"]
    assert found["rows"]["trial"] == 3
    done = invoke("db", "backup", str(tmp_path / "kept.sqlite3"), "--storage", url)
    assert done.code == 0, done.err
    assert invoke("db", "backup", str(tmp_path / "kept.sqlite3"), "--storage", url).code == 2
    kept = f"sqlite:///{tmp_path}/kept.sqlite3"
    assert invoke("list", "--storage", kept, "--json").json["studies"][0]["trials"] == 3
    assert "Size: " in invoke("db", "vacuum", "--storage", url).out


def test_damage_is_named_with_the_way_out(copied: Path, invoke: Invoke) -> None:
    with closing(sqlite3.connect(copied)) as connection:
        connection.execute("UPDATE autosched_trial SET state = 'finished' WHERE number = 1")
        connection.commit()
    done = invoke("db", "check", "--storage", f"sqlite:///{copied}")
    assert done.code == 2
    assert "trial: 3, 1 damaged" in done.out
    assert "autosched db purge --damaged" in done.err


def test_an_earlier_database_says_where_its_copy_is(invoke: Invoke, tmp_path: Path) -> None:
    data = Path(__file__).parent.parent / "store" / "data" / "schema_0005.sql"
    path = tmp_path / "old.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(data.read_text())
    done = invoke("db", "check", "--storage", f"sqlite:///{path}")
    assert "Upgraded; as it was before: " in done.out
    assert "old.sqlite3." in done.out
