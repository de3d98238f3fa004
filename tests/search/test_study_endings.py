"""Why a search ends, and how one goes on that was cut short."""

import time
from dataclasses import replace
from typing import Any

import pytest

from autosched.budget import UNLIMITED, Budget
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.probing.problem_builder import build_problem
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.search.run import StopReason
from autosched.search.samplers.proposals import SAMPLERS
from autosched.store.database import Store
from autosched.store.trials import DEFAULT_SAMPLER, TrialRecord, list_trials
from tests.examples.devices import Scripted
from tests.examples.studied import QUICK, Studied, Watching, fresh


def sluggish(studied: Studied, seconds: float) -> Scripted:
    """A device that takes its time for a trial."""
    table = studied.device()

    def run(schedule: Schedule) -> RunOutcome | Rejection:
        time.sleep(seconds)
        return table.run(schedule)

    return Scripted(table, run=run)


def test_it_ends_when_the_proven_bound_is_reached(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        best = study.optimize()
        assert best is not None
        assert study.bound_us is not None
        assert best.latency_us == pytest.approx(study.bound_us)
        assert [trial.sampler for trial in study.trials] == [DEFAULT_SAMPLER, "joint"]
        study.optimize()
        assert len(study.trials) == 2


def test_a_named_number_of_trials_is_run_whatever_the_bound(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        study.optimize(trials=5)
        fingerprints = [trial.fingerprint for trial in study.trials]
    assert len(fingerprints) == len(set(fingerprints)) == 5


def test_time_that_is_up_ends_the_probing(studied: Studied, store: Store):
    """What was probed until then is kept."""
    device = sluggish(studied, 0.5)
    with fresh(studied, store, device) as study:
        best = study.optimize(timeout_s=0.4)
        assert best is not None
        assert best.sampler == DEFAULT_SAMPLER
        assert study.bound_us is None
        assert device.probes == []
        assert study.stopped is StopReason.TIME


def test_what_time_cut_short_is_made_anew(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
):
    """A bound for which there was no time to probe is not that of the next search."""
    limits: list[Budget] = []

    def late(*given: Any, budget: Budget, **named: Any) -> JointProblem:
        limits.append(budget)
        joint = build_problem(*given, **named)
        time.sleep(0.0 if budget == UNLIMITED else budget.left_s)
        return joint

    monkeypatch.setattr("autosched.search.loop.build_problem", late)
    with fresh(studied, probed) as study:
        study.optimize(timeout_s=1.0)
        assert study.stopped is StopReason.TIME
        joint = study.prepare()
        assert study.prepare() is joint
    assert len(limits) == 2


def test_time_that_is_up_ends_the_trials(studied: Studied, probed: Store):
    """Within 2 s; a trial takes 0.1 s, and 10,000 would be run."""
    with fresh(studied, probed, sluggish(studied, 0.1)) as study:
        study.prepare()
        begin = time.monotonic()
        study.optimize(trials=10_000, timeout_s=0.5)
        assert time.monotonic() - begin < 2.5
        assert 1 <= len(study.trials) <= 5
        assert study.stopped is StopReason.TIME


def test_time_that_is_up_ends_a_layers_probes(studied: Studied, store: Store):
    """Between two probes, not after the layer."""
    known = studied.records.probes

    def slow(request: object) -> ProbeOutcome | Rejection:
        time.sleep(0.1)
        return known[request]

    device = Scripted(studied.device(), probe=slow)
    with fresh(studied, store, device) as study:
        begin = time.monotonic()
        study.optimize(timeout_s=0.5)
        assert time.monotonic() - begin < 2.5
        assert 1 <= len(device.probes) <= 5
        assert study.stopped is StopReason.TIME


def test_a_search_says_why_it_stopped(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        assert study.stopped is None
        study.optimize(trials=1)
        assert study.stopped is StopReason.TRIALS
        study.optimize()
        assert study.stopped is StopReason.BOUND
        with pytest.raises(KeyboardInterrupt):
            study.optimize(trials=2, observer=Interrupting("trial", 1))
        assert study.stopped is StopReason.INTERRUPTED


def only_the_default(studied: Studied) -> Scripted:
    """A device that says of every other schedule that its input cannot be converted so."""
    table = studied.device()

    def run(schedule: Schedule) -> RunOutcome | Rejection:
        if studied.joint.find(schedule) is None:
            return table.run(schedule)
        return Rejection(RejectionKind.INVALID, "no such conversion", "x")

    return Scripted(table, run=run)


def test_when_all_proposals_were_tried_the_best_is_there(studied: Studied, probed: Store):
    """The learned constraints leave nothing; going on says so again, and runs nothing."""
    ways = len(studied.joint.tables["x"])
    for _ in range(2):
        device = only_the_default(studied)
        with fresh(studied, probed, device) as study:
            best = study.optimize(trials=1000)
            assert best is not None
            assert best.sampler == DEFAULT_SAMPLER
            assert study.stopped is StopReason.EXHAUSTED
            assert len(study.trials) == 1 + ways
    assert device.schedules == []


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_no_sampler_runs_a_schedule_twice(studied: Studied, probed: Store, name: str):
    """One layer has several candidates, and one tensor a spill: soon all have been tried."""
    with fresh(studied, probed, settings=replace(QUICK, sampler=name)) as study:
        joint = study.prepare()
        study._joint = JointProblem(
            joint.network,
            {
                layer: choices[: 3 if layer == "conv1" else 1]
                for layer, choices in joint.tables.items()
            },
            joint.reshards,
            joint.spills,
            joint.board,
        )
        study.optimize(trials=200)
        assert study.stopped is StopReason.EXHAUSTED
        fingerprints = [trial.fingerprint for trial in study.trials]
    assert 4 <= len(fingerprints) == len(set(fingerprints)) < 20


class Interrupting(Watching):
    """Presses Ctrl-C at one event."""

    def __init__(self, event: str, number: int) -> None:
        super().__init__()
        self.event = event
        self.left = number

    def _happened(self, event: str) -> None:
        if event == self.event:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        super().on_phase(phase, done, total, detail, counts)
        if phase in (Phase.LAYERS, Phase.RESHARDS):
            self._happened("probing")

    def on_bound(self, proof: Proof) -> None:
        super().on_bound(proof)
        self._happened("bound")

    def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        super().on_trial(trial, best)
        self._happened("trial")


@pytest.mark.parametrize(
    ("event", "number", "stored"),
    [("probing", 1, 1), ("probing", 6, 1), ("bound", 1, 1), ("trial", 1, 1), ("trial", 3, 3)],
)
def test_an_interrupted_study_goes_on(
    studied: Studied, store: Store, event: str, number: int, stored: int
):
    first = Scripted(studied.device())
    with fresh(studied, store, first) as study, pytest.raises(KeyboardInterrupt):
        study.optimize(trials=4, observer=Interrupting(event, number))
    assert len(list_trials(store, study.record)) == stored
    second = Scripted(studied.device())
    with fresh(studied, store, second) as study:
        study.optimize(trials=4)
        counts = study.probe_counts
    asked = len(first.probes) + len(first.reshards)
    assert counts.reused == asked
    assert counts.run == len(second.probes) + len(second.reshards)
    assert counts.run + counts.reused == studied.counts.run
    trials = list_trials(store, study.record)
    assert [trial.number for trial in trials] == list(range(stored + 4))
    assert [trial.sampler for trial in trials] == [DEFAULT_SAMPLER, *["joint"] * (stored + 3)]
    assert len({trial.fingerprint for trial in trials}) == stored + 4


def test_ctrl_c_while_the_device_answers(studied: Studied, store: Store):
    """The probe in flight is lost, none that was answered."""

    def pressed(request: object) -> ProbeOutcome | Rejection:
        if len(device.probes) > 30:
            raise KeyboardInterrupt
        return studied.records.probes[request]

    device = Scripted(studied.device(), probe=pressed)
    with fresh(studied, store, device) as study, pytest.raises(KeyboardInterrupt):
        study.optimize()
    with fresh(studied, store) as study:
        study.prepare()
        assert study.probe_counts.reused == 30
