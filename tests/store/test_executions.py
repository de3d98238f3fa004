from dataclasses import replace

import pytest

from autosched.schedule.outcomes import AGAINST, Verdict
from autosched.store import executions, studies, trials
from autosched.store.database import Store
from autosched.store.executions import (
    CARD,
    EXECUTED,
    SIMULATED,
    ExecutionKey,
    ExecutionRecord,
    ExecutionSite,
    Verification,
)
from tests.examples import records as examples

SITE = ExecutionSite("wormhole_b0", "0.81.1", SIMULATED, "0123")
KEY = ExecutionKey("layer a", "config", "inputs", "revision", SITE)
RIGHT = ExecutionRecord(Verdict.RIGHT, 0.9999, 0.9998)
WRONG = ExecutionRecord(Verdict.WRONG, 0.5, 0.4, "concordance 0.4000")
ABORT = ExecutionRecord(Verdict.ABORT, message="the worker process died of SIGABRT")


def against(store: Store, revision: str = "revision") -> dict[tuple[str, str, str], str]:
    found = executions.find_verdicts(store, SITE.arch, "0.81.1", {revision}, AGAINST)
    return {config: result.verdict.value for config, (_, result) in found.items()}


def test_an_execution_comes_back_where_it_was_done(store: Store) -> None:
    other = replace(KEY, config_digest="another")
    executions.save_execution(store, KEY, RIGHT)
    executions.save_execution(store, other, ABORT)
    assert executions.find_executions(store, SITE, {"revision"}) == {KEY: RIGHT, other: ABORT}
    elsewhere = [
        replace(SITE, arch="blackhole"),
        replace(SITE, ttnn_version="0.82"),
        replace(SITE, toolchain="4567"),
        replace(SITE, kind=EXECUTED, toolchain=CARD),
    ]
    for site in elsewhere:
        assert executions.find_executions(store, site, {"revision"}) == {}
    assert executions.find_executions(store, SITE, {"later"}) == {}


def test_a_changed_verdict_takes_the_place_of_the_old_one(store: Store) -> None:
    executions.save_execution(store, KEY, RIGHT)
    executions.save_execution(store, KEY, WRONG)
    assert executions.find_executions(store, SITE, {"revision"}) == {KEY: WRONG}


def test_what_speaks_against_a_configuration_is_found_of_every_toolchain(store: Store) -> None:
    card = ExecutionSite(SITE.arch, "0.81.1", EXECUTED, CARD)
    executions.save_execution(store, replace(KEY, layer_signature="layer b"), RIGHT)
    executions.save_execution(store, replace(KEY, site=replace(SITE, toolchain="4567")), WRONG)
    executions.save_execution(store, replace(KEY, layer_signature="layer c", site=card), ABORT)
    blackhole = replace(SITE, arch="blackhole")
    executions.save_execution(store, replace(KEY, layer_signature="d", site=blackhole), WRONG)
    assert against(store) == {
        ("layer a", "config", "inputs"): "wrong",
        ("layer c", "config", "inputs"): "abort",
    }
    assert against(store, "later") == {}


def test_a_purge_deletes_executions_of_other_revisions(store: Store) -> None:
    executions.save_execution(store, KEY, RIGHT)
    executions.save_execution(store, replace(KEY, revision="old"), WRONG)
    assert executions.purge_executions(store, {"revision"}) == 1
    assert against(store, "old") == {}
    assert executions.find_executions(store, SITE, {"revision"}) == {KEY: RIGHT}


@pytest.fixture
def stored(store: Store) -> tuple[studies.StudyRecord, trials.TrialRecord]:
    study = studies.add_study(store, examples.study())
    return study, trials.add_trial(store, study, examples.trial())


def test_a_schedule_carries_what_came_of_executing_it(
    store: Store, stored: tuple[studies.StudyRecord, trials.TrialRecord]
) -> None:
    study, trial = stored
    made = Verification(trial.fingerprint, SIMULATED, "0123", RIGHT)
    executions.save_verification(store, study, made)
    executions.save_verification(store, study, replace(made, fingerprint="another", result=WRONG))
    _, schedule = trials.finished_trial(store, study)
    told = schedule.provenance
    assert (told.executed_on, told.executed_verdict, told.executed_pcc) == (
        "simulator",
        "right",
        0.9999,
    )
    assert schedule.with_own_execution() == schedule


def test_a_card_has_the_last_word(
    store: Store, stored: tuple[studies.StudyRecord, trials.TrialRecord]
) -> None:
    study, trial = stored
    on_card = Verification(trial.fingerprint, EXECUTED, CARD, WRONG)
    executions.save_verification(store, study, on_card)
    simulated = Verification(trial.fingerprint, SIMULATED, "0123", RIGHT)
    executions.save_verification(store, study, simulated)
    assert executions.find_verification(store, study, trial.fingerprint) == on_card


def test_a_study_takes_its_verifications_with_it(
    store: Store, stored: tuple[studies.StudyRecord, trials.TrialRecord]
) -> None:
    study, trial = stored
    made = Verification(trial.fingerprint, SIMULATED, "0123", RIGHT)
    executions.save_verification(store, study, made)
    studies.delete_study(store, study.name)
    assert executions.find_verification(store, study, trial.fingerprint) is None


def test_a_trial_that_is_rejected_later_is_no_best_any_more(
    store: Store, stored: tuple[studies.StudyRecord, trials.TrialRecord]
) -> None:
    study, trial = stored
    assert trial.number is not None
    trials.reject_trial(store, study, trial.number, examples.REJECTION)
    assert trials.best_trial(store, study) is None
    (found,) = trials.list_trials(store, study)
    assert (found.rejection, found.latency_us) == (examples.REJECTION, trial.latency_us)


def test_what_formats_cost_is_kept_by_network_and_layer(store: Store) -> None:
    executions.save_sensitivity(store, "net", "conv1", b"first")
    executions.save_sensitivity(store, "net", "conv1", b"second")
    executions.save_sensitivity(store, "net", "conv2", b"other")
    executions.save_sensitivity(store, "another", "conv1", b"theirs")
    assert executions.find_sensitivities(store, "net") == {"conv1": b"first", "conv2": b"other"}
    assert executions.find_sensitivities(store, "nobody") == {}
