import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from autosched.errors import StoreError
from autosched.schedule.outcomes import AloneTime, Verdict
from autosched.service import submissions
from autosched.service.submissions import State
from autosched.store import calibrations, executions, merging, probes, studies, trials
from autosched.store.database import Store, open_store
from autosched.store.merging import Merged, MergedStudy, Tally, open_other
from tests.examples import records as examples

CURRENT = {examples.REVISION}
OLD, OLDER = "fedcba9876543210", ""


def merge(source: Store, target: Store) -> Merged:
    return merging.merge_databases(source, target)


def stored(store: Store, *signatures: str) -> Mapping[probes.ProbeKey, probes.StoredProbe]:
    return probes.load_probes(store, signatures, examples.N150, {*CURRENT, OLD, OLDER}).probes


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/other.sqlite3") as opened:
        yield opened


def later(study: studies.StudyRecord) -> studies.StudyRecord:
    return replace(study, created_at=study.created_at + timedelta(seconds=1))


def trial_at(second: int) -> trials.TrialRecord:
    moment = examples.MOMENT + timedelta(seconds=second)
    return replace(examples.trial(latency_us=2600.0 - second), started_at=moment)


def test_probes_come_once_and_never_replace_ours(store: Store, other: Store) -> None:
    ours, theirs = examples.probe(), examples.probe(outcome=examples.REJECTION)
    new = examples.probe("layer b")
    probes.save_probes(store, [ours])
    probes.save_probes(other, [theirs, new])
    assert merge(other, store).probes == Tally(added=1, known=1)
    assert merge(other, store).probes == Tally(added=0, known=2)
    found = stored(store, "layer a", "layer b")
    assert found == {ours.key: ours, new.key: new}


@pytest.mark.parametrize("ours", [OLD, OLDER, examples.REVISION])
def test_what_other_code_answered_comes_beside_ours(store: Store, other: Store, ours: str) -> None:
    mine = examples.probe(revision=ours)
    probes.save_probes(store, [mine])
    theirs = [
        examples.probe(outcome=examples.REJECTION, revision=revision)
        for revision in (OLD, OLDER, examples.REVISION)
    ]
    probes.save_probes(other, theirs)
    assert merge(other, store).probes == Tally(added=2, known=1)
    found = stored(store, "layer a")
    assert found[mine.key] == mine
    assert len(found) == 3
    assert merge(other, store).probes == Tally(known=3)


def test_many_probes_come(store: Store, other: Store) -> None:
    many = [examples.probe(f"layer {number}") for number in range(450)]
    probes.save_probes(other, many)
    assert merge(other, store).probes == Tally(added=450, known=0)
    found = stored(store, *(item.key.layer_signature for item in many))
    assert list(found.values()) == many


def test_a_study_comes_with_its_trials(store: Store, other: Store) -> None:
    study = studies.add_study(other, examples.study())
    for second in range(2):
        trials.add_trial(other, study, trial_at(second))
    trials.add_trial(other, study, examples.rejected_trial())
    merged = merge(other, store).studies
    assert merged == (MergedStudy("resnet", "resnet", True, Tally(added=3)),)
    here = studies.get_study(store, "resnet")
    assert replace(here, id=study.id) == study
    there = trials.list_trials(other, study, with_ops=True)
    assert trials.list_trials(store, here, with_ops=True) == there
    assert merge(other, store).studies == (MergedStudy("resnet", "resnet", False, Tally(known=3)),)
    assert len(trials.list_trials(store, here)) == 3


def test_a_study_searched_on_in_both_places_gets_the_trials_of_both(
    store: Store, other: Store
) -> None:
    study = studies.add_study(other, examples.study())
    trials.add_trial(other, study, trial_at(0))
    merge(other, store)
    here = studies.get_study(store, "resnet")
    trials.add_trial(store, here, trial_at(1))
    trials.add_trial(other, study, trial_at(2))
    (merged,) = merge(other, store).studies
    assert merged == MergedStudy("resnet", "resnet", False, Tally(added=1, known=1))
    found = trials.list_trials(store, here)
    assert [(item.number, item.latency_us) for item in found] == [(0, 2600), (1, 2599), (2, 2598)]


def test_a_name_stays_short_enough_when_a_number_comes_to_it(store: Store, other: Store) -> None:
    for place, network in ((store, "a"), (other, "b")):
        studies.add_study(
            place, replace(examples.study("x" * studies.LONGEST_NAME), network=network)
        )
    (merged,) = merge(other, store).studies
    assert merged.name_here == "x" * (studies.LONGEST_NAME - 2) + "-2"


def test_a_name_that_is_too_long_is_shortened(store: Store, other: Store) -> None:
    studies.add_study(other, examples.study())
    with other.writing() as session:
        session.execute(text("UPDATE autosched_study SET name = :name"), {"name": "x" * 300})
    (merged,) = merge(other, store).studies
    assert merged.name_here == "x" * (studies.LONGEST_NAME - 2) + "-2"
    (again,) = merge(other, store).studies
    assert (again.name_here, again.is_new) == (merged.name_here, False)


def test_a_study_whose_name_is_taken_is_renamed_once(store: Store, other: Store) -> None:
    ours = studies.add_study(store, examples.study())
    theirs = studies.add_study(other, later(examples.study()))
    trials.add_trial(other, theirs, trial_at(0))
    (merged,) = merge(other, store).studies
    assert merged == MergedStudy("resnet", "resnet-2", True, Tally(added=1))
    (again,) = merge(other, store).studies
    assert again == MergedStudy("resnet", "resnet-2", False, Tally(known=1))
    assert trials.list_trials(store, ours) == []
    assert [item.study.name for item in studies.list_studies(store)] == ["resnet", "resnet-2"]


def test_the_newest_calibration_stays_the_latest(store: Store, other: Store) -> None:
    def calibration(name: str, second: int) -> calibrations.CalibrationRecord:
        moment = examples.MOMENT + timedelta(seconds=second)
        return calibrations.CalibrationRecord("wormhole_b0", "0.81.1", name, {"a": second}, moment)

    calibrations.save_calibration(store, calibration("new", 2))
    calibrations.save_calibration(other, calibration("old", 1))
    assert merge(other, store).calibrations == Tally(added=1)
    assert merge(other, store).calibrations == Tally(known=1)
    assert [item.name for item in calibrations.list_calibrations(store)] == ["new", "old"]


def test_a_merge_that_fails_leaves_nothing_behind(store: Store, other: Store) -> None:
    probes.save_probes(other, [examples.probe()])
    studies.add_study(other, examples.study())
    with other.writing() as session:
        session.execute(text("DROP TABLE autosched_trial"))
    with pytest.raises(StoreError):
        merge(other, store)
    assert stored(store, "layer a") == {}
    assert studies.list_studies(store) == []


def test_a_database_is_not_merged_into_itself(store: Store) -> None:
    with open_store(store.url) as same, pytest.raises(StoreError, match="the database itself"):
        merge(same, store)


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_another_database_is_named_as_a_file_or_url(form: str, other: Store, url: str) -> None:
    with open_other(form.format(other.describe())) as opened, open_store(url) as store:
        assert merge(opened, store).probes == Tally()


def test_another_database_may_be_on_a_server(postgresql_url: str, other: Store) -> None:
    with open_store(postgresql_url) as server:
        probes.save_probes(server, [examples.probe()])
        studies.add_study(server, examples.study())
    with open_other(postgresql_url) as opened:
        merged = merge(opened, other)
    assert merged.probes == Tally(added=1)
    assert replace(studies.get_study(other, "resnet"), id=None) == examples.study()


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.sqlite3 is not there; name the file or URL"):
        open_other(f"{tmp_path}/gone.sqlite3")
    assert not list(tmp_path.iterdir())


def test_an_empty_or_foreign_file_is_left_alone(tmp_path: Path) -> None:
    empty, foreign = tmp_path / "empty.sqlite3", tmp_path / "foreign.sqlite3"
    empty.touch()
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE places (url TEXT)")
    for path in (empty, foreign):
        before = path.read_bytes()
        with pytest.raises(StoreError, match="no database of autosched: it has none of its tables"):
            open_other(str(path))
        assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("name,latency\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt is not a SQLite database"):
        open_other(str(path))


def test_a_newer_database_is_refused(other: Store) -> None:
    with other.writing() as session:
        session.execute(text("UPDATE autosched_alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer autosched"):
        open_other(other.url)


def submitted(store: Store, new: submissions.Submission, *, ends: bool = True) -> int:
    """Submit a study, and have it run or fail; it waits for a board of its own."""
    number = submissions.add_submission(store, replace(new, board=f"b{new.study}"), "net").id
    claimed = submissions.claim_next(store, f"b{new.study}", "service", lambda _: True)
    assert claimed is not None
    if ends:
        submissions.end(store, claimed, State.FINISHED, result={"trials": 3}, ran_s=7.0)
    return number


def test_what_was_submitted_and_has_ended_comes_once(store: Store, other: Store) -> None:
    studies.add_study(store, examples.study())
    studies.add_study(other, later(examples.study()))
    number = submitted(other, examples.submission("resnet"))
    merged = merge(other, store)
    assert (merged.submissions, merged.unfinished) == (Tally(added=1), 0)
    again = merge(other, store)
    assert (again.submissions, again.unfinished) == (Tally(known=1), 0)
    (found,) = submissions.list_submissions(store)
    there = submissions.find_submission(other, number)
    assert there is not None
    assert (there.status, there.run_s, there.result) == (State.FINISHED, 7.0, {"trials": 3})
    assert found == replace(there, id=found.id, study="resnet-2")


def test_what_waits_or_runs_there_stays_there(store: Store, other: Store) -> None:
    submitted(other, examples.submission("runs"), ends=False)
    submissions.add_submission(other, examples.submission("waits"), "net")
    merged = merge(other, store)
    assert (merged.submissions, merged.unfinished) == (Tally(), 2)
    assert submissions.list_submissions(store) == []


def test_what_failed_before_its_study_began_is_not_shown_as_another_s(
    store: Store, other: Store
) -> None:
    studies.add_study(store, examples.study())
    submitted(other, examples.submission("resnet"))
    merge(other, store)
    (found,) = submissions.list_submissions(store)
    assert found.study == "resnet-2"
    assert studies.find_study(store, found.study) is None


def test_networks_come_once(store: Store, other: Store) -> None:
    studies.save_network(other, "theirs", {"layers": [1]})
    studies.save_network(other, "both", {"layers": [2]})
    studies.save_network(store, "both", {"layers": [2]})
    assert merging.merge_databases(other, store).networks == merging.Tally(1, 1)
    assert merging.merge_databases(other, store).networks == merging.Tally(0, 2)
    assert studies.find_network(store, "theirs") == {"layers": [1]}


def test_executions_and_verifications_come_once(store: Store, other: Store) -> None:
    site = executions.ExecutionSite("wormhole_b0", "0.81.1", executions.SIMULATED, "0123")
    key = executions.ExecutionKey("layer a", "config", "inputs", "revision", site)
    right = executions.ExecutionRecord(Verdict.RIGHT, 1.0, 1.0)
    executions.save_execution(other, key, right)
    theirs = studies.add_study(other, examples.study())
    trial = trials.add_trial(other, theirs, examples.trial())
    made = executions.Verification(trial.fingerprint, executions.SIMULATED, "0123", right)
    executions.save_verification(other, theirs, made)
    assert merge(other, store).executions == Tally(added=1)
    assert merge(other, store).executions == Tally(known=1)
    assert executions.find_executions(store, site, {"revision"}) == {key: right}
    study = studies.get_study(store, theirs.name)
    assert executions.find_verification(store, study, trial.fingerprint) == made


def test_measurements_come_once(store: Store, other: Store) -> None:
    card = probes.DeviceKey("n150", "silicon", "0.81.1")
    key = examples.probe("layer a", device=card).key
    measured = calibrations.MeasurementRecord(
        key, "wormhole_b0-5-abcdef", AloneTime((examples.device_op(),), 12.5, 0.125)
    )
    calibrations.save_measurement(other, measured)
    assert merge(other, store).measurements == Tally(added=1)
    assert merge(other, store).measurements == Tally(known=1)
    assert calibrations.load_measurements(store, card, {examples.REVISION}) == [measured]
