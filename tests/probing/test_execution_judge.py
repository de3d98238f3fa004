import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from autosched.device.revisions import execution_revision_of, reshard_execution_revision
from autosched.evidence.known_faults import KNOWN_FAULTS
from autosched.evidence.table import ExecutedKinds, meetings
from autosched.probing.execution_judge import (
    BY_RULE,
    executed_steps,
    kind_of_request,
    layer_config,
    reshard_config,
)
from autosched.probing.probe_book import NEVER_EXECUTED, ProbeCounts
from autosched.report import words
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome, Verdict
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import ShardLayout
from autosched.search.open_study import open_study
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.space.efforts import find_effort
from autosched.store.database import Store
from autosched.store.executions import (
    SIMULATED,
    ExecutedConfig,
    ExecutionKey,
    ExecutionRecord,
    ExecutionSite,
    save_execution,
)
from autosched.store.trials import DEFAULT_SAMPLER
from tests.examples.devices import Scripted
from tests.examples.networks import residual
from tests.examples.studied import QUICK, Studied, Watching

WRONG = ExecutionRecord(Verdict.WRONG, 0.4, 0.3, "concordance 0.3000")
SITE = ExecutionSite("wormhole_b0", "0.81.1", SIMULATED, "0123")


def note(
    store: Store, config: ExecutedConfig, revision: str, result: ExecutionRecord = WRONG
) -> None:
    save_execution(store, ExecutionKey(*config, revision, SITE), result)


def opened(
    store: Store, studied: Studied, name: str = "judging", settings: Settings = QUICK
) -> Study:
    device = Scripted(studied.device())
    return open_study(store, residual(), "n150", settings, name, device)


def best_config(studied: Studied, layer: str) -> tuple[ExecutedConfig, str]:
    """What the best schedule runs at a layer, and the revision of what executes it."""
    network, schedule = studied.network, studied.best.schedule
    assert schedule is not None
    outcome = studied.records.runs[schedule.fingerprint()]
    assert isinstance(outcome, RunOutcome)
    steps = executed_steps(network, schedule, outcome.output_layouts)
    configs = {step.place: step.config for step in steps}
    return configs[layer], execution_revision_of(type(network.by_name[layer].op))


def by_execution(counts: ProbeCounts) -> dict[str, int]:
    """What was left out as executed, not by a rule."""
    return {reason: number for reason, number in counts.left_out.items() if reason != BY_RULE}


def convolution(studied: Studied) -> str:
    return next(name for name in studied.network.by_name if name.startswith("conv"))


def test_a_candidate_that_executed_wrong_is_no_candidate(studied: Studied, probed: Store) -> None:
    name = convolution(studied)
    config, revision = best_config(studied, name)
    note(probed, config, revision)
    with opened(probed, studied) as study:
        joint = study.prepare()
        layer = joint.network.by_name[name]
        left = {
            layer_config(joint.network, layer, choice.config, choice.input_layouts)
            for choice in joint.everything(name)
        }
        counts = study.probe_counts
    assert config not in left
    assert left
    assert by_execution(counts) == {Verdict.WRONG.value: 1}


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ({}, ExecutionRecord(Verdict.RIGHT, 1.0, 1.0)),
        ({}, ExecutionRecord(Verdict.DOES_NOT_COMPILE, message="build failed")),
        ({"revision": "of other code"}, WRONG),
        ({"ttnn_version": "0.1"}, WRONG),
        ({"arch": "blackhole"}, WRONG),
    ],
)
def test_what_does_not_count_leaves_nothing_out(
    studied: Studied, probed: Store, changed: Mapping[str, str], result: ExecutionRecord
) -> None:
    config, revision = best_config(studied, convolution(studied))
    site = ExecutionSite(
        changed.get("arch", SITE.arch),
        changed.get("ttnn_version", SITE.ttnn_version),
        SIMULATED,
        "0123",
    )
    key = ExecutionKey(*config, changed.get("revision", revision), site)
    save_execution(probed, key, result)
    with opened(probed, studied) as study:
        study.prepare()
        assert by_execution(study.probe_counts) == {}


def test_a_reshard_that_executed_wrong_cannot_be_chosen(studied: Studied, probed: Store) -> None:
    request = next(
        request
        for request, answer in studied.records.reshards.items()
        if isinstance(answer, ProbeOutcome) and answer.output_layout == request.target
    )
    config = reshard_config(request.shape, request.source, request.target)
    note(probed, config, reshard_execution_revision())
    with opened(probed, studied) as study:
        tables = [*study.prepare().reshards.values(), *study.prepare().spills.values()]
        assert by_execution(study.probe_counts) == {Verdict.WRONG.value: 1}
    shapes = {
        edge.producer: studied.network.by_name[edge.producer].shape
        for edge in studied.network.edges
    }
    assert request.shape in shapes.values()
    pair = (request.source, request.target)
    assert any(pair in table.impossible for table in tables)


def test_a_search_does_without_it_and_rejects_what_ran_before(
    studied: Studied, probed: Store
) -> None:
    assert studied.best.schedule is not None
    device = Scripted(studied.device())
    with open_study(probed, residual(), "n150", QUICK, studied.record.name, device) as study:
        before = study.best
    assert before is not None
    config, revision = best_config(studied, convolution(studied))
    note(probed, config, revision)
    with opened(probed, studied, studied.record.name) as study:
        watching = Watching()
        best = study.optimize(trials=2, observer=watching)
        trials = {trial.number: trial for trial in study.trials}
        bound_us = study.bound_us
    assert before.number is not None
    rejected = trials[before.number].rejection
    assert rejected is not None
    assert rejected.kind is RejectionKind.ACCURACY
    assert rejected.layer == convolution(studied)
    assert "simulated alone: wrong" in rejected.message
    assert best is not None
    assert best.number != before.number
    assert bound_us is not None
    assert bound_us >= studied.bound_us


def test_ttnns_default_counts_only_as_far_as_it_computes_right(
    studied: Studied, probed: Store
) -> None:
    default = next(trial for trial in studied.trials if trial.sampler == DEFAULT_SAMPLER)
    assert default.schedule is not None
    outcome = studied.records.runs[default.fingerprint]
    assert isinstance(outcome, RunOutcome)
    name = convolution(studied)
    steps = executed_steps(studied.network, default.schedule, outcome.output_layouts)
    configs = {step.place: step.config for step in steps}
    note(probed, configs[name], execution_revision_of(type(studied.network.by_name[name].op)))
    with opened(probed, studied) as study:
        study.optimize(trials=2)
        (found,) = [trial for trial in study.trials if trial.sampler == DEFAULT_SAMPLER]
    assert isinstance(found.rejection, Rejection)
    assert found.rejection.kind is RejectionKind.ACCURACY
    assert found.latency_us is None  # a time of wrong numbers is no time to compare with


def test_a_best_trial_that_is_known_to_go_wrong_since_is_rejected_by_its_ops(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is run for that: the stored device ops tell."""
    name = convolution(studied)
    assert studied.best.schedule is not None
    op, config = studied.network.by_name[name].op, studied.best.schedule.layers[name]
    fault = replace(KNOWN_FAULTS[0], applies=lambda found: (found.op, found.config) == (op, config))
    monkeypatch.setattr("autosched.evidence.known_faults.KNOWN_FAULTS", (fault,))
    with opened(probed, studied, studied.record.name) as study:
        best = study.optimize(trials=1)
        rejected = [trial for trial in study.trials if trial.rejection is not None]
        assert study.probe_counts.left_out[BY_RULE] >= 1
    assert studied.best.number in [trial.number for trial in rejected]
    known = {
        trial.rejection.message
        for trial in rejected
        if trial.rejection and trial.rejection.kind is RejectionKind.ACCURACY
    }
    assert known == {fault.words}
    assert best is not None
    assert best.schedule is not None
    assert best.schedule.layers[name] != config


def test_ttnns_default_that_went_wrong_by_a_former_lowering_runs_again(
    studied: Studied, probed: Store
) -> None:
    default = next(trial for trial in studied.trials if trial.sampler == DEFAULT_SAMPLER)
    assert default.number is not None
    with opened(probed, studied, studied.record.name) as study:
        before = len(study.trials)
        reject = Rejection(RejectionKind.ACCURACY, "left out", "conv1")
        verdicts = iter([reject])
        judge = study._book.judge
        assert judge is not None
        judge.against_ops = lambda _schedule, _ops: next(verdicts, None)  # type: ignore[method-assign]
        study.optimize(trials=1)
        trials = study.trials
    assert trials[default.number].rejection == reject
    again = [trial for trial in trials[before:] if trial.sampler == DEFAULT_SAMPLER]
    assert [trial.rejection for trial in again] == [None]


def kinds_but(studied: Studied, pattern: str) -> ExecutedKinds:
    """All kinds of the studied network's candidates as executed, but those of a pattern."""
    outcomes = [
        (request, answer)
        for answers in (studied.records.probes, studied.records.reshards)
        for request, answer in answers.items()
        if isinstance(answer, ProbeOutcome)
    ]
    kinds = {
        kind_of_request(request, outcome.input_layouts, outcome.output_layout)
        for request, outcome in outcomes
    } - {""}
    left = [kind for kind in kinds if not re.match(pattern, kind)]
    assert len(left) < len(kinds)
    return ExecutedKinds(frozenset(found for kind in left for found in meetings(kind)))


def with_kinds(monkeypatch: pytest.MonkeyPatch, kinds: ExecutedKinds) -> None:
    monkeypatch.setattr("autosched.probing.execution_judge.shipped_kinds", lambda *_: kinds)


def shardings(study: Study) -> set[ShardLayout | None]:
    joint = study.prepare()
    return {
        choice.config.shard_layout
        for name in joint.tables
        for choice in joint.everything(name)
        if isinstance(choice.config, Conv2dConfig)
    }


def searched(store: Store, studied: Studied, name: str = "judging") -> Schedule:
    with opened(store, studied, name) as study:
        best = study.optimize(trials=2)
    assert best is not None
    assert best.schedule is not None
    return best.schedule


def test_a_kind_that_nobody_executed_is_left_out_and_said_to_be(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, kinds_but(studied, "Conv2d.*asked block"))
    with opened(probed, studied) as study:
        best = study.optimize(trials=2)
        found = shardings(study)
        left_out = study.probe_counts.left_out[NEVER_EXECUTED]
    assert ShardLayout.BLOCK not in found
    assert ShardLayout.HEIGHT in found
    assert left_out > 0
    assert words.left_out({NEVER_EXECUTED: 3}) == "3 candidates left out: of kinds never executed"
    assert best is not None
    assert best.schedule is not None
    assert best.schedule.provenance.unexecuted == ()


def test_at_effort_full_it_is_offered(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, kinds_but(studied, "Conv2d.*asked block"))
    settings = replace(QUICK, effort=replace(find_effort("quick"), unexecuted=True))
    with opened(probed, studied, settings=settings) as study:
        assert ShardLayout.BLOCK in shardings(study)
        assert NEVER_EXECUTED not in study.probe_counts.left_out


def test_a_layer_of_which_nothing_was_executed_is_named(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, kinds_but(studied, "Linear"))
    made = searched(probed, studied).provenance
    assert made.unexecuted == ("fc",)
    assert made.verified == "not executed; kinds of layers never executed: fc"


def test_what_ttnns_default_chose_is_always_offered(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, kinds_but(studied, "Conv2d.*asked nothing"))
    with opened(probed, studied) as study:
        assert None in shardings(study)


def test_what_was_executed_itself_needs_no_kind(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, kinds_but(studied, "Linear"))
    schedule = searched(probed, studied)
    network = studied.network
    layer = network.by_name["fc"]
    device = studied.device()
    device.load(network)
    outcome = device.run(schedule)
    assert isinstance(outcome, RunOutcome)
    steps = executed_steps(network, schedule, outcome.output_layouts)
    config = next(step.config for step in steps if step.place == "fc")
    right = ExecutionRecord(Verdict.RIGHT, 1.0, 1.0)
    note(probed, config, execution_revision_of(type(layer.op)), right)
    assert searched(probed, studied, "again").provenance.unexecuted == ()


def test_a_reshard_whose_kind_nobody_executed_is_left_out(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, kinds_but(studied, "reshard"))
    with opened(probed, studied) as study:
        joint = study.prepare()
        assert study.probe_counts.left_out[NEVER_EXECUTED] > 0
    assert not any(table.times_us for table in joint.reshards.values())
    assert any(table.impossible for table in joint.reshards.values())


def test_without_a_table_nothing_is_left_out(
    studied: Studied, probed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_kinds(monkeypatch, ExecutedKinds(frozenset()))
    with opened(probed, studied) as study:
        best = study.optimize(trials=2)
        assert NEVER_EXECUTED not in study.probe_counts.left_out
    assert best is not None
    assert best.schedule is not None
    assert set(best.schedule.provenance.unexecuted or ()) >= {"conv1", "fc"}
