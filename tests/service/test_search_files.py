"""Whose the files of searches are, and which are old; real files beside a real database."""

import os
import time
from pathlib import Path

import pytest

from autosched.service.search_files import (
    KEPT_DAYS,
    default_directory,
    delete_old,
    ended_with,
    find_ended,
    said_by,
    searches_of,
    started_from,
)
from autosched.service.submissions import ask_to_cancel, claim_next
from autosched.store.database import Store, open_store
from tests.service.conftest import Place


@pytest.fixture
def searches(place: Place) -> Path:
    found = place.directory / "searches"
    found.mkdir()
    return found


def left_by(searches: Path, number: int, days_ago: float = 0.0) -> list[Path]:
    """Write the files of a search, for the last time so long ago."""
    files = [named(searches, number) for named in (started_from, ended_with, said_by)]
    moment = time.time() - days_ago * 24 * 3600
    for file in files:
        file.write_text("words")
        os.utime(file, (moment, moment))
    return files


def submitted(place: Place, store: Store, *, ends: bool) -> int:
    number = place.submitted(store, "net")
    if ends:
        ask_to_cancel(store, number)
    return number


def test_files_of_what_waits_or_runs_are_not_those_that_have_ended(
    place: Place, store: Store, searches: Path
) -> None:
    running, waiting = submitted(place, store, ends=False), submitted(place, store, ends=False)
    ended = submitted(place, store, ends=True)
    claimed = claim_next(store, "n150", "somebody", lambda _: True)
    assert claimed is not None
    assert claimed.id == running
    for number in (running, waiting, ended):
        left_by(searches, number, days_ago=2 * KEPT_DAYS)
    (searches / "notes.txt").write_text("of somebody else")
    assert {file.number for file in find_ended(store, searches)} == {ended}
    assert sum(file.size_bytes for file in find_ended(store, searches)) == 3 * len("words")
    assert delete_old(store, searches) == 3
    assert find_ended(store, searches) == []
    assert len(list(searches.iterdir())) == 7


def test_files_go_after_some_days_or_many_searches(
    place: Place, store: Store, searches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosched.service.search_files.KEPT_SEARCHES", 3)
    numbers = [submitted(place, store, ends=True) for _ in range(5)]
    for number in numbers:
        left_by(searches, number, days_ago=KEPT_DAYS - 1)
    left_by(searches, numbers[3], days_ago=KEPT_DAYS + 1)
    assert delete_old(store, searches) == 9
    assert {file.number for file in find_ended(store, searches)} == {numbers[2], numbers[4]}


def test_where_nothing_was_searched_there_is_nothing_to_delete(place: Place, store: Store) -> None:
    assert find_ended(store, place.directory / "searches") == []
    assert delete_old(store, place.directory / "searches") == 0


def test_a_directory_for_several_databases_has_one_for_each(place: Place, store: Store) -> None:
    own = default_directory(store)
    assert own == Path(f"{store.path}.service")
    assert searches_of(store, own) == own / "searches"
    with open_store(f"sqlite:///{place.nets}/other.sqlite3") as other:
        places = {searches_of(each, place.directory) for each in (store, other)}
    assert len(places) == 2
    assert {found.parent for found in places} == {place.directory / "searches"}


def test_files_of_a_server_s_databases_are_the_user_s(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with open_store(postgresql_url) as server:
        found = searches_of(server, default_directory(server))
    assert found.parent == tmp_path / "autosched" / "service" / "searches"
    assert "secret" not in str(found)
