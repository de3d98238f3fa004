import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from autosched.errors import StoreError
from autosched.store import database_errors as failures
from autosched.store.database import open_store


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("database disk image is malformed", "Restore it from a backup"),
        ("attempt to write a readonly database", "Change its permissions"),
        ("database or disk is full", "Free some space"),
        ("disk I/O error", "Check the disk"),
        ("database is locked", "for more than 3 s. Wait for that process"),
        ("something new\nLINE 1: SELECT", "the database refuses: something new"),
    ],
)
def test_each_failure_has_one_message_with_a_way_out(words: str, advice: str) -> None:
    error = OperationalError("SELECT 1", {}, sqlite3.OperationalError(words))
    explained = failures.explain_database_error(error, "trials {1}.sqlite3", None, 3.0)
    assert str(explained).startswith("trials {1}.sqlite3")
    assert advice in str(explained)
    assert "\n" not in str(explained)
    assert explained.exit_code == 2


def test_a_damaged_file_is_told_from_a_foreign_one(sqlite_url: str, sqlite_path: Path) -> None:
    open_store(sqlite_url).close()
    content = sqlite_path.read_bytes()
    sqlite_path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(StoreError, match=r"a damaged SQLite database.*backup"):
        open_store(sqlite_url)
