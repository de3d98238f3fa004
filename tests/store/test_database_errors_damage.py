"""Rows that another program, a failing disk or an attacker has changed."""

import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from autosched.errors import StoreError
from autosched.schedule.outcomes import Verdict
from autosched.service.submissions import add_submission, list_submissions
from autosched.store.calibrations import CalibrationRecord, list_calibrations, save_calibration
from autosched.store.database import Store, open_store
from autosched.store.executions import (
    ExecutionKey,
    ExecutionRecord,
    ExecutionSite,
    find_executions,
    save_execution,
)
from autosched.store.merging import merge_databases
from autosched.store.optuna_mirror import forget_study
from autosched.store.probes import load_probes, save_probes
from autosched.store.purging import find_damaged, purge_damaged
from autosched.store.studies import add_study, find_study, get_study, list_studies
from autosched.store.trials import add_trial, best_trial, list_trials
from tests.examples import records as examples

SITE = ExecutionSite("wormhole_b0", "0.81.1", "simulated", "sfpi")
NESTED = zlib.compress(b'{"layouts":[],"value":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


def bomb(size: int = 3 << 30) -> bytes:
    """Three GiB of blanks in three MiB."""
    block = b" " * (1 << 22)
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one of everything, as it should be."""
    path = tmp_path_factory.mktemp("whole") / "store.sqlite3"
    with open_store(f"sqlite:///{path}") as store:
        save_probes(store, [examples.probe()])
        study = add_study(store, examples.study())
        add_trial(store, study, examples.trial())
        add_trial(store, study, examples.rejected_trial())
        save_calibration(store, CalibrationRecord("wormhole_b0", "0.81.1", "mine", {"a": 1}))
        key = ExecutionKey("layer", "config", "inputs", "revision", SITE)
        save_execution(store, key, ExecutionRecord(Verdict.RIGHT, 0.9, 0.9))
        add_submission(store, examples.submission("resnet"), "")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


def read_probes(store: Store) -> object:
    key = examples.probe().key
    return load_probes(store, [key.layer_signature], key.device, [key.revision])


def read_trials(store: Store) -> object:
    return list_trials(store, get_study(store, "resnet"), with_schedules=True, with_ops=True)


def read_best(store: Store) -> object:
    return best_trial(store, get_study(store, "resnet"))


def merge(store: Store) -> object:
    with open_store(f"sqlite:///{store.describe()}-target") as target:
        return merge_databases(store, target)


READERS: dict[str, Callable[[Store], object]] = {
    "probes": read_probes,
    "trials": read_trials,
    "best": read_best,
    "studies": list_studies,
    "study": lambda store: find_study(store, "resnet"),
    "calibrations": list_calibrations,
    "executions": lambda store: find_executions(store, SITE, ["revision"]),
    "submissions": list_submissions,
    "merge": merge,
}
TRIAL, PROBE, STUDY = "autosched_trial", "autosched_probe", "autosched_study"


@pytest.mark.parametrize(
    ("table", "column", "value", "readers"),
    [
        (STUDY, "settings", "no JSON", "studies study merge"),
        (STUDY, "settings", "[1]", "studies study merge"),
        (STUDY, "settings", "[" * 200_000, "studies study merge"),
        (STUDY, "created_at", "yesterday", "studies study merge"),
        (STUDY, "created_at", 7, "studies study merge"),
        (STUDY, "batch", "many", "studies study merge"),
        (TRIAL, "latency_us", None, "studies trials"),
        (TRIAL, "latency_us", 9e999, "studies trials best merge"),
        (TRIAL, "latency_us", "fast", "studies trials best merge"),
        (TRIAL, "latency_kind", "guessed", "studies trials best merge"),
        (TRIAL, "latency_kind", None, "studies trials"),
        (TRIAL, "state", "half", "studies merge"),
        (TRIAL, "started_at", "0000-99-99", "trials best merge"),
        (TRIAL, "duration_s", 9e999, "trials best merge"),
        (TRIAL, "peak_l1_bytes", "x", "trials best merge"),
        (TRIAL, "number", "x", "trials best merge"),
        (TRIAL, "schedule", b"no zlib", "trials best merge"),
        (TRIAL, "schedule", "text", "trials best merge"),
        (TRIAL, "schedule", NESTED, "trials best merge"),
        (TRIAL, "ops", NESTED, "trials best merge"),
        (PROBE, "rejection", "dislike", "probes merge"),
        (PROBE, "config", "{", "probes merge"),
        (PROBE, "config", "3", "probes merge"),
        (PROBE, "config", '{"kind": "new"}', "probes"),
        (PROBE, "input_layouts", "{}", "probes merge"),
        (PROBE, "input_layouts", "[" * 200_000 + "]" * 200_000, "probes merge"),
        (PROBE, "outcome", NESTED, "probes merge"),
        ("autosched_calibration", "coefficients", "no JSON", "calibrations merge"),
        ("autosched_calibration", "created_at", "", "calibrations merge"),
        ("autosched_execution", "verdict", "unheard of", "executions merge"),
        ("autosched_execution", "pcc", "x", "executions merge"),
        ("autosched_submission", "status", "lost", "submissions merge"),
        ("autosched_submission", "options", "[1]", "submissions merge"),
        ("autosched_submission", "run_s", "long", "submissions merge"),
    ],
)
def test_a_damaged_row_is_named_by_whoever_reads_it(
    whole: Path, tmp_path: Path, table: str, column: str, value: object, readers: str
) -> None:
    path = tmp_path / "damaged.sqlite3"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = 1", [value])  # noqa: S608
    with open_store(f"sqlite:///{path}") as store:
        for name in readers.split():
            with pytest.raises(StoreError) as caught:
                READERS[name](store)
            text = str(caught.value)
            assert f"damaged.sqlite3: {table} 1" in text
            assert len(text) < 1000
            way_out = (
                "autosched delete resnet" if table == STUDY else "autosched db purge --damaged"
            )
            assert way_out in text
        if table == STUDY:
            forget_study(store, "resnet")
        else:
            found = find_damaged(store)
            assert found[table].unreadable == [1]
            assert sum(map(len, found.values())) == 1
            purge_damaged(store, found)
        for name, read in READERS.items():
            if table != STUDY or name not in {"trials", "best"}:
                read(store)


def test_a_bomb_stays_small(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.sqlite3"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE autosched_probe SET outcome = ?", [bomb()])
    with open_store(f"sqlite:///{path}") as store:
        for read in (read_probes, merge):
            with pytest.raises(StoreError, match=f"{PROBE} 1: .*more than 64 MiB"):
                read(store)


def test_a_trial_without_its_study(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.sqlite3"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE autosched_trial SET study_id = 9 WHERE id = 2")
    with open_store(f"sqlite:///{path}") as store:
        with pytest.raises(StoreError, match=rf"{TRIAL} 2: .*there is no study 9"):
            list_studies(store)
        found = find_damaged(store)
        assert found[TRIAL].orphans == [2]
        purge_damaged(store, found)
        assert [summary.trials for summary in list_studies(store)] == [1]


def test_a_trial_whose_study_is_there_meanwhile_stays(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.sqlite3"
    shutil.copy(whole, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE autosched_trial SET study_id = 2 WHERE id = 2")
    with open_store(f"sqlite:///{path}") as store:
        found = find_damaged(store)
        assert found[TRIAL].orphans == [2]
        assert add_study(store, examples.study("meanwhile")).id == 2
        purge_damaged(store, found)
        assert [summary.trials for summary in list_studies(store)] == [1, 1]


def test_nothing_is_damaged_where_nothing_is(whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole, tmp_path / "copy.sqlite3")
    with open_store(f"sqlite:///{tmp_path}/copy.sqlite3") as store:
        assert not any(find_damaged(store).values())
        for read in READERS.values():
            read(store)
