import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from sqlalchemy import inspect, text

from autosched.errors import StoreError
from autosched.store import models as schema
from autosched.store import probes, studies, trials
from autosched.store.database import Store, open_store
from tests.examples import records as examples

_DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def _quiet_optuna() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def test_the_head_is_the_newest_migration() -> None:
    heads = ScriptDirectory(str(schema.migrations_directory())).get_heads()
    assert heads == [schema.HEAD]


def test_models_and_migrations_agree(store: Store) -> None:
    with store.writing() as session:
        session.execute(text("CREATE TABLE somebody_else (id INTEGER)"))
    with store.connection("BEGIN") as connection:
        command.check(schema.alembic_config(connection))


def test_a_downgrade_leaves_no_table_of_ours(store: Store) -> None:
    with store.connection("BEGIN IMMEDIATE") as connection:
        command.downgrade(schema.alembic_config(connection), "base")
    with store.connection("BEGIN") as connection:
        names = inspect(connection).get_table_names()
    assert names == [schema.VERSION_TABLE]


def test_optuna_makes_exactly_the_tables_we_know(sqlite_url: str, sqlite_path: Path) -> None:
    RDBStorage(sqlite_url)
    with closing(sqlite3.connect(sqlite_path)) as connection:
        made = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    assert made == schema.OPTUNA_TABLES


def _add_optuna_trial(url: str) -> None:
    study = optuna.create_study(storage=RDBStorage(url), study_name="mirror", load_if_exists=True)
    study.add_trial(optuna.trial.create_trial(value=1.0))


@pytest.mark.parametrize("optuna_first", [True, False])
def test_optuna_keeps_its_studies_in_the_same_database(url: str, optuna_first: bool) -> None:
    optuna_url = url.replace("postgresql://", "postgresql+psycopg://")
    if optuna_first:
        _add_optuna_trial(optuna_url)
    with open_store(url) as store:
        study = studies.add_study(store, examples.study())
        trials.add_trial(store, study, examples.trial())
        _add_optuna_trial(store.url)
    _add_optuna_trial(optuna_url)
    with open_store(url) as store:
        assert trials.best_trial(store, study) is not None
        with store.connection("BEGIN") as connection:
            command.check(schema.alembic_config(connection))
    mirror = optuna.load_study(study_name="mirror", storage=RDBStorage(optuna_url))
    assert len(mirror.trials) == (3 if optuna_first else 2)


@pytest.mark.parametrize("revision", ["0011", "9999", "a1b2c3"])
def test_a_newer_schema_is_refused(url: str, revision: str) -> None:
    with open_store(url) as store, store.writing() as session:
        session.execute(
            text("UPDATE autosched_alembic_version SET version_num = :new"), {"new": revision}
        )
    with pytest.raises(StoreError, match=rf"newer autosched \(its schema is {revision}"):
        open_store(url)


def test_an_empty_version_table_is_filled(url: str) -> None:
    with open_store(url) as store, store.connection("BEGIN IMMEDIATE") as connection:
        command.downgrade(schema.alembic_config(connection), "base")
    with open_store(url) as store:
        assert studies.list_studies(store) == []


def test_processes_that_create_a_database_at_once_do_not_collide(url: str) -> None:
    script = f"from autosched.store.database import open_store\nopen_store({url!r}).close()"
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert errors == [b"", b""]


@pytest.mark.parametrize("revision", sorted(path.stem[-4:] for path in _DATA.glob("schema_*.sql")))
def test_a_database_of_each_released_schema_is_upgraded(
    sqlite_url: str, sqlite_path: Path, revision: str
) -> None:
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.executescript((_DATA / f"schema_{revision}.sql").read_text())
    with open_store(sqlite_url) as store:
        study = studies.get_study(store, "resnet")
        assert study.settings == examples.study().settings
        ran, rejected = trials.list_trials(store, study, with_ops=True)
        assert ran.schedule == examples.schedule()
        assert ran.ops == examples.trial().ops
        assert ran.started_at == examples.MOMENT
        assert rejected.rejection == examples.REJECTION
        layers = ["layer a", "layer b"]
        unknown = probes.load_probes(store, layers, examples.N150, {""})
        # Their keys are of configurations that said whether they free.
        assert [(probe.config, probe.outcome) for probe in unknown.probes.values()] == [
            (examples.CONFIGS[0], examples.OUTCOME),
            (examples.CONFIGS[0], examples.REJECTION),
        ]
        found = probes.load_probes(store, layers, examples.N150, {examples.REVISION})
        assert (found.probes, found.stale) == ({}, 2)
        probes.save_probes(store, [examples.probe()])
        found = probes.load_probes(store, layers, examples.N150, {examples.REVISION})
        assert (list(found.probes.values()), found.stale) == ([examples.probe()], 2)
        assert probes.purge_stale(store, {examples.REVISION}) == 2
        with store.connection("BEGIN") as opened:
            assert schema.current_revision(opened) == schema.HEAD
            command.check(schema.alembic_config(opened))


def test_what_was_found_on_a_board_s_former_grid_stays_of_that_grid(
    sqlite_url: str, sqlite_path: Path
) -> None:
    with closing(sqlite3.connect(sqlite_path)) as connection:
        connection.executescript((_DATA / "schema_0003.sql").read_text())
        for table in ("autosched_probe", "autosched_study"):
            connection.execute(f"UPDATE {table} SET board = 'p150'")  # noqa: S608
        connection.commit()
    with open_store(sqlite_url) as store:
        assert studies.get_study(store, "resnet").board == "p150-140"
        layers = ["layer a", "layer b"]
        boards = {"p150": 0, "p150-140": 2, "n150": 0}
        for board, count in boards.items():
            device = replace(examples.N150, board=board)
            assert len(probes.load_probes(store, layers, device, {""}).probes) == count
