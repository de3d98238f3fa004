"""Databases of released schemas open, and what they know that is stale is told."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from autosched.device.revisions import current_revisions
from autosched.store.database import open_store
from autosched.store.models import HEAD, current_revision
from autosched.store.probes import load_probes
from autosched.store.studies import get_study, list_studies
from autosched.store.trials import list_trials
from tests.accept.commands import SMALL, autosched, database, workplace
from tests.accept.frame import ROOT
from tests.accept.promise import Figures, Kind, Limit, Promise
from tests.examples import records

FROZEN = sorted((ROOT / "tests" / "store" / "data").glob("schema_*.sql"))
OPENED = "frozen databases that reach today's schema, of all"
READ = "their trials read with a schedule, of all"
STALE = "their probes known to be stale"
TOLD = "stale probes that a search tells, of those stored"


def opened(dump: Path, directory: Path) -> Counter[str]:
    """What is found in a dump of a database once it is opened."""
    path = directory / f"{dump.stem}.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text())
    with open_store(f"sqlite:///{path}") as store:
        with store.connection("BEGIN") as connected:
            reached = current_revision(connected) == HEAD
        studies = [get_study(store, item.study.name) for item in list_studies(store)]
        trials = [trial for study in studies for trial in list_trials(store, study, with_ops=True)]
        probes = load_probes(store, ["layer a", "layer b"], records.N150, current_revisions())
    return Counter(
        reached=int(reached),
        trials=len(trials),
        read=sum(trial.schedule is not None for trial in trials),
        stale=probes.stale,
    )


def told_share(directory: Path) -> float:
    """Make every probe of a search stale, go on, and return the share that it says is stale."""
    net = directory / "small.py"
    net.write_text(SMALL)
    search = ("run", net, "--device", "mock", "--effort", "quick", "--storage", database(directory))
    autosched(*search, "--trials", 1)
    with closing(sqlite3.connect(directory / "promise.sqlite3")) as connection, connection:
        stored = connection.execute("UPDATE autosched_probe SET revision = 'before'").rowcount
    return float(autosched(*search, "--trials", 1)["stale_probes"] / stored)


def measure() -> Figures:
    with workplace() as directory:
        found = sum((opened(dump, directory) for dump in FROZEN), Counter())
        return {
            OPENED: found["reached"] / len(FROZEN),
            READ: found["read"] / found["trials"],
            STALE: found["stale"],
            TOLD: told_share(directory),
        }


PROMISES = (
    Promise(
        "old-database",
        "A database of every released schema opens and is upgraded; probes that other code "
        "answered are used no more, and a search says how many they are.",
        (
            Limit(OPENED, Kind.COUNTED, most=1, least=1),
            Limit(READ, Kind.COUNTED, most=1, least=1),
            Limit(STALE, Kind.COUNTED, least=1),
            Limit(TOLD, Kind.COUNTED, most=1, least=1),
        ),
        measure,
        time_limit_s=180,
        boards=("n150",),
    ),
)
