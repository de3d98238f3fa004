import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from autosched.errors import StoreError
from autosched.service.submissions import (
    State,
    add_submission,
    claim_next,
    end,
    list_submissions,
)
from autosched.store import models as schema
from autosched.store import probes, studies, trials
from autosched.store.database import Store, open_store
from autosched.store.purging import find_damaged, purge_damaged
from autosched.store.upkeep import (
    StaleRows,
    Today,
    back_up,
    check_database,
    delete_stale_rows,
    find_stale_rows,
    size_of,
    vacuum,
)
from tests.examples import records as examples

_DATA = Path(__file__).parent / "data"


def filled(store: Store) -> None:
    probes.save_probes(store, [examples.probe()])
    trials.add_trial(store, studies.add_study(store, examples.study()), examples.trial())


def test_a_database_that_is_fine(store: Store) -> None:
    filled(store)
    found = check_database(store)
    assert found.is_fine
    assert found.schema == schema.HEAD
    assert (found.rows["probe"], found.rows["study"], found.rows["trial"]) == (1, 1, 1)
    assert (found.size_bytes is None) == (store.path is None)


def test_damaged_rows_are_counted(store: Store) -> None:
    filled(store)
    with store.connection("BEGIN IMMEDIATE") as connection:
        connection.exec_driver_sql("UPDATE autosched_trial SET state = 'finished'")
    found = check_database(store)
    assert not found.is_fine
    assert found.damaged["trial"] == 1


def test_a_copy_has_all_of_it(store: Store, tmp_path: Path) -> None:
    filled(store)
    target = tmp_path / "copies" / "copy.sqlite3"
    with pytest.raises(StoreError, match="there is no directory"):
        back_up(store, target)
    target.parent.mkdir()
    back_up(store, target)
    with open_store(f"sqlite:///{target}") as copy:
        found = check_database(copy)
        assert found.is_fine
        assert found.rows["probe"] == 1
        study = studies.get_study(copy, examples.study().name)
        assert trials.list_trials(copy, study)[0].schedule == examples.schedule()
    with pytest.raises(StoreError, match="is there already"):
        back_up(store, target)


def test_a_copy_that_fails_leaves_no_file(postgresql_url: str, tmp_path: Path) -> None:
    with open_store(postgresql_url) as store:
        filled(store)
        with store.connection("BEGIN") as connection:
            connection.exec_driver_sql("UPDATE autosched_trial SET state = 'half'")
        with pytest.raises(StoreError, match="db purge --damaged"):
            back_up(store, tmp_path / "copy.sqlite3")
        assert list(tmp_path.iterdir()) == []
        purge_damaged(store, find_damaged(store))
        back_up(store, tmp_path / "copy.sqlite3")
        assert [path.name for path in tmp_path.iterdir()] == ["copy.sqlite3"]


def test_a_copy_has_the_queue_with_its_numbers(store: Store, tmp_path: Path) -> None:
    numbers = [add_submission(store, examples.submission(f"s{i}"), "net").id for i in range(4)]
    with store.writing() as session:
        session.execute(delete(schema.SubmissionRow).where(schema.SubmissionRow.id == numbers[0]))
    claimed = claim_next(store, "n150", "service", lambda _: True)
    assert claimed is not None
    end(store, claimed, State.FAILED, message="no such layer")
    assert claim_next(store, "n150", "service", lambda _: True) is not None
    target = tmp_path / "copy.sqlite3"
    back_up(store, target)
    with open_store(f"sqlite:///{target}") as copy:
        there, found = list_submissions(store), list_submissions(copy)
    assert found == there
    assert [(item.id, str(item.status)) for item in found] == [
        (numbers[3], "waiting"),
        (numbers[2], "running"),
        (numbers[1], "failed"),
    ]


def test_what_was_deleted_gives_its_room_back(store: Store) -> None:
    study = studies.add_study(store, examples.study())
    for _ in range(300):
        trials.add_trial(store, study, examples.trial())
    studies.delete_study(store, study.name)
    before, after = vacuum(store)
    if store.path is not None:
        assert before is not None
        assert after is not None
        assert after < before / 2
        assert after == size_of(store)
    assert check_database(store).rows["trial"] == 0


def test_a_database_is_copied_before_it_is_upgraded(sqlite_url: str, sqlite_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.executescript((_DATA / "schema_0006.sql").read_text())
    with open_store(sqlite_url) as store:
        kept = store.backup
    assert kept is not None
    assert kept.name.endswith(".schema-0006")
    with closing(sqlite3.connect(kept)) as connection:
        version = f"SELECT version_num FROM {schema.VERSION_TABLE}"  # noqa: S608
        assert connection.execute(version).fetchone() == ("0006",)
        assert connection.execute("SELECT count(*) FROM autosched_trial").fetchone()[0] > 0
    with open_store(sqlite_url) as store:
        assert store.backup is None


def test_a_file_system_without_links_has_its_copy(
    sqlite_url: str, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.executescript((_DATA / "schema_0006.sql").read_text())

    def unknown(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", unknown)
    with open_store(sqlite_url) as store:
        assert store.backup is not None
        assert store.backup.is_file()


def test_nothing_is_upgraded_that_cannot_be_copied(
    sqlite_url: str, sqlite_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.executescript((_DATA / "schema_0006.sql").read_text())
    before = sqlite_path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autosched.store.database.copy_database", full)
    with pytest.raises(StoreError, match="nothing was changed"):
        open_store(sqlite_url)
    assert sqlite_path.read_bytes() == before
    assert not list(sqlite_path.parent.glob("*.schema-*"))


TODAY = Today("0.81.1", {examples.REVISION}, {examples.REVISION})


def test_what_nothing_of_today_reads_is_counted_and_deleted_by_kind(store: Store) -> None:
    key = examples.probe().key
    old = replace(key.device, ttnn_version="0.70.0")
    keys = [key, replace(key, layer_signature="b", revision="other"), replace(key, device=old)]
    probes.save_probes(store, [replace(examples.probe(), key=key) for key in keys])
    for name, version in (("new", "0.81.1"), ("old", "0.70.0")):
        record = replace(examples.study(), name=name, ttnn_version=version)
        trials.add_trial(store, studies.add_study(store, record), examples.trial())
    found = [
        StaleRows("probes", "of another revision", 1),
        StaleRows("other-ttnn", "probes of another version", 1),
        StaleRows("studies", "old (ttnn 0.70.0)", 1),
    ]
    assert find_stale_rows(store, TODAY) == found
    assert delete_stale_rows(store, TODAY, {"probes"}) == {"probes": 1}
    assert find_stale_rows(store, TODAY) == found[1:]
    assert delete_stale_rows(store, TODAY, {"other-ttnn", "studies"}) == {
        "other-ttnn": 1,
        "studies": 1,
    }
    assert find_stale_rows(store, TODAY) == []
    assert check_database(store).rows["probe"] == 1
    assert [item.study.name for item in studies.list_studies(store)] == ["new"]
