"""A search that is killed loses nothing that was finished, and comes to the same end."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from autosched.bench.speed import family
from autosched.store.database import Store, open_store
from autosched.store.models import ProbeRow
from autosched.store.probes import KEY_COLUMNS
from autosched.store.studies import find_study
from autosched.store.trials import list_trials
from tests.accept.commands import SMALL, autosched, database, workplace
from tests.accept.frame import ROOT
from tests.accept.promise import EQUAL_PERCENT, Figures, Kind, Limit, Promise, off_percent
from tests.cli.conftest import command

# Seconds that each search is left at work at most: some are killed while they probe.
LATEST_S = (0.4, 0.4, 0.4, 0.4, 6.0, 6.0, 6.0, 6.0)
WORKER_FIRST_S = 0.6
KILLS = len(LATEST_S)
STUDY = "killed"
_WORKER = b"autosched.device.worker_process"
_START_S = 60.0
_LOOK_EVERY_S = 0.1
HIT = f"kills that hit a search at work, of {KILLS}"
PROBING = "of these, while it was probing"
LOST_TRIALS, LOST_PROBES = "finished trials lost", "finished probes lost"
AGAIN = "trials that ran twice"
NUMBERS = "trial numbers that are missing or stand twice"
LATENCY = "best latency beside that of an undisturbed search"
BOUND = "lower bound beside that of an undisturbed search"


@dataclass(frozen=True)
class Stored:
    """What a database holds: keys of probes, and trials as number, fingerprint and kind of end."""

    probes: frozenset[tuple[str, ...]]
    trials: tuple[tuple[int | None, str, str], ...]

    @classmethod
    def of(cls, url: str) -> "Stored":
        with open_store(url) as store:
            return cls(_probes(store), _trials(store))


def _probes(store: Store) -> frozenset[tuple[str, ...]]:
    columns = [getattr(ProbeRow, name) for name in KEY_COLUMNS]
    with store.reading() as session:
        return frozenset(tuple(row) for row in session.execute(select(*columns)))


def _trials(store: Store) -> tuple[tuple[int | None, str, str], ...]:
    study = find_study(store, STUDY)
    trials = [] if study is None else list_trials(store, study)
    return tuple((trial.number, trial.fingerprint, trial.state) for trial in trials)


@dataclass(frozen=True)
class Losses:
    """What a kill cost, whether it hit a search at work, and whether that was probing still."""

    hit: bool
    probing: bool
    trials: int
    probes: int


def search(net: Path, url: str, *more: str) -> tuple[str, ...]:
    """The arguments of a search that is to be killed, or not."""
    fixed = ("--device", "mock", "--effort", "quick", "--study", STUDY, "--storage", url)
    return ("run", str(net), *fixed, *more)


@contextmanager
def started(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A search of its own process group, which is over at the end."""
    victim = subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        yield victim
    finally:
        victim.kill()
        victim.wait()


def workers(pid: int) -> list[int]:
    """The device workers of a search."""
    return [other for other in family(pid) if other != pid and _WORKER in _command_line(other)]


def _command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def killed(net: Path, url: str, moment_s: float, worker_first: float | None) -> Losses:
    """Kill a search some seconds after it has stored something; return what that cost.

    ``worker_first`` seconds before, a worker of it is killed.
    """
    # So many trials that it does not end by itself.
    with started(*search(net, url, "--trials", "100000")) as victim:
        hit = _at_work(url)
        time.sleep(moment_s)
        if worker_first is not None:
            for worker in workers(victim.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
            time.sleep(worker_first)
        before = Stored.of(url)
        hit = hit and victim.poll() is None
        victim.kill()
        victim.wait()
    after = Stored.of(url)
    print(f"{len(before.probes)} probes and {len(before.trials)} trials", flush=True)  # noqa: T201 - the log
    return Losses(
        hit,
        # ttnn's default is a trial before that.
        probing=len(before.trials) <= 1,
        trials=len(set(before.trials) - set(after.trials)),
        probes=len(before.probes - after.probes),
    )


def _at_work(url: str) -> bool:
    """Wait until a search has stored something; return whether it has."""
    begun = Stored.of(url)
    latest = time.monotonic() + _START_S
    while Stored.of(url) == begun:
        if time.monotonic() > latest:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def measure() -> Figures:
    chance = random.Random(11)
    with workplace() as directory:
        (net := directory / "small.py").write_text(SMALL)
        calm = autosched(*search(net, database(directory, "calm")))
        url = database(directory, "killed")
        open_store(url).close()
        losses = []
        for number, latest_s in enumerate(LATEST_S):
            moment_s = chance.uniform(0.0, latest_s)
            worker_first = chance.uniform(0.0, WORKER_FIRST_S) if number % 2 else None
            losses.append(killed(net, url, moment_s, worker_first))
            print(moment_s, worker_first, losses[-1], flush=True)  # noqa: T201 - the log
        last = autosched(*search(net, url))
        return {
            HIT: sum(item.hit for item in losses),
            PROBING: sum(item.probing for item in losses),
            LOST_TRIALS: sum(item.trials for item in losses),
            LOST_PROBES: sum(item.probes for item in losses),
            **_doubles(Stored.of(url)),
            **_against(calm, last),
        }


def _doubles(stored: Stored) -> dict[str, float]:
    ran = [fingerprint for _, fingerprint, state in stored.trials if state == "complete"]
    numbers = {number for number, _, _ in stored.trials}
    return {
        AGAIN: len(ran) - len(set(ran)),
        NUMBERS: len(stored.trials) - len(numbers & set(range(len(stored.trials)))),
    }


def _against(calm: Any, last: Any) -> dict[str, float]:
    return {
        LATENCY: off_percent(last["latency_us"], calm["latency_us"]),
        BOUND: off_percent(last["bound_us"], calm["bound_us"]),
    }


PROMISES = (
    Promise(
        "killing",
        f"A search is killed {KILLS} times at random moments, half of them after one of its "
        "workers was; when it goes on, no finished trial or probe is lost or run again, and it "
        "ends as one that nobody disturbed.",
        (
            Limit(HIT, Kind.COUNTED, most=KILLS, least=KILLS),
            Limit(PROBING, Kind.COUNTED, least=2),
            *(
                Limit(what, Kind.COUNTED, most=0, least=0)
                for what in (LOST_TRIALS, LOST_PROBES, AGAIN, NUMBERS)
            ),
            # It ends within this of the bound.
            Limit(LATENCY, Kind.ESTIMATED, "%", most=0.05),
            Limit(BOUND, Kind.ESTIMATED, "%", most=EQUAL_PERCENT),
        ),
        measure,
        time_limit_s=360,
        boards=("n150",),
    ),
)
