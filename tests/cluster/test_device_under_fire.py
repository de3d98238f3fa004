"""A search on a cluster whose parts are killed at any moment: nothing finished is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from autosched.store import models
from autosched.store.database import open_store
from tests.cluster.laboratory import scheduler
from tests.device.conftest import ROOT

KILLS = int(os.environ.get("AUTOSCHED_SOAK_KILLS", "200"))
NETWORK = ROOT / "studies" / "lenet.py"
_MOST_S = 60.0 * KILLS

pytestmark = [pytest.mark.soak, pytest.mark.timeout(_MOST_S + 600)]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "autosched.cli.main", *words]


@contextmanager
def process(log: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as out:
        child = subprocess.Popen(
            command(*words), stdout=out, stderr=out, cwd=log.parent, start_new_session=True
        )
    try:
        yield child
    finally:
        end(child)


def end(child: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def finished(url: str) -> tuple[set[tuple[str, ...]], set[str]]:
    """Probes by what they are of, and trials by number and schedule."""
    with open_store(url) as store, store.reading() as session:
        row = models.ProbeRow
        probes = session.execute(
            select(row.layer_signature, row.config_digest, row.inputs_digest, row.rejection)
        ).all()
        trials = session.execute(select(models.TrialRow.number, models.TrialRow.fingerprint)).all()
    names = [tuple(str(part) for part in probe[:3]) for probe in probes]
    assert len(set(names)) == len(names)
    return set(names), {f"{number} {fingerprint}" for number, fingerprint in trials}


class Search:
    """``autosched run --cluster``, started again and again; ``url`` is where its study is."""

    def __init__(self, directory: Path, address: str) -> None:
        self.directory = directory
        self.address = address
        self.runs = self.studies = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Search in a new database."""
        self.studies += 1
        self.url = f"sqlite:///{self.directory}/{self.studies}.sqlite3"
        self.seen: tuple[set[tuple[str, ...]], set[str]] = set(), set()
        self.again()

    def again(self) -> None:
        """Go on with what is there."""
        words = (
            *("run", str(NETWORK), "--effort", "quick", "--trials", "8", "--seed", "3"),
            *("--study", "victim", "--storage", self.url, "--cluster", self.address, "--json"),
        )
        self.runs += 1
        with (
            (self.directory / "search.json").open("wb") as out,
            (self.directory / "search.log").open("ab") as log,
        ):
            self.child = subprocess.Popen(
                command(*words),
                stdout=out,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )

    def log(self) -> str:
        return (self.directory / "search.log").read_text()[-3000:]

    def result(self) -> dict[str, Any]:
        assert self.child.wait(900) == 0, self.log()
        found: dict[str, Any] = json.loads((self.directory / "search.json").read_text())
        return found

    def check(self) -> None:
        """Raise AssertionError if anything that was finished is gone."""
        now = finished(self.url)
        assert self.seen[0] <= now[0]
        assert self.seen[1] <= now[1]
        self.seen = now


def victims(search: Search, workers: list["subprocess.Popen[bytes]"]) -> dict[str, list[int]]:
    devices = []
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            devices += [child.pid for child in psutil.Process(worker.pid).children(recursive=True)]
    return {
        "search": [search.child.pid],
        "worker": [worker.pid for worker in workers],
        "device": devices,
    }


def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    chosen = random.Random(int(os.environ.get("AUTOSCHED_SOAK_SEED", "0")))
    killed = {"search": 0, "worker": 0, "device": 0}
    with ExitStack() as opened:
        address, _scheduler = opened.enter_context(scheduler(tmp_path))
        words = ("worker", address, "--device", "mock", "--jobs", "1")
        started = [opened.enter_context(ExitStack()) for _ in range(2)]
        log = tmp_path / "workers.log"
        workers = [one.enter_context(process(log, *words)) for one in started]
        search = Search(tmp_path, address)
        opened.callback(lambda: end(search.child))
        while sum(killed.values()) < KILLS:
            time.sleep(chosen.uniform(0.2, 8.0))
            if search.child.poll() is not None:
                assert search.child.returncode == 0, search.log()
                search.check()
                search.begin_anew()
                continue
            kind = chosen.choice(["search", "worker", "device", "device"])
            if not (found := victims(search, workers)[kind]):
                continue
            with suppress(ProcessLookupError):
                os.kill(chosen.choice(found), signal.SIGKILL)
                killed[kind] += 1
            if kind == "worker":
                for number, one in enumerate(started):
                    if not psutil.pid_exists(workers[number].pid) or workers[number].poll():
                        one.close()
                        workers[number] = one.enter_context(process(log, *words))
            if kind == "search":
                search.child.wait()
                search.check()
                search.again()
        disturbed = search.result()
        search.check()
        runs, studies = search.runs, search.studies
        search.begin_anew()
        undisturbed = search.result()
    print(f"killed {killed}; {runs} runs for {studies} studies")  # noqa: T201 - of a soak
    assert disturbed["latency_us"] == pytest.approx(undisturbed["latency_us"])
    assert disturbed["bound_us"] == pytest.approx(undisturbed["bound_us"])


def test_no_process_of_a_device_is_left(tmp_path: Path) -> None:
    """A worker that is killed takes its devices with it."""
    with scheduler(tmp_path) as (address, _scheduler), ExitStack() as opened:
        log = tmp_path / "workers.log"
        child = opened.enter_context(process(log, "worker", address, "--device", "mock"))
        search = Search(tmp_path, address)
        opened.callback(lambda: end(search.child))
        deadline = time.monotonic() + 60
        while not (devices := psutil.Process(child.pid).children(recursive=True)):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        gone, alive = psutil.wait_procs(devices, timeout=20)
        assert gone
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
