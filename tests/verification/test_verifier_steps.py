import pytest

from autosched.device.interface import ProbeRequest, ReshardRequest
from autosched.device.revisions import current_execution_revisions
from autosched.network.operators import Input
from autosched.network.read_layouts import UPLOADED
from autosched.probing.execution_judge import layer_config
from autosched.schedule.outcomes import RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.store.executions import SIMULATED, ExecutionSite
from autosched.verification.verifier import (
    ExecutionStep,
    candidate_steps,
    distinct_steps,
    schedule_steps,
)
from tests.examples.studied import Studied

SITE = ExecutionSite("wormhole_b0", "0.81.1", SIMULATED, "0123")


def best(studied: Studied) -> tuple[Schedule, RunOutcome]:
    schedule = studied.best.schedule
    assert schedule is not None
    outcome = studied.records.runs[schedule.fingerprint()]
    assert isinstance(outcome, RunOutcome)
    return schedule, outcome


@pytest.fixture
def steps(either: Studied) -> list[ExecutionStep]:
    schedule, outcome = best(either)
    return schedule_steps(either.joint.network, schedule, outcome.output_layouts)


def test_every_layer_and_change_of_layout_is_there_once(
    either: Studied, steps: list[ExecutionStep]
) -> None:
    schedule, _ = best(either)
    places = [place for step in steps for place in step.places]
    assert len(places) == len(set(places))
    assert set(schedule.layers) <= set(places)
    assert {str(edge) for edge in schedule.reshards} <= set(places)
    assert len({step.config for step in steps}) == len(steps)


def test_equal_layers_are_one_step(studied: Studied) -> None:
    schedule, outcome = best(studied)
    found = schedule_steps(studied.network, schedule, outcome.output_layouts)
    twice = distinct_steps([*found, *found])
    assert twice == found


def test_a_step_asks_for_what_was_probed(either: Studied, steps: list[ExecutionStep]) -> None:
    reshards = [step.request for step in steps if isinstance(step.request, ReshardRequest)]
    assert set(reshards) <= set(either.records.reshards)
    for step in steps:
        if isinstance(step.request, ProbeRequest) and isinstance(step.request.op, Input):
            assert step.request.input_layouts == (UPLOADED,)


def test_a_key_is_of_todays_code(steps: list[ExecutionStep]) -> None:
    keys = [step.key(SITE) for step in steps]
    assert {key.revision for key in keys} <= current_execution_revisions()
    assert [key.config for key in keys] == [step.config for step in steps]


def test_the_fastest_candidates_of_each_layer(studied: Studied) -> None:
    joint = studied.joint
    found = {step.config for step in candidate_steps(joint, 2)}
    wanted = {
        layer_config(joint.network, layer, choice.config, choice.input_layouts)
        for layer in joint.network
        for choice in joint.tables[layer.name][:2]
    }
    assert found == wanted
    assert candidate_steps(joint, 0) == []
