import json
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from autosched.budget import Budget
from autosched.device.revisions import current_revisions
from autosched.errors import StoreError, StudyError
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import DRAM_TILE, Edge
from autosched.store.database import Store
from autosched.store.optuna_mirror import (
    MIRROR_PREFIX,
    NUMBER,
    OptunaMirror,
    forget_study,
    frozen,
    quiet_optuna,
)
from autosched.store.probes import load_probes
from autosched.store.studies import add_study, list_studies
from autosched.store.trials import TrialRecord
from tests.examples import records as examples
from tests.examples.studied import Studied
from tests.search.test_study import fresh

SCHEDULE = Schedule(
    Provenance("net", "signature", "n150", "0.81.1"), {}, {Edge("a", "b"): DRAM_TILE}
)


def trial(number: int, latency_us: float = 100.0) -> TrialRecord:
    return TrialRecord(
        SCHEDULE,
        "joint",
        datetime.now(timezone.utc),
        0.1,
        latency_us,
        TimeKind.ESTIMATED,
        peak_l1_bytes=4096,
        number=number,
    )


def rejected(number: int) -> TrialRecord:
    words = Rejection(RejectionKind.L1_OVERFLOW, "Out of Memory", "conv1")
    return replace(trial(number), latency_us=None, latency_kind=None, rejection=words)


def mirrored(url: str, name: str = "net-n150") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=MIRROR_PREFIX + name, storage=url).get_trials()


def path_of(url: str) -> str:
    return url.removeprefix("sqlite:///")


def test_trials_have_what_they_chose_as_parameters(store: Store):
    def chosen(schedule: Schedule):
        return {"reshards": len(schedule.reshards)}, {"reshards": IntDistribution(0, 9)}

    with OptunaMirror(store.url, "net-n150", parameters=chosen) as mirror:
        mirror.add(trial(0))
        mirror.add(rejected(1))
    assert [item.params for item in mirrored(store.url)] == [{"reshards": 1}, {"reshards": 1}]


def test_finished_trials_have_their_value_and_figures(store: Store):
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.add(trial(0, 250.0))
        mirror.add(trial(1, 125.5))
    first, second = mirrored(store.url)
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.COMPLETE)
    assert (first.value, second.value) == (250.0, 125.5)
    assert second.user_attrs == {
        NUMBER: 1,
        "sampler": "joint",
        "latency_kind": "estimated",
        "peak_l1_bytes": 4096,
        "reshards": 1,
    }
    assert second.system_attrs["constraints"] == [0.0]
    study = optuna.load_study(study_name=MIRROR_PREFIX + "net-n150", storage=store.url)
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    assert study.best_value == 125.5


def test_rejected_trials_have_failed(store: Store):
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.add(rejected(0))
    (failed,) = mirrored(store.url)
    assert (failed.state, failed.value) == (TrialState.FAIL, None)
    assert failed.user_attrs["rejection"] == "L1 overflow: conv1"


def test_a_trial_that_is_rejected_later_fails_there_too(store: Store):
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.add(trial(0))
        mirror.add(trial(1))
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.catch_up([trial(0), trial(1)])
        mirror.renew([replace(rejected(0), schedule=None), trial(1)], rejected)
        mirror.add(trial(2))
    assert mirror.trouble is None
    states = {item.user_attrs["trial"]: item.state for item in mirrored(store.url)}
    assert states == {0: TrialState.FAIL, 1: TrialState.COMPLETE, 2: TrialState.COMPLETE}


def test_what_is_mirrored_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch):
    recalled: list[int] = []

    def recall(number: int) -> TrialRecord:
        recalled.append(number)
        return trial(number)

    summaries = [replace(trial(number), schedule=None) for number in range(5)]
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.catch_up(summaries[:3], recall)
        mirror.add(trial(3))
    assert recalled == [0, 1, 2]
    with monkeypatch.context() as patched:
        patched.setattr(optuna.storages.RDBStorage, "get_all_trials", None)
        with OptunaMirror(store.url, "net-n150") as mirror:
            mirror.catch_up(summaries[:4], recall)
        assert mirror.trouble is None
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.catch_up(summaries, recall)
    assert recalled == [0, 1, 2, 4]
    assert [item.user_attrs["reshards"] for item in mirrored(store.url)] == [1] * 5


def test_what_a_crash_kept_from_being_mirrored_is_caught_up(store: Store):
    """Trial 1 was stored, but not mirrored, when the process died."""
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.add(trial(0))
        mirror.add(trial(2))
    for new in (3, 4):
        with OptunaMirror(store.url, "net-n150") as mirror:
            mirror.catch_up([trial(0), rejected(1), *(trial(number) for number in range(2, new))])
            mirror.add(trial(new))
    assert [item.user_attrs[NUMBER] for item in mirrored(store.url)] == [0, 2, 1, 3, 4]


def test_studies_of_one_database_are_mirrored_apart(store: Store):
    for name in ("net-n150", "net-p150"):
        with OptunaMirror(store.url, name) as mirror:
            mirror.add(trial(0))
    assert [len(mirrored(store.url, name)) for name in ("net-n150", "net-p150")] == [1, 1]


def own_study(url: str, name: str, trials: int = 2) -> None:
    """What a user made with Optuna itself."""
    with quiet_optuna():
        study = optuna.create_study(storage=url, study_name=name)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)


def own_trials(url: str, name: str) -> list[dict[str, object]]:
    return [trial.params for trial in optuna.load_study(study_name=name, storage=url).trials]


def old_mirror(url: str, name: str, *numbers: int) -> None:
    """What autosched made before its mirrors had a mark: called as the study is."""
    with quiet_optuna():
        study = optuna.create_study(storage=url, study_name=name)
        for number in numbers:
            study.add_trial(frozen(rejected(number) if number % 2 else trial(number)))


@pytest.mark.parametrize("name", ["net-n150", MIRROR_PREFIX + "net-n150"])
@pytest.mark.parametrize("trials", [0, 2])
def test_a_users_own_study_is_left_alone(store: Store, name: str, trials: int):
    """Whatever it is called: no trial is added to it, and it stays when the study is deleted."""
    own_study(store.url, name, trials)
    before = own_trials(store.url, name)
    add_study(store, replace(examples.study(), name="net-n150"))
    for number in (0, 1):
        with OptunaMirror(store.url, "net-n150") as mirror:
            mirror.catch_up([trial(earlier) for earlier in range(number + 1)])
        assert mirror.trouble is None
    assert own_trials(store.url, name) == before
    (made,) = set(optuna.get_all_study_names(store.url)) - {name}
    assert made.startswith(MIRROR_PREFIX + "net-n150")
    assert [
        item.user_attrs[NUMBER]
        for item in optuna.load_study(study_name=made, storage=store.url).trials
    ] == [0, 1]
    forget_study(store, "net-n150")
    assert optuna.get_all_study_names(store.url) == [name]
    assert own_trials(store.url, name) == before


def test_one_that_an_earlier_version_added_trials_to_is_the_users_still(store: Store):
    own_study(store.url, "net-n150")
    with quiet_optuna():
        optuna.load_study(study_name="net-n150", storage=store.url).add_trial(frozen(trial(0)))
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.catch_up([trial(0), trial(1)])
    assert len(own_trials(store.url, "net-n150")) == 3
    assert [item.user_attrs[NUMBER] for item in mirrored(store.url)] == [0, 1]


def test_a_mirror_of_an_earlier_version_goes_on(store: Store):
    old_mirror(store.url, "net-n150", 0, 1)
    add_study(store, replace(examples.study(), name="net-n150"))
    for numbers in ((0, 1, 2), (0, 1, 2, 3)):
        with OptunaMirror(store.url, "net-n150") as mirror:
            mirror.catch_up([trial(number) for number in numbers])
    assert optuna.get_all_study_names(store.url) == ["net-n150"]
    study = optuna.load_study(study_name="net-n150", storage=store.url)
    assert [item.user_attrs[NUMBER] for item in study.trials] == [0, 1, 2, 3]
    forget_study(store, "net-n150")
    assert optuna.get_all_study_names(store.url) == []


def test_and_goes_with_its_study_when_nothing_went_on(store: Store):
    old_mirror(store.url, "net-n150", 0, 1)
    own_study(store.url, "other")
    add_study(store, replace(examples.study(), name="net-n150"))
    forget_study(store, "net-n150")
    assert optuna.get_all_study_names(store.url) == ["other"]


def test_after_the_first_trouble_nothing_is_waited_for_again(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
):
    """Each of a thousand trials would wait as long as a lock is waited for."""
    tried: list[int] = []

    def locked(_: OptunaMirror, trial: TrialRecord) -> None:
        tried.append(trial.number or 0)
        raise OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr(OptunaMirror, "_add", locked)
    with OptunaMirror(sqlite_store.url, "net-n150") as mirror:
        for number in range(20):
            mirror.add(trial(number))
    assert tried == [0]
    assert "is locked: another process" in str(mirror.trouble)
    monkeypatch.undo()
    with OptunaMirror(sqlite_store.url, "net-n150") as later:
        later.catch_up([trial(number) for number in range(20)])
    assert later.trouble is None
    assert len(mirrored(sqlite_store.url)) == 20


def test_a_locked_database_is_a_clear_error_at_the_end(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("autosched.store.optuna_mirror.LOCK_TIMEOUT_S", 0.1)
    mirror = OptunaMirror(sqlite_store.url, "net-n150")
    with closing(sqlite3.connect(path_of(sqlite_store.url), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        mirror.add(trial(0))
        with pytest.raises(StoreError, match=r"store.sqlite3 is locked: another process"):
            mirror.close()
    with OptunaMirror(sqlite_store.url, "net-n150") as later:
        later.catch_up([trial(0)])
    assert len(mirrored(sqlite_store.url)) == 1


def test_tables_of_another_optuna_are_a_clear_error(sqlite_store: Store):
    with OptunaMirror(sqlite_store.url, "net-n150") as mirror:
        mirror.add(trial(0))
    with closing(sqlite3.connect(path_of(sqlite_store.url))) as other, other:
        other.execute("UPDATE alembic_version SET version_num = 'v99.0.a'")
    mirror = OptunaMirror(sqlite_store.url, "net-n150")
    mirror.add(trial(1))
    with pytest.raises(StoreError, match=r"store.sqlite3: Optuna cannot mirror the trials: "):
        mirror.close()


def interrupted_search(url: str) -> None:
    with OptunaMirror(url, "net-n150") as mirror:
        mirror.add(trial(0))
        raise KeyboardInterrupt


def test_what_ended_the_search_goes_before_the_mirrors_trouble(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("autosched.store.optuna_mirror.LOCK_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(path_of(sqlite_store.url), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(KeyboardInterrupt):
            interrupted_search(sqlite_store.url)


def test_trouble_never_ends_the_search(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Whatever it is: what was searched is stored."""

    def broken(**_: object) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr("autosched.store.optuna_mirror.optuna.create_study", broken)
    with OptunaMirror(store.url, "net-n150") as mirror:
        mirror.add(trial(0))
    assert "Optuna cannot mirror the trials: 'nobody thought of this'" in str(mirror.trouble)


def test_a_limited_search_does_not_wait_for_its_mirror(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(OptunaMirror, "_add", lambda *_: time.sleep(0.5))
    begin = time.monotonic()
    with OptunaMirror(store.url, "net-n150", Budget.of(0)) as mirror:
        for number in range(40):
            mirror.add(trial(number))
    assert time.monotonic() - begin < 10
    assert mirror.trouble is None


def test_nor_for_what_an_earlier_one_left(store: Store, monkeypatch: pytest.MonkeyPatch):
    written: list[int] = []

    def slow(_: OptunaMirror, trial: TrialRecord) -> None:
        time.sleep(0.5)
        written.append(trial.number or 0)

    monkeypatch.setattr(OptunaMirror, "_add", slow)
    with OptunaMirror(store.url, "net-n150", Budget.of(0)) as mirror:
        mirror.catch_up([trial(number) for number in range(40)])
    assert len(written) < 20
    assert mirror.trouble is None


def test_optuna_is_as_talkative_afterwards_as_before():
    """Also where two threads keep it quiet, and the first to begin ends first."""
    before = optuna.logging.get_verbosity()
    first, second = quiet_optuna(), quiet_optuna()
    for one in (first, second):
        one.__enter__()
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    for one in (first, second):
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
        one.__exit__(None, None, None)
    assert optuna.logging.get_verbosity() == before != optuna.logging.ERROR


def test_a_study_is_mirrored_while_it_runs(studied: Studied):
    mirror = mirrored(studied.url, studied.record.name)
    assert [item.user_attrs[NUMBER] for item in mirror] == [0, 1, 2, 3]
    assert [item.value for item in mirror] == [record.latency_us for record in studied.trials]


@contextmanager
def dashboard(url: str, directory: Path) -> Iterator[str]:
    """The address of a real optuna-dashboard, on a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).parent / "optuna-dashboard"
    log = (directory / "dashboard.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [program, url, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            end = time.monotonic() + 60
            while not is_listening(port) and server.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def get(address: str) -> dict[str, object]:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - loopback
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_optuna_dashboard_shows_the_study(studied: Studied, tmp_path: Path):
    with dashboard(studied.url, tmp_path) as address:
        studies = get(f"{address}/api/studies")["study_summaries"]
        assert isinstance(studies, list)
        ours = next(
            item for item in studies if item["study_name"] == MIRROR_PREFIX + studied.record.name
        )
        assert ours["directions"] == ["minimize"]
        detail = get(f"{address}/api/studies/{ours['study_id']}?after=0")
    trials = detail["trials"]
    assert isinstance(trials, list)
    assert [item["state"] for item in trials] == ["Complete"] * 4
    assert trials[1]["values"] == [pytest.approx(studied.trials[1].latency_us)]


def test_a_study_goes_with_its_mirror_and_leaves_its_probes(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        study.optimize(trials=2)
        signatures = [study.network.layer_signature(layer) for layer in study.network]
    assert MIRROR_PREFIX + "fresh" in optuna.get_all_study_names(probed.url)
    forget_study(probed, "fresh")
    assert MIRROR_PREFIX + "fresh" not in optuna.get_all_study_names(probed.url)
    assert "fresh" not in [item.study.name for item in list_studies(probed)]
    assert load_probes(probed, signatures, study._book._key, current_revisions()).probes
    with pytest.raises(StudyError, match="there is no study 'fresh'"):
        forget_study(probed, "fresh")


def test_a_mirror_of_another_optuna_is_a_clear_error(studied: Studied, probed: Store):
    """The study itself is gone all the same."""
    fresh(studied, probed).close()
    with probed.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'v99.0.a'"))
    with pytest.raises(StoreError, match=r"'fresh' is deleted, but Optuna cannot delete its"):
        forget_study(probed, "fresh")
    assert "fresh" not in [item.study.name for item in list_studies(probed)]


def test_a_locked_mirror_is_a_clear_error(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
):
    fresh(studied, probed).close()
    with OptunaMirror(probed.url, "fresh") as mirror:
        mirror.add(trial(0))

    def locked(**_: object) -> None:
        raise StorageInternalError from OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr("autosched.store.optuna_mirror.optuna.delete_study", locked)
    with pytest.raises(StoreError, match="is locked: another process"):
        forget_study(probed, "fresh")


def test_a_study_without_a_mirror(studied: Studied, probed: Store):
    fresh(studied, probed).close()
    forget_study(probed, "fresh")
    assert "fresh" not in [item.study.name for item in list_studies(probed)]
