"""Two small networks studied once on the mock n150; most tests work from what it answered."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from autosched.cost.model import CostModel
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Network
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.search.open_study import open_study
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.store.database import Store, open_store
from autosched.store.studies import StudyRecord
from autosched.store.trials import TrialRecord, list_trials
from tests.examples.devices import Recorder, Records, Scripted, TableDevice
from tests.examples.networks import BOARD, residual, skipping
from tests.once import OncePerRun

QUICK = Settings(effort="quick", device="mock")


class Watching:
    """Notes what a search tells."""

    def __init__(self) -> None:
        self.phases: list[tuple[Phase, int, int, str]] = []
        self.warnings: list[str] = []
        self.bounds: list[Proof] = []
        self.trials: list[TrialRecord] = []
        self.bests: list[TrialRecord | None] = []

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        assert counts.run >= 0
        self.phases.append((phase, done, total, detail))

    def on_warning(self, text: str) -> None:
        self.warnings.append(text)

    def on_bound(self, proof: Proof) -> None:
        self.bounds.append(proof)

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        self.trials.append(trial)
        self.bests.append(best)


@dataclass(frozen=True)
class Studied:
    """A study on the mock device, and everything that came of it; ``trials`` have their ops."""

    url: str
    network: Network
    record: StudyRecord
    joint: JointProblem
    counts: ProbeCounts
    trials: list[TrialRecord]
    best: TrialRecord
    bound_us: float
    watching: Watching
    records: Records

    def device(self) -> TableDevice:
        """Answers as the mock device did, and runs what it did not run from the tables."""
        return TableDevice(self.records, self.joint)


def study_in(directory: Path, network: Network) -> Studied:
    """Study a network with an empty database, on a mock device of its own."""
    with WorkerDevice(BOARD) as worker:
        return study_on(Recorder(worker), f"sqlite:///{directory}/store.sqlite3", network)


def study_on(recorder: Recorder, url: str, network: Network) -> Studied:
    watching = Watching()
    with (
        open_store(url) as store,
        open_study(store, network, BOARD.name, QUICK, device=recorder) as study,
    ):
        best = study.optimize(trials=4, observer=watching)
        assert best is not None
        assert study.bound_us is not None
        return Studied(
            url,
            network,
            study.record,
            study.prepare(),
            study.probe_counts,
            list_trials(store, study.record, with_ops=True),
            best,
            study.bound_us,
            watching,
            recorder.records,
        )


def fresh(
    studied: Studied, store: Store, device: Scripted | None = None, settings: Settings = QUICK
) -> Study:
    """A study without trials of a network whose probes are stored."""
    device = device or Scripted(studied.device())
    return open_study(store, residual(), "n150", settings, "fresh", device)


@pytest.fixture(scope="session")
def studied(once: OncePerRun) -> Studied:
    """The residual block, studied."""
    return once("residual", lambda directory: study_in(directory, residual()))


@pytest.fixture(scope="session")
def skipped(once: OncePerRun) -> Studied:
    """The long skip, studied."""
    return once("skipping", lambda directory: study_in(directory, skipping()))


@pytest.fixture(scope="session", params=["studied", "skipped"])
def either(request: pytest.FixtureRequest) -> Studied:
    """Each of the two in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Studied)
    return found


@pytest.fixture(scope="session")
def cost() -> CostModel:
    return CostModel.load(BOARD.arch)


@pytest.fixture(scope="session")
def empty_url(once: OncePerRun) -> str:
    """A database with our tables and Optuna's, which take a second to make."""
    return once("empty", empty_in)


def empty_in(directory: Path) -> str:
    url = f"sqlite:///{directory}/store.sqlite3"
    open_store(url).close()
    optuna.storages.RDBStorage(url)
    return url


def copied(url: str, path: Path) -> str:
    with (
        closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return f"sqlite:///{path}"


@pytest.fixture
def url(empty_url: str, tmp_path: Path) -> str:
    """URL of a database without a study."""
    return copied(empty_url, tmp_path / "store.sqlite3")


@pytest.fixture
def probed(studied: Studied, tmp_path: Path) -> Iterator[Store]:
    """A copy of the residual block's database: nothing is left to be probed."""
    with open_store(copied(studied.url, tmp_path / "probed.sqlite3")) as opened:
        yield opened


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened
