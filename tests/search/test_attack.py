"""An attack on a search: its device fails in every way, and its process is killed over and over.

Bounded in time; each run prints the seeds it took, with which it is found again.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from autosched.budget import UNLIMITED, Budget
from autosched.device.pool import DevicePool
from autosched.device.worker import WorkerDevice
from autosched.errors import AutoschedError, DeviceError, MachineError, TimeUpError
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.search.open_study import open_study
from autosched.store import models
from autosched.store.database import Store, open_store
from autosched.store.purging import Turned, purge_turned_down
from autosched.store.trials import DEFAULT_SAMPLER, TrialRecord, list_trials
from tests.examples.devices import Delegate, TableDevice
from tests.examples.networks import BOARD, residual
from tests.examples.studied import QUICK, Studied
from tests.search.test_killing import ROOT, killed_when
from tests.search.test_killing import pickled as pickled  # noqa: PLC0414 - a fixture
from tests.search.victim import NAME

LASTS_S = float(os.environ.get("AUTOSCHED_SOAK_S", "60"))
_PASSING = (RejectionKind.CRASH, RejectionKind.HANG, RejectionKind.UNCLASSIFIED)
_TRIALS = 4


class Faulty(Delegate):
    """Answers as the device behind it, but fails once in so many answers, in any way."""

    def __init__(self, device: TableDevice, seed: int, once_in: int) -> None:
        super().__init__(device)
        self._random = random.Random(seed)
        self._once_in = once_in
        self.failures = 0

    def probe(self, request: Any, budget: Budget = UNLIMITED) -> Any:
        return self._failed() or super().probe(request, budget)

    def reshard(self, request: Any, budget: Budget = UNLIMITED) -> Any:
        return self._failed() or super().reshard(request, budget)

    def run(self, schedule: Any, budget: Budget = UNLIMITED) -> Any:
        return self._failed() or super().run(schedule, budget)

    def _failed(self) -> Rejection | None:
        if self._random.randrange(self._once_in):
            return None
        self.failures += 1
        errors: list[BaseException] = [
            MachineError("No space left on device"),
            DeviceError("the worker cannot be started"),
            TimeUpError("time is up"),
            KeyboardInterrupt(),
            OSError(12, "Cannot allocate memory"),
        ]
        # Mostly what a search goes on after.
        kind = self._random.randrange(20)
        if kind < len(errors):
            raise errors[kind]
        return Rejection(_PASSING[kind % len(_PASSING)], f"failure {self.failures}")


def seeds(lasts_s: float = LASTS_S) -> Iterator[int]:
    """Yield seeds until the time is up, at least one."""
    end = time.monotonic() + lasts_s
    seed = int(os.environ.get("AUTOSCHED_SOAK_SEED", "0"))
    while True:
        print(f"seed {seed}", flush=True)  # noqa: T201 - a failure is found again with it
        yield seed
        seed += 1
        if time.monotonic() > end:
            return


def true_rejections(studied: Studied) -> set[str]:
    """What the mock device itself turned down."""
    answers = (*studied.records.probes.values(), *studied.records.reshards.values())
    return {answer.kind.value for answer in answers if isinstance(answer, Rejection)}


def stored_rejections(store: Store) -> set[str]:
    with store.reading() as session:
        return {kind for kind in session.scalars(select(models.ProbeRow.rejection)) if kind}


def check_trials(trials: list[TrialRecord]) -> None:
    """Raise AssertionError unless they are numbered without gaps, and none ran twice in vain."""
    assert [trial.number for trial in trials] == list(range(len(trials)))
    complete = [trial.fingerprint for trial in trials if trial.rejection is None]
    assert len(set(complete)) == len(complete)


@pytest.mark.soak
@pytest.mark.timeout(LASTS_S + 240)
def test_whatever_a_device_fails_at_no_failure_becomes_a_fact(
    studied: Studied, tmp_path: Path
) -> None:
    """After any number of failing runs, a healthy one finds what a study without failures found."""
    truly = true_rejections(studied)
    for seed in seeds():
        chosen = random.Random(seed)
        url = f"sqlite:///{tmp_path / str(seed)}.sqlite3"
        with open_store(url) as store:
            for _ in range(chosen.randrange(1, 6)):
                device = Faulty(studied.device(), chosen.randrange(1 << 30), chosen.choice([9, 99]))
                try:
                    with open_study(store, residual(), "n150", QUICK, NAME, device) as study:
                        study.optimize(trials=_TRIALS)
                        record = study.record
                except (AutoschedError, KeyboardInterrupt, OSError):
                    pass
                assert stored_rejections(store) <= {*truly, RejectionKind.HANG.value}
            hung = Turned([RejectionKind.HANG.value, RejectionKind.CRASH.value])
            purge_turned_down(store, hung)
            with open_study(store, residual(), "n150", QUICK, NAME, studied.device()) as study:
                best = study.optimize(trials=2 * _TRIALS)
                record = study.record
                assert study.bound_us == pytest.approx(studied.bound_us)
            trials = list_trials(store, record)
            assert best is not None
            assert best.latency_us == pytest.approx(studied.best.latency_us)
            complete = [item.fingerprint for item in trials if item.rejection is None]
            assert len(set(complete)) == len(complete)
            assert stored_rejections(store) <= truly


@pytest.mark.soak
@pytest.mark.timeout(LASTS_S + 240)
def test_however_often_it_is_killed_nothing_finished_is_lost(
    studied: Studied, pickled: Path, tmp_path: Path
) -> None:
    """Then one run more finds what a study that was never killed found."""
    url = f"sqlite:///{tmp_path}/killed.sqlite3"
    probes, trials = 0, 0
    for seed in seeds():
        chosen = random.Random(seed)
        kinds, count = chosen.choice(
            [(("probe", "reshard"), chosen.randrange(1, 60)), (("run",), chosen.randrange(1, 8))]
        )
        if probes == studied.counts.run:
            kinds, count = ("run",), chosen.randrange(1, 8)
        killed_when(pickled, url, kinds, count)
        with open_store(url) as store, store.reading() as session:
            now = len(session.scalars(select(models.ProbeRow.id)).all())
            there = len(session.scalars(select(models.TrialRow.id)).all())
        assert now >= probes
        assert there >= trials
        probes, trials = now, there
    with (
        open_store(url) as store,
        open_study(store, residual(), "n150", QUICK, NAME, studied.device()) as study,
    ):
        best = study.optimize(trials=_TRIALS)
        found = list_trials(store, study.record)
    assert best is not None
    assert best.latency_us == pytest.approx(studied.best.latency_us)
    check_trials(found)
    assert [trial.sampler for trial in found].count(DEFAULT_SAMPLER) == 1


@pytest.mark.soak
@pytest.mark.timeout(LASTS_S + 240)
def test_workers_that_are_killed_cost_no_more_than_their_answers(
    studied: Studied, tmp_path: Path
) -> None:
    """Real workers of the mock device, each killed whenever it comes to mind."""
    url = f"sqlite:///{tmp_path}/workers.sqlite3"
    truly = true_rejections(studied)
    chosen, stop, killed = random.Random(0), threading.Event(), 0

    def kill_now_and_then(workers: list[WorkerDevice]) -> None:
        nonlocal killed
        while not stop.wait(chosen.uniform(0.2, 6.0)):
            worker = chosen.choice(workers)
            if worker.pid is not None:
                killed += 1
                worker.kill()

    with open_store(url) as store:
        for _seed in seeds():
            workers = [WorkerDevice(BOARD) for _ in range(2)]
            stop.clear()
            killer = threading.Thread(target=kill_now_and_then, args=(workers,))
            killer.start()
            try:
                with (
                    DevicePool(workers) as pool,
                    open_study(store, residual(), "n150", QUICK, NAME, pool) as study,
                ):
                    study.optimize(trials=_TRIALS)
            except DeviceError:
                pass  # lost too often in a row
            finally:
                stop.set()
                killer.join()
            assert stored_rejections(store) <= truly
        assert killed
        with open_study(store, residual(), "n150", QUICK, NAME, studied.device()) as study:
            best = study.optimize(trials=2 * _TRIALS)
    assert best is not None
    assert best.latency_us == pytest.approx(studied.best.latency_us)


@pytest.mark.soak
@pytest.mark.timeout(LASTS_S + 240)
def test_searches_that_share_a_database_and_are_killed_share_all_they_finished(
    studied: Studied, pickled: Path, tmp_path: Path
) -> None:
    """Three at a time on one study, killed at any moment."""
    url = f"sqlite:///{tmp_path}/shared.sqlite3"
    open_store(url).close()
    for seed in seeds():
        chosen = random.Random(seed)
        victims = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.search.victim", pickled, url],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                start_new_session=True,
            )
            for _ in range(3)
        ]
        time.sleep(chosen.uniform(2.0, 8.0))
        for victim in victims:
            assert victim.poll() is None, victim.communicate()[1].decode()[-2000:]
            os.kill(victim.pid, signal.SIGKILL)
            victim.communicate()
    with (
        open_store(url) as store,
        open_study(store, residual(), "n150", QUICK, NAME, studied.device()) as study,
    ):
        study.optimize(trials=_TRIALS)
        found = list_trials(store, study.record, with_ops=True)
        with store.reading() as session:
            keys = session.execute(
                select(
                    models.ProbeRow.layer_signature,
                    models.ProbeRow.config_digest,
                    models.ProbeRow.inputs_digest,
                )
            ).all()
    assert [trial.number for trial in found] == list(range(len(found)))
    assert all(trial.ops for trial in found if trial.rejection is None)
    assert len(set(keys)) == len(keys)
