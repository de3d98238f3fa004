import re
from dataclasses import replace

import pytest
from sqlalchemy import delete, text, update

from autosched.cost.model import CostModel
from autosched.cost.model_choice import keep_calibration
from autosched.errors import SearchError, StudyError
from autosched.probing.probe_book import Phase
from autosched.schedule.outcomes import Rejection, RejectionKind, RunOutcome, TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.run import StopReason
from autosched.search.samplers.proposals import SAMPLERS
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from autosched.store import models
from autosched.store.database import Store
from autosched.store.trials import DEFAULT_SAMPLER, TrialRecord, list_trials
from tests.examples.devices import Scripted
from tests.examples.studied import QUICK, Studied, Watching, fresh

HANG = Rejection(RejectionKind.HANG, "no answer within 120 s")


def samplers(trials: list[TrialRecord]) -> list[str]:
    return [trial.sampler for trial in trials]


def test_ttnns_default_is_trial_0(either: Studied):
    first = either.trials[0]
    wanted = default_schedule(either.network, "n150", either.record.ttnn_version, Formats())
    assert first.schedule is not None
    assert (first.number, first.sampler) == (0, DEFAULT_SAMPLER)
    assert first.fingerprint == wanted.fingerprint()
    assert first.rejection is None
    assert samplers(either.trials[1:]) == ["joint"] * 3


def test_the_best_is_faster_than_the_default(either: Studied):
    default_us = either.trials[0].latency_us
    best = either.best
    assert best.latency_us is not None
    assert default_us is not None
    assert best.latency_us < default_us
    assert best.latency_us == min(trial.latency_us or 1e9 for trial in either.trials)


def test_the_best_schedule_says_where_it_comes_from(studied: Studied):
    best = studied.best
    assert best.schedule is not None
    made = best.schedule.provenance
    assert made.executed_fingerprint == best.fingerprint
    assert made.unexecuted is not None
    assert made.of_an_edit() == Provenance(
        network="residual",
        network_signature=studied.network.signature,
        board="n150",
        ttnn_version=studied.record.ttnn_version,
        batch=1,
        grid=(8, 8),
        study="residual-n150",
        trial=best.number,
        latency_us=best.latency_us,
        latency_kind=TimeKind.ESTIMATED,
        cost_model=best.cost_model,
        date=best.started_at.date().isoformat(),
    )


def test_whoever_watches_is_told_in_order(studied: Studied):
    watching = studied.watching
    (proof,) = watching.bounds
    assert (proof.bound_us, proof.optimal) == (studied.bound_us, True)
    assert [trial.number for trial in watching.trials] == [0, 1, 2, 3]
    bests = [best.latency_us for best in watching.bests if best and best.latency_us]
    assert len(bests) == 4
    assert bests == sorted(bests, reverse=True)
    assert watching.bests[-1] is not None
    assert watching.bests[-1].number == studied.best.number


def test_a_new_study_begins_with_a_first_look(studied: Studied, store: Store):
    """Its trial comes before most candidates are probed, and counts as one."""
    asked: list[int] = []

    class Counting(Watching):
        def on_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
            super().on_trial(trial, best)
            asked.append(len(device.probes))

    known = studied.records.probes
    refusal = Rejection(RejectionKind.INVALID, "never asked at effort quick")
    device = Scripted(studied.device(), probe=lambda request: known.get(request, refusal))
    watching = Counting()
    with fresh(studied, store, device, replace(QUICK, effort="default")) as study:
        study.optimize(trials=3, observer=watching)
    assert samplers(watching.trials) == [DEFAULT_SAMPLER, "joint", "joint"]
    assert asked[0] == 0
    assert asked[1] < 0.6 * asked[2]
    first, second = (trial.latency_us for trial in watching.trials[:2])
    assert first is not None
    assert second is not None
    assert second < first


def test_stored_probes_need_no_first_look(studied: Studied, store: Store):
    known = studied.records.probes
    refusal = Rejection(RejectionKind.INVALID, "never asked at effort quick")
    settings = replace(QUICK, effort="default")
    for trials in (0, 2):
        device = Scripted(studied.device(), probe=lambda request: known.get(request, refusal))
        with fresh(studied, store, device, settings) as study:
            best = study.optimize(trials=trials)
            assert best is not None
    assert samplers(study.trials) == [DEFAULT_SAMPLER, "joint", "joint"]
    assert study.trials[1].latency_us == pytest.approx(study.bound_us)


def test_no_trials_leave_the_default(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        best = study.optimize(trials=0)
        assert best is not None
        assert best.sampler == DEFAULT_SAMPLER
        assert study.bound_us == pytest.approx(studied.bound_us)


def test_a_notebook_shows_how_far_a_study_is(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        assert "<th>best</th><td>none yet</td>" in study._repr_html_()
        best = study.optimize(trials=0)
        shown = study._repr_html_()
    assert best is not None
    assert "<caption>Study fresh</caption>" in shown
    assert f"{best.latency_us:,.1f} µs (estimated), trial {best.number}" in shown
    assert "<th>proven bound</th>" in shown
    assert f"1.00x over ttnn&#x27;s default, which takes {best.latency_us:,.1f} µs" in shown


def test_a_notebook_shows_the_gain_and_the_gap(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        best = study.optimize(trials=2)
        shown = study._repr_html_()
    default = study.trials[0].latency_us
    assert best is not None
    assert best.latency_us
    assert default
    assert best.latency_us < default
    assert f"<th>gain</th><td>{default / best.latency_us:.2f}x over ttnn" in shown
    assert f"which takes {default:,.1f} µs (estimated)</td>" in shown
    assert ", gap 0.0%</td>" in shown


def test_a_study_goes_on_where_it_was(studied: Studied, probed: Store):
    """Numbers go on, the default is not run again, and no schedule is tried twice."""
    for trials in (2, 3):
        device = Scripted(studied.device())
        with fresh(studied, probed, device) as study:
            study.optimize(trials=trials)
    assert len(device.schedules) == 3
    trials = list_trials(probed, study.record)
    assert [trial.number for trial in trials] == list(range(5))
    assert samplers(trials) == [DEFAULT_SAMPLER, *["joint"] * 4]
    assert len({trial.fingerprint for trial in trials}) == 5


def test_the_probes_are_asked_for_once(studied: Studied, probed: Store):
    watching = Watching()
    with fresh(studied, probed) as study:
        joint = study.prepare(watching)
        told = len(watching.phases)
        assert study.prepare(watching) is joint
        assert len(watching.phases) == told > 0
        study.optimize(trials=1, observer=watching)
        assert study.prepare() is joint
    assert not {phase for phase, *_ in watching.phases[told:]} & {Phase.LAYERS, Phase.RESHARDS}
    assert study.probe_counts.run == 0


def test_the_phases_of_a_search_are_told_in_order(studied: Studied):
    seen = list(dict.fromkeys(phase for phase, *_ in studied.watching.phases))
    assert seen == [
        Phase.DEFAULT,
        Phase.LAYERS,
        Phase.RESHARDS,
        Phase.ORDERING,
        Phase.PROVING,
        Phase.SEARCHING,
    ]
    trials = [(done, total) for phase, done, total, _ in studied.watching.phases
              if phase is Phase.SEARCHING]  # fmt: skip
    assert trials == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_mirror_that_fails_is_a_warning(studied: Studied, probed: Store):
    with probed.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'v99.0.a'"))
    watching = Watching()
    with fresh(studied, probed) as study:
        best = study.optimize(trials=2, observer=watching)
        assert best is not None
        assert study.stopped is StopReason.TRIALS
    (warning,) = watching.warnings
    assert "Optuna cannot mirror the trials" in warning
    assert "The trials are stored" in warning


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_runs_a_study(studied: Studied, probed: Store, name: str):
    """Also where some of its schedules do not run, and after it is opened again."""
    for _ in range(2):
        with fresh(studied, probed, settings=replace(QUICK, sampler=name)) as study:
            best = study.optimize(trials=4)
            assert best is not None
    trials = study.trials
    assert samplers(trials) == [DEFAULT_SAMPLER, *[name] * 7]


def test_a_default_that_does_not_run_is_a_trial_all_the_same(studied: Studied, probed: Store):
    table = studied.device()

    def without_default(schedule: Schedule) -> RunOutcome | Rejection:
        is_default = studied.joint.find(schedule) is None
        return HANG if is_default else table.run(schedule)

    device = Scripted(table, run=without_default)
    with fresh(studied, probed, device) as study:
        best = study.optimize()
        assert best is not None
        assert best.number == 1
        first = study.trials[0]
    assert (first.number, first.sampler, first.rejection) == (0, DEFAULT_SAMPLER, HANG)


def test_a_default_that_hung_is_tried_again(studied: Studied, probed: Store):
    """A busy machine may have been the cause; a rejection for good is not asked twice."""
    with fresh(studied, probed, Scripted(studied.device(), run=lambda _: HANG)) as study:
        study.optimize(trials=1)
    with fresh(studied, probed) as study:
        study.optimize(trials=1)
        study.optimize(trials=1)
        found = study.trials
    assert samplers(found) == [DEFAULT_SAMPLER, DEFAULT_SAMPLER, "joint"]
    assert [trial.rejection for trial in found] == [HANG, None, None]


def test_estimates_of_two_cost_models_are_not_set_side_by_side(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        study.optimize(trials=1)
    (trial,) = study.trials
    with probed.writing() as session:
        session.execute(update(models.TrialRow).values(cost_model="wormhole_b0-0-gone"))
    with pytest.raises(StudyError, match=rf"-0-gone, .* by {trial.cost_model} do not compare"):
        fresh(studied, probed)


def calibrated(store: Store) -> None:
    """Keep a calibration that a new study would estimate with."""
    shipped = CostModel.load("wormhole_b0").coefficients
    keep_calibration(store, "newer", [replace(shipped, clock_ghz=1.5)])


def test_a_study_keeps_its_cost_model_after_a_rejection(studied: Studied, probed: Store):
    """Also where its last trial, or every one, was rejected."""
    table = studied.device()
    ran: list[Schedule] = []

    def once(schedule: Schedule) -> RunOutcome | Rejection:
        ran.append(schedule)
        return table.run(schedule) if len(ran) == 1 else HANG

    with fresh(studied, probed, Scripted(table, run=once)) as study:
        study.optimize(trials=2)
        shipped = study.cost.version
        assert [trial.rejection for trial in study.trials] == [None, HANG]
    calibrated(probed)
    with fresh(studied, probed) as study:
        assert study.cost.version == shipped
    with probed.writing() as session:
        session.execute(delete(models.TrialRow).where(models.TrialRow.rejection_kind.is_(None)))
    with fresh(studied, probed) as study:
        assert study.cost.version == shipped
    with probed.writing() as session:
        session.execute(delete(models.TrialRow))
    with fresh(studied, probed) as study:
        assert study.cost.version != shipped


def test_trials_of_several_cost_models_are_not_gone_on_with(studied: Studied, probed: Store):
    with fresh(studied, probed) as study:
        study.optimize(trials=2)
    first = update(models.TrialRow).where(models.TrialRow.number == 0)
    with probed.writing() as session:
        session.execute(first.values(cost_model="wormhole_b0-0-gone"))
    with pytest.raises(StudyError, match=r"estimated by several cost models .*-0-gone, "):
        fresh(studied, probed)


def test_what_is_to_be_done_on_closing_comes_after_the_device(studied: Studied, probed: Store):
    device = Scripted(studied.device())
    events: list[str] = []
    device.close = lambda: events.append("device")
    study = fresh(studied, probed, device)
    study.on_close(lambda: events.append("database"))
    study.close()
    assert events == ["device", "database"]


def test_a_study_in_which_nothing_runs(studied: Studied, probed: Store):
    with fresh(studied, probed, Scripted(studied.device(), run=lambda _: HANG)) as study:
        assert study.optimize(trials=3) is None
        trials = study.trials
        assert study.best is None
    assert [trial.rejection for trial in trials] == [HANG] * 3
    assert len({trial.fingerprint for trial in trials}) == 3


def test_where_no_layer_has_a_candidate_the_default_stands(studied: Studied, store: Store):
    refusing = Scripted(studied.device(), probe=lambda _: HANG)
    watching = Watching()
    with fresh(studied, store, refusing) as study:
        best = study.optimize(observer=watching)
        assert study.stopped is StopReason.NO_CHOICE
        assert samplers(study.trials) == [DEFAULT_SAMPLER]
    assert best is not None
    (warning,) = watching.warnings
    assert re.search(r"layer stem .* rejects every candidate", warning)


def test_where_nothing_ran_either_it_is_an_error(studied: Studied, store: Store):
    refusing = Scripted(studied.device(), probe=lambda _: HANG, run=lambda _: HANG)
    with fresh(studied, store, refusing) as study:
        with pytest.raises(SearchError, match=r"layer stem .* rejects every candidate"):
            study.optimize()
        assert samplers(study.trials) == [DEFAULT_SAMPLER]


def test_a_schedule_of_ones_own_is_a_trial(studied: Studied, probed: Store):
    schedule = studied.trials[2].schedule
    assert schedule is not None
    with fresh(studied, probed) as study:
        record = study.run(schedule, "by hand")
        assert (record.number, record.sampler) == (0, "by hand")
        assert study.trials == [replace(record, ops=())]


def test_what_is_learned_in_place_survives_a_restart(
    studied: Studied, probed: Store, cost: CostModel
):
    """The winner of the tables is slow in the network; the reopened study knows."""
    table = studied.device()
    best = studied.joint.find(studied.best.schedule)
    assert best is not None
    winner = best.candidates["conv1"]

    def slow(schedule: Schedule) -> RunOutcome | Rejection:
        ran = table.run(schedule)
        selection = studied.joint.find(schedule)
        if isinstance(ran, Rejection) or selection is None:
            return ran
        if selection.candidates["conv1"] != winner:
            return ran
        ops = tuple(
            replace(op, time_ns=1e6) if op.layer == "conv1" else op for op in cost.estimate(ran.ops)
        )
        return replace(ran, ops=ops)

    for trials_more in (2, 1):
        with fresh(studied, probed, Scripted(table, run=slow)) as study:
            study.optimize(trials=trials_more)
    trials = list_trials(probed, study.record)
    chosen = [
        studied.joint.find(trial.schedule).candidates["conv1"]
        for trial in trials[1:]
        if trial.schedule is not None
    ]
    assert chosen[0] == winner
    assert chosen[1] != winner
