from pathlib import Path

import pytest

from autosched.errors import StudyError
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind
from autosched.store.database import Store, open_store
from autosched.store.studies import StudyRecord, add_study
from autosched.store.trials import add_trial, finished_trial
from tests.examples.trials import STUDY, trial


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
