"""Caches and rows as one list, of which only what is meant goes; commands are in tests/cli."""

from pathlib import Path

import pytest

from autosched.cleaning.leftovers import (
    DELETED,
    MADE_AGAIN,
    Leftover,
    chosen_kinds,
    delete_leftovers,
    find_leftovers,
    today,
)
from autosched.device.machine import ttnn_version
from autosched.errors import MachineError, StudyError
from autosched.service.search_files import ended_with, said_by
from autosched.service.submissions import Submission, add_submission, ask_to_cancel, now
from autosched.store.database import open_store


def test_kinds_are_those_that_are_made_again_unless_named() -> None:
    assert chosen_kinds(None) == MADE_AGAIN
    assert chosen_kinds(["studies"]) == ("studies",)
    with pytest.raises(StudyError, match="'trials' is nothing to delete"):
        chosen_kinds(["trials"])


def test_copies_of_a_database_are_found_beside_it_and_go_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))
    copy = tmp_path / "a.sqlite3.2026-11-01.schema-0005"
    copy.write_bytes(b"xy")
    (tmp_path / "b.sqlite3.2026-11-01.schema-0005").touch()
    with open_store(f"sqlite:///{tmp_path}/a.sqlite3") as store:
        found = find_leftovers(store)
        assert found == [Leftover("backups", str(copy), 1, 2)]
        assert delete_leftovers(found, store) == {found[0]: DELETED}
        assert find_leftovers(store) == []
    assert (tmp_path / "b.sqlite3.2026-11-01.schema-0005").exists()
    assert find_leftovers(None) == []


def test_what_searches_of_a_service_said_goes_once_they_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))
    searches = tmp_path / "a.sqlite3.service" / "searches"
    searches.mkdir(parents=True)
    with open_store(f"sqlite:///{tmp_path}/a.sqlite3") as store:
        new = Submission("/nets/net.py", "n150", "", {}, "here", now())
        waits, ended = (add_submission(store, new, "net").id for _ in range(2))
        ask_to_cancel(store, ended)
        for number in (waits, ended):
            said_by(searches, number).write_text("words")
            ended_with(searches, number).write_text("{}")
        found = find_leftovers(store)
        assert found == [Leftover("searches", str(searches), 1, 7)]
        assert delete_leftovers(found, store) == {found[0]: DELETED}
        assert find_leftovers(store) == []
        assert said_by(searches, waits).exists()
        assert not said_by(searches, ended).exists()


def test_what_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    gone = Leftover("backups", str(tmp_path / "gone"), 1, 0)
    with pytest.raises(MachineError, match=r"gone: it cannot be deleted: No such file"):
        delete_leftovers([gone], None)


def test_records_are_judged_by_what_is_installed() -> None:
    assert today().ttnn_version == ttnn_version()
    assert today().revisions
