"""The process is killed without a warning; nothing that was finished is lost."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from autosched.search.open_study import load_study, open_study
from autosched.store.database import open_store
from autosched.store.optuna_mirror import MIRROR_PREFIX, NUMBER
from autosched.store.trials import DEFAULT_SAMPLER, list_trials
from tests.examples.devices import Scripted
from tests.examples.networks import residual
from tests.examples.studied import QUICK, Studied
from tests.probing.test_probe_book import stored_probes
from tests.search.victim import NAME

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pickled(studied: Studied, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("victim") / "records.pickle"
    path.write_bytes(pickle.dumps((studied.joint, studied.records)))
    return path


def killed_when(pickled: Path, url: str, kinds: tuple[str, ...], count: int) -> int:
    """Kill a search once ``count`` steps of a kind are finished; return how many it had said."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.search.victim", pickled, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as victim:
        assert victim.stdout is not None
        said, words = 0, []
        for line in victim.stdout:
            words.append(line)
            kind, _, number = line.partition(" ")
            if kind in kinds and (said := int(number)) >= count:
                break
        os.kill(victim.pid, signal.SIGKILL)
        late = [line.partition(" ") for line in victim.stdout]
    assert victim.returncode == -signal.SIGKILL, "".join(words[-20:])
    return max([said, *(int(number) for kind, _, number in late if kind in kinds)])


def test_killed_while_probing(studied: Studied, pickled: Path, url: str):
    finished = killed_when(pickled, url, ("probe", "reshard"), 100)
    device = Scripted(studied.device())
    with open_store(url) as store:
        kept = stored_probes(store)
        assert finished <= kept <= finished + 1
        with open_study(store, residual(), "n150", QUICK, NAME, device) as study:
            study.optimize(trials=1)
            counts = study.probe_counts
        trials = list_trials(store, study.record)
    assert counts.reused == kept
    assert counts.run == len(device.probes) + len(device.reshards) == studied.counts.run - kept
    assert [trial.number for trial in trials] == [0, 1]


def test_killed_while_it_tries(studied: Studied, pickled: Path, url: str):
    """Trials are numbered on, and Optuna's study gets those it had not been told of."""
    finished = killed_when(pickled, url, ("run",), 4)
    with load_study(NAME, storage=url, network=residual()) as study:
        before = study.trials
        assert len(before) >= finished
        assert study.settings == QUICK
        assert study.best is not None
    device = Scripted(studied.device())
    with (
        open_store(url) as store,
        open_study(store, residual(), "n150", QUICK, NAME, device) as study,
    ):
        study.optimize(trials=2)
        assert study.probe_counts.run == 0
        trials = list_trials(store, study.record, with_ops=True)
    assert [trial.number for trial in trials] == list(range(len(before) + 2))
    assert [trial.sampler for trial in trials].count(DEFAULT_SAMPLER) == 1
    assert len({trial.fingerprint for trial in trials}) == len(trials)
    assert all(trial.ops for trial in trials if trial.rejection is None)
    mirrored = optuna.load_study(study_name=MIRROR_PREFIX + NAME, storage=url).trials
    assert sorted(item.user_attrs[NUMBER] for item in mirrored) == list(range(len(trials)))
