"""A database that many processes use for the first time at once."""

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from autosched.store.database import open_store
from autosched.store.optuna_mirror import MIRROR_PREFIX, NUMBER
from autosched.store.optuna_tables import opened_optuna

PROCESSES = 12
# One process imports, and the others are its copies: all begin in the same millisecond.
_OPENERS = textwrap.dedent("""
    import json, os, sys, time, traceback
    from datetime import datetime, timezone
    from autosched.schedule.outcomes import TimeKind
    from autosched.store.database import open_store
    from autosched.store.optuna_mirror import OptunaMirror
    from autosched.store.trials import TrialRecord

    url, number = sys.argv[1], int(sys.argv[2])
    begin = time.monotonic() + 0.3

    def first_use(mine):
        now = datetime.now(timezone.utc)
        trial = TrialRecord(None, "joint", now, 0.1, 1.0, TimeKind.ESTIMATED, number=mine)
        time.sleep(begin - time.monotonic())
        with open_store(url) as store, OptunaMirror(store.url, "net") as mirror:
            mirror.catch_up([trial])
        assert mirror.trouble is None, mirror.trouble

    children = []
    for mine in range(number):
        child = os.fork()
        if not child:
            try:
                first_use(mine)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
""")


def test_a_dozen_processes_meet_an_empty_database(url: str) -> None:
    """Our tables, Optuna's and the mirror are made once, and every trial is there."""
    done = subprocess.run(
        [sys.executable, "-c", _OPENERS, url, str(PROCESSES)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0] * PROCESSES, done.stderr
    with open_store(url) as store:
        assert optuna.get_all_study_names(store.url) == [f"{MIRROR_PREFIX}net"]
        study = optuna.load_study(study_name=f"{MIRROR_PREFIX}net", storage=store.url)
    assert sorted(item.user_attrs[NUMBER] for item in study.trials) == list(range(PROCESSES))


def test_whoever_creates_without_our_lock_is_waited_for(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As optuna-dashboard does, opened at the same moment."""
    opened = optuna.storages.RDBStorage
    races = [
        OperationalError("", {}, Exception("table trials already exists")),
        IntegrityError("", {}, Exception("UNIQUE constraint failed: alembic_version.version_num")),
    ]

    def racing(*args: object, **more: object) -> object:
        if races:
            raise races.pop()
        return opened(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("autosched.store.optuna_tables.RDBStorage", racing)
    with opened_optuna(sqlite_url, 5.0) as storage:
        assert storage.get_all_studies() == []
    assert not races


def test_what_is_no_race_is_not_tried_again(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def locked(*_: object, **__: object) -> None:
        tries.append(1)
        raise OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr("autosched.store.optuna_tables.RDBStorage", locked)
    with pytest.raises(OperationalError), opened_optuna(sqlite_url, 5.0):
        pass
    assert len(tries) == 1


def test_one_after_the_other_is_inside(url: str) -> None:
    inside: list[str] = []

    def enter(name: str) -> None:
        with opened_optuna(url, 60.0):
            inside.append(f"{name} in")
            time.sleep(0.05)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=enter, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [word[2:] for word in inside] == ["in", "out"] * 3
    assert [word[0] for word in inside[::2]] == [word[0] for word in inside[1::2]]


def test_a_lock_that_is_never_given_back_does_not_hold_it_up(url: str) -> None:
    with opened_optuna(url, 5.0), opened_optuna(url, 0.2) as storage:
        assert storage.get_all_studies() == []


def test_nothing_else_is_left_beside_the_file(sqlite_url: str, sqlite_path: Path) -> None:
    with opened_optuna(sqlite_url, 5.0):
        pass
    with closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    assert {name.partition("-")[0] for name in os.listdir(sqlite_path.parent)} == {sqlite_path.name}
