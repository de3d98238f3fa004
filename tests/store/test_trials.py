import subprocess
import sys
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from autosched.errors import StudyError
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind
from autosched.store import studies
from autosched.store.database import Store, open_store
from autosched.store.studies import StudyRecord, add_study
from autosched.store.trials import (
    TrialRecord,
    add_trial,
    best_trial,
    cost_models,
    finished_trial,
    get_trial,
    list_trials,
)
from tests.examples import records as examples
from tests.examples.trials import STUDY, trial


@pytest.fixture
def study(store: Store) -> StudyRecord:
    return studies.add_study(store, examples.study())


@pytest.mark.parametrize("trial", [examples.trial(), examples.rejected_trial()])
def test_a_trial_comes_back(store: Store, study: StudyRecord, trial: TrialRecord) -> None:
    stored = add_trial(store, study, trial)
    expected = replace(trial, number=0, fingerprint=examples.schedule().fingerprint())
    assert stored == expected
    assert list_trials(store, study, with_ops=True) == [expected]
    assert get_trial(store, study, 0) == expected


def test_a_list_leaves_out_what_is_not_asked_for(store: Store, study: StudyRecord) -> None:
    stored = add_trial(store, study, examples.trial())
    assert list_trials(store, study) == [replace(stored, ops=())]
    assert list_trials(store, study, with_schedules=False) == [
        replace(stored, ops=(), schedule=None)
    ]


def test_a_list_has_those_of_a_sampler_or_some_numbers(store: Store, study: StudyRecord) -> None:
    for sampler in ("default", "given", "joint", "given"):
        add_trial(store, study, replace(examples.trial(), sampler=sampler))
    assert [item.number for item in list_trials(store, study, sampler="given")] == [1, 3]
    assert [item.number for item in list_trials(store, study, numbers=[3, 0, 9])] == [0, 3]
    assert list_trials(store, study, numbers=[]) == []


def test_a_moment_of_another_time_zone_is_the_same_moment(store: Store, study: StudyRecord) -> None:
    local = examples.MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    add_trial(store, study, replace(examples.trial(), started_at=local))
    (trial,) = list_trials(store, study)
    assert trial.started_at == examples.MOMENT
    assert trial.started_at.tzinfo is timezone.utc


def test_each_study_counts_for_itself(store: Store, study: StudyRecord) -> None:
    other = studies.add_study(store, examples.study("other"))
    numbers = [add_trial(store, owner, examples.trial()).number for owner in (study, other, study)]
    assert numbers == [0, 0, 1]


def test_the_best_trial_is_the_fastest_that_was_accepted(store: Store, study: StudyRecord) -> None:
    assert best_trial(store, study) is None
    add_trial(store, study, examples.trial(50.0, TimeKind.ESTIMATED, examples.REJECTION))
    assert best_trial(store, study) is None
    for latency_us in (300.0, 200.0, 200.0, 250.0):
        add_trial(store, study, examples.trial(latency_us))
    best = best_trial(store, study)
    assert best is not None
    assert (best.number, best.latency_us) == (2, 200.0)
    assert best.schedule == examples.schedule()
    assert best.ops == examples.trial().ops


def test_a_measurement_comes_before_an_estimate(store: Store, study: StudyRecord) -> None:
    add_trial(store, study, examples.trial(100.0))
    measured = add_trial(store, study, examples.trial(200.0, TimeKind.MEASURED))
    assert best_trial(store, study) == measured


def test_the_cost_models_of_a_study_are_named_oldest_first(
    store: Store, study: StudyRecord
) -> None:
    for version in ("z", "", "a", "z"):
        add_trial(store, study, replace(examples.trial(), cost_model=version))
    other = studies.add_study(store, examples.study("other"))
    add_trial(store, other, replace(examples.trial(), cost_model="b"))
    assert cost_models(store, study) == ["z", "a"]


def test_an_unknown_trial_is_explained(store: Store, study: StudyRecord) -> None:
    with pytest.raises(StudyError, match="'resnet' has no trial 3"):
        get_trial(store, study, 3)


def test_a_trial_of_a_deleted_study_is_refused(store: Store, study: StudyRecord) -> None:
    studies.delete_study(store, "resnet")
    with pytest.raises(StudyError, match="'resnet' is no longer in"):
        add_trial(store, study, examples.trial())


def test_an_incomplete_trial_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a latency or a rejection"):
        examples.trial(None, None)
    with pytest.raises(ValueError, match="go together"):
        examples.trial(1.0, None)


def test_a_trial_without_schedule_cannot_be_stored(store: Store, study: StudyRecord) -> None:
    with pytest.raises(ValueError, match="with its schedule"):
        add_trial(store, study, replace(examples.trial(), schedule=None))


_WRITER = """
import sys
from autosched.store import studies, trials
from autosched.store.database import open_store
from tests.examples import records as examples
with open_store(sys.argv[1]) as store:
    study = studies.get_study(store, "resnet")
    for _ in range(25):
        trials.add_trial(store, study, examples.trial())
"""


def test_processes_that_share_a_study_get_different_numbers(
    store: Store, study: StudyRecord
) -> None:
    command = [sys.executable, "-c", _WRITER, store.url]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    numbers = [trial.number for trial in list_trials(store, study, with_schedules=False)]
    assert numbers == list(range(50))


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Store, StudyRecord]:
    store = open_store(f"sqlite:///{tmp_path}/a.sqlite3")
    return store, add_study(store, STUDY)


def test_the_fastest_with_its_full_provenance(stored: tuple[Store, StudyRecord]) -> None:
    for latency_us in (200.0, 100.0, 150.0):
        add_trial(*stored, trial(latency_us=latency_us))
    chosen, schedule = finished_trial(*stored)
    assert (chosen.number, chosen.latency_us) == (1, 100.0)
    made = schedule.provenance
    assert (made.study, made.trial, made.latency_us) == ("net-n150", 1, 100.0)
    assert made.latency_kind is TimeKind.ESTIMATED
    assert made.date == "2026-01-02"


def test_any_other(stored: tuple[Store, StudyRecord]) -> None:
    for latency_us in (200.0, 100.0):
        add_trial(*stored, trial(latency_us=latency_us))
    assert finished_trial(*stored, 0)[1].provenance.latency_us == 200.0


def test_without_a_trial_that_ran(stored: tuple[Store, StudyRecord]) -> None:
    with pytest.raises(StudyError, match="autosched resume net-n150"):
        finished_trial(*stored)


def test_a_rejected_trial_is_no_schedule(stored: tuple[Store, StudyRecord]) -> None:
    rejected = add_trial(*stored, trial(latency_us=None))
    assert rejected.rejection == Rejection(
        RejectionKind.L1_OVERFLOW, "Out of Memory: no L1", "conv"
    )
    with pytest.raises(StudyError, match=r"rejected by the device \(L1 overflow\)"):
        finished_trial(*stored, 0)
