from collections.abc import Mapping
from dataclasses import replace

import pytest

from autosched.device.revisions import execution_revision_of, reshard_execution_revision
from autosched.evidence.known_faults import KNOWN_FAULTS
from autosched.probing.known_wrong import BY_RULE, executed_configs, layer_config, reshard_config
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome, Verdict
from autosched.search.open_study import open_study
from autosched.search.study import Study
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


def opened(store: Store, studied: Studied, name: str = "judging") -> Study:
    device = Scripted(studied.device())
    return open_study(store, residual(), "n150", QUICK, name, device)


def best_config(studied: Studied, layer: str) -> tuple[ExecutedConfig, str]:
    """What the best schedule runs at a layer, and the revision of what executes it."""
    network, schedule = studied.network, studied.best.schedule
    assert schedule is not None
    outcome = studied.records.runs[schedule.fingerprint()]
    assert isinstance(outcome, RunOutcome)
    configs = dict(executed_configs(network, schedule, outcome.output_layouts))
    return configs[layer], execution_revision_of(type(network.by_name[layer].op))


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
    assert counts.left_out == {Verdict.WRONG.value: 1}


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
        assert study.probe_counts.left_out == {}


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
        assert study.probe_counts.left_out == {Verdict.WRONG.value: 1}
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
    configs = dict(executed_configs(studied.network, default.schedule, outcome.output_layouts))
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
    assert {trial.rejection.message for trial in rejected if trial.rejection} == {fault.words}
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
