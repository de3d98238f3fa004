"""What thousands of trials cost: memory while they run, processor time when the study goes on."""

import gc
import time
from dataclasses import replace
from pathlib import Path

import optuna

from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.graph import Network
from autosched.search.open_study import open_study
from autosched.search.run import SilentObserver
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.store.database import Store, open_store
from autosched.store.optuna_mirror import MIRROR_PREFIX
from autosched.store.trials import TrialRecord, add_trial, list_trials
from tests.accept.commands import SMALL, database, workplace
from tests.accept.promise import Figures, Kind, Limit, NotMeasuredError, Promise

NAME = "many"
# Caches of Python, SQLAlchemy and SQLite are full then.
FIRST, MORE, ALL = 1000, 2000, 20_000
MEMORY = f"memory of the main process for each trial, of {MORE:,} after {FIRST:,}"
RESUME = f"processor time of the main process to go on after {ALL:,} trials, and run one"
# Takes no time of its own to propose, and never ends.
SAMPLER = "mutation"


def captured(directory: Path) -> Network:
    net = directory / "small.py"
    net.write_text(SMALL)
    loaded = load_network_file(str(net), None)
    return capture(loaded.module, loaded.example_inputs, loaded.name)


def resident_bytes() -> int:
    gc.collect()
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        raise NotMeasuredError("the memory of a process is read from /proc") from None
    return int(pages) * 4096


def opened(store: Store, network: Network) -> Study:
    settings = Settings(device="mock", effort="quick", sampler=SAMPLER)
    return open_study(store, network, "n150", settings, name=NAME)


class Weighing(SilentObserver):
    """Notes the memory of this process after some numbers of trials."""

    def __init__(self, *after: int) -> None:
        self.after = after
        self.found_bytes: list[int] = []

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:  # noqa: ARG002 - an observer's
        if trial.number in self.after:
            self.found_bytes.append(resident_bytes())


def memory_kib_a_trial(store: Store, network: Network) -> float:
    weighing = Weighing(FIRST, FIRST + MORE)
    with opened(store, network) as study:
        study.optimize(trials=FIRST + MORE + 1, observer=weighing)
    before, after = weighing.found_bytes
    return (after - before) / 1024 / MORE


def fill(store: Store, network: Network) -> None:
    """Store copies of trials as if they had run, and note that all of them are mirrored."""
    with opened(store, network) as study:
        record = study.record
    trials = list_trials(store, record, with_ops=True, numbers=range(1, 200))
    for number in range(len(list_trials(store, record, with_schedules=False)), ALL):
        add_trial(store, record, replace(trials[number % len(trials)], fingerprint=f"{number:064}"))
    mirror = optuna.load_study(study_name=MIRROR_PREFIX + NAME, storage=store.url)
    mirror.set_user_attr("mirrored", ALL)


def resume_s(store: Store, network: Network) -> float:
    began = time.process_time()
    with opened(store, network) as study:
        study.optimize(trials=1)
    return time.process_time() - began


def measure() -> Figures:
    with workplace() as directory, open_store(database(directory)) as store:
        network = captured(directory)
        memory = memory_kib_a_trial(store, network)
        fill(store, network)
        return {MEMORY: memory, RESUME: resume_s(store, network)}


PROMISES = (
    Promise(
        "many-trials",
        "A study of thousands of trials takes no more memory than one of few, and goes on as soon.",
        (
            Limit(MEMORY, Kind.MEASURED, "KiB", most=4),
            Limit(RESUME, Kind.MEASURED, "s", most=5),
        ),
        measure,
        time_limit_s=1800,
        boards=("n150",),
    ),
)
