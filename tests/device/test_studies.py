"""Every ready-made network at a small size, as ttnn has it, on the mock device."""

import pytest

from autosched.device.worker import WorkerDevice
from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.schedule.outcomes import RunOutcome
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.examples.networks import BOARD
from tests.examples.small_studies import CASES, small_inputs, study_module


@pytest.mark.parametrize("name", CASES)
def test_a_study_runs_as_ttnn_has_it(worker: WorkerDevice, network: Network, name: str) -> None:
    small = capture(study_module(name), small_inputs(name), name)
    worker.load(small)
    outcome = worker.run(default_schedule(small, BOARD.name, "", Formats()))
    worker.load(network)
    assert isinstance(outcome, RunOutcome), outcome
    assert {op.layer for op in outcome.ops} <= {layer.name for layer in small}
    assert len(outcome.output_layouts) == len(small.layers)
