"""Two searches share one PostgreSQL server."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autosched.store.database import open_store
from autosched.store.studies import get_study
from autosched.store.trials import list_trials
from tests.accept.commands import SMALL, autosched, database, workplace
from tests.accept.promise import (
    EQUAL_PERCENT,
    Figures,
    Kind,
    Limit,
    NotMeasuredError,
    Promise,
    off_percent,
)
from tests.examples.postgresql import NEEDED, running_server, server_directory

STUDIES = ("one", "other")
ENDED = "searches at once that end with a schedule, of two"
LATENCY = "their latency beside that of a search alone, on SQLite"
NUMBERED = "trials of theirs that are numbered from 0 without a gap, of two searches"


def binaries() -> Path:
    found = server_directory()
    if found is None:
        raise NotMeasuredError(f"needs {NEEDED}")
    if find_spec("psycopg") is None:
        raise NotMeasuredError("needs psycopg (pip install 'autosched[postgresql]')")
    return found


def measure() -> Figures:
    with running_server(binaries()) as server, workplace() as directory:
        net = directory / "small.py"
        net.write_text(SMALL)

        def search(study: str, url: str) -> Any:
            return autosched(
                "run", net, "--device", "mock", "--effort", "quick", "--study", study,
                "--storage", url, "--jobs", 1,
            )  # fmt: skip

        alone = search("alone", database(directory))
        with ThreadPoolExecutor(len(STUDIES)) as pool:
            found = list(pool.map(lambda study: search(study, server), STUDIES))
        with open_store(server) as store:
            trials = [list_trials(store, get_study(store, study)) for study in STUDIES]
    latencies = [run["latency_us"] for run in found]
    return {
        ENDED: len(latencies),
        LATENCY: max(off_percent(latency, alone["latency_us"]) for latency in latencies),
        NUMBERED: sum(
            [trial.number for trial in own] == list(range(len(own))) for own in trials if own
        ),
    }


PROMISES = (
    Promise(
        "postgresql",
        "Two searches that share a PostgreSQL database at the same time each find what a search "
        "alone finds.",
        (
            Limit(ENDED, Kind.COUNTED, most=len(STUDIES), least=len(STUDIES)),
            Limit(LATENCY, Kind.ESTIMATED, "%", most=EQUAL_PERCENT),
            Limit(NUMBERED, Kind.COUNTED, most=len(STUDIES), least=len(STUDIES)),
        ),
        measure,
        time_limit_s=240,
        boards=("n150",),
    ),
)
