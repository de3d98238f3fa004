from dataclasses import replace
from datetime import datetime, timedelta, timezone

import optuna

from autosched.schedule.outcomes import Rejection, RejectionKind, Verdict
from autosched.store.database import Store
from autosched.store.executions import (
    ExecutionKey,
    ExecutionRecord,
    ExecutionSite,
    find_executions,
    save_execution,
)
from autosched.store.optuna_mirror import OptunaMirror
from autosched.store.probes import load_probes, save_probes
from autosched.store.purging import (
    Purged,
    Turned,
    count_turned_down,
    find_quarantined,
    lift_quarantine,
    purge_turned_down,
)
from autosched.store.studies import add_study
from autosched.store.trials import add_trial, list_trials
from tests.examples import records as examples

SITE = ExecutionSite("wormhole_b0", "0.81.1", "simulated", "sfpi")
INVALID = Rejection(RejectionKind.INVALID, "No space left on device")


def fill(store: Store) -> None:
    probe = examples.probe()
    for number, outcome in enumerate((INVALID, probe.outcome, examples.REJECTION)):
        key = replace(probe.key, config_digest=f"{number}")
        save_probes(store, [replace(probe, key=key, outcome=outcome)])
    for number, verdict in enumerate((Verdict.RIGHT, Verdict.WRONG)):
        save_execution(
            store, ExecutionKey("layer", f"{number}", "", "r", SITE), ExecutionRecord(verdict)
        )
    study = add_study(store, examples.study())
    add_trial(store, study, examples.trial())
    add_trial(store, study, replace(examples.rejected_trial(), rejection=INVALID))


def test_what_was_turned_down_goes_and_what_ran_stays(store: Store) -> None:
    fill(store)
    what = Turned({RejectionKind.INVALID.value, Verdict.WRONG.value})
    assert count_turned_down(store, what) == Purged(1, 1, 1)
    assert purge_turned_down(store, what) == Purged(1, 1, 1)
    assert count_turned_down(store, what) == Purged()
    key = examples.probe().key
    left = load_probes(store, [key.layer_signature], key.device, [key.revision])
    assert sorted(probe.config_digest for probe in left.probes) == ["1", "2"]
    assert len(find_executions(store, SITE, ["r"])) == 1
    study = replace(examples.study(), id=1)
    assert [trial.rejection for trial in list_trials(store, study)] == [None]


def test_only_since_a_moment_and_of_a_board(store: Store) -> None:
    fill(store)
    kinds = {RejectionKind.INVALID.value, Verdict.WRONG.value}
    hour = timedelta(hours=1)
    now = datetime.now(timezone.utc)
    assert count_turned_down(store, Turned(kinds, since=now + hour)) == Purged()
    assert count_turned_down(store, Turned(kinds, since=now - hour)) == Purged(1, 1, 0)
    assert count_turned_down(store, Turned(kinds, since=examples.MOMENT)) == Purged(1, 1, 1)
    assert count_turned_down(store, Turned(kinds, None, "p150", "blackhole")) == Purged()
    assert purge_turned_down(store, Turned(kinds, None, "n150", "wormhole_b0")) == Purged(1, 1, 1)


def test_a_mirror_is_made_again_once_numbers_are_given_again(store: Store) -> None:
    study = add_study(store, examples.study())
    other = add_study(store, examples.study("other"))
    first = add_trial(store, study, examples.trial())
    last = add_trial(store, study, replace(examples.rejected_trial(), rejection=INVALID))
    with OptunaMirror(store.url, study.name) as mirror, OptunaMirror(store.url, "other") as kept:
        mirror.catch_up([first, last])
        kept.catch_up([add_trial(store, other, examples.trial())])
    assert purge_turned_down(store, Turned({RejectionKind.INVALID.value})).trials == 1
    assert optuna.get_all_study_names(store.url) == ["autosched:other"]
    again = add_trial(store, study, examples.trial())
    assert again.number == last.number
    with OptunaMirror(store.url, study.name) as mirror:
        mirror.catch_up([first, again])
    trials = optuna.load_study(storage=store.url, study_name="autosched:resnet").trials
    assert [trial.state for trial in trials] == [optuna.trial.TrialState.COMPLETE] * 2


def test_what_other_code_was_answered_since_is_in_no_quarantine(store: Store) -> None:
    hang = Rejection(RejectionKind.HANG, "no answer within 60 s")
    save_probes(store, [examples.probe(outcome=hang, revision="before")])
    save_probes(store, [examples.probe("layer b", outcome=hang, revision="before")])
    assert [item.layer_signature for item in find_quarantined(store)] == ["layer a", "layer b"]
    save_probes(store, [examples.probe(), examples.probe("layer b", outcome=hang)])
    (held,) = find_quarantined(store)
    assert (held.layer_signature, held.number) == ("layer b", 4)
    assert lift_quarantine(store, [held.number]) == 1
    assert find_quarantined(store) == []
    assert load_probes(store, ["layer a"], examples.N150, {"before"}).probes
