"""What every device must do, run over all of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from autosched.budget import Budget
from autosched.device.interface import Device, ReshardRequest, answers
from autosched.device.pool import open_pool
from autosched.device.worker import WorkerDevice
from autosched.errors import DeviceError, TimeUpError
from autosched.network.graph import Network
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.tensors import DRAM_TILE, Edge
from tests.examples import device_layers as examples
from tests.examples.device_layers import FITS, POOLED, sharded_schedule, ttnn_default
from tests.examples.devices import ReplayDevice
from tests.examples.layouts import DRAM_8B, ROWS_IN_DRAM
from tests.examples.networks import BOARD

SPILL = ReshardRequest((1, 64, 16, 16), POOLED, DRAM_8B)
IMPOSSIBLE_RESHARD = replace(SPILL, target=replace(POOLED, shard_shape=(32, 48)))


def recording(device: Device, network: Network) -> ReplayDevice:
    """Replay of what ``device`` answers to the requests of this file."""
    device.load(network)
    schedules = (ttnn_default(network), broken_schedule(network))
    probes = (examples.FITS, examples.BAD_BLOCK)
    reshards = (SPILL, IMPOSSIBLE_RESHARD)
    return ReplayDevice(
        BOARD,
        {request: device.probe(request) for request in probes},
        {request: device.reshard(request) for request in reshards},
        {schedule.fingerprint(): device.run(schedule) for schedule in schedules},
    )


def broken_schedule(network: Network) -> object:
    schedule = sharded_schedule(network)
    return replace(schedule, reshards={Edge("pool", "point"): IMPOSSIBLE_RESHARD.target})


Opening = Callable[[], AbstractContextManager[Device]]


@pytest.fixture(params=["mock", "pool", "replay"], scope="module")
def device(
    request: pytest.FixtureRequest, worker: WorkerDevice, network: Network
) -> Iterator[Device]:
    """Each kind of device; a new one goes here."""
    devices: dict[str, Opening] = {
        "mock": lambda: nullcontext(worker),
        "pool": lambda: open_pool(BOARD, jobs=2),
        "replay": lambda: recording(worker, network),
    }
    with devices[request.param]() as opened:
        opened.load(network)
        yield opened


def test_it_says_what_it_is(device: Device) -> None:
    assert (device.board, device.kind) == (BOARD, "mock")


def test_a_probe_is_an_outcome(device: Device) -> None:
    outcome = device.probe(examples.FITS)
    assert isinstance(outcome, ProbeOutcome)
    assert outcome.ops
    assert len(outcome.input_layouts) == 1
    assert 0 < outcome.circular_buffer_bytes <= outcome.scratch_bytes < outcome.peak_l1_bytes
    assert outcome.time_us is None


def test_whose_time_is_up_gets_no_answer(device: Device, network: Network) -> None:
    up = Budget.of(0.0)
    for ask in (
        lambda: device.probe(examples.FITS, up),
        lambda: device.reshard(SPILL, up),
        lambda: device.run(ttnn_default(network), up),
        lambda: device.load(network, up),
    ):
        with pytest.raises(TimeUpError):
            ask()
    assert isinstance(device.probe(examples.FITS, Budget.of(60)), ProbeOutcome)


def test_several_requests_are_answered_each(device: Device) -> None:
    requests = [examples.FITS, SPILL, examples.BAD_BLOCK, IMPOSSIBLE_RESHARD]
    answered = dict(answers(device, requests))
    assert [type(answered[place]) for place in range(4)] == [ProbeOutcome, ProbeOutcome] + [
        Rejection
    ] * 2
    assert answered[0] == device.probe(examples.FITS)


def test_a_probe_that_fails_is_a_rejection(device: Device) -> None:
    outcome = device.probe(examples.BAD_BLOCK)
    assert isinstance(outcome, Rejection)
    assert outcome.kind is RejectionKind.INVALID
    assert "act_block_h_override" in outcome.message


def test_answers_repeat(device: Device) -> None:
    assert device.probe(examples.FITS) == device.probe(examples.FITS)


def test_a_reshard_is_an_outcome(device: Device) -> None:
    outcome = device.reshard(SPILL)
    assert isinstance(outcome, ProbeOutcome)
    assert (outcome.input_layouts, outcome.output_layout) == ((POOLED,), DRAM_8B)
    assert [op.code for op in outcome.ops] == ["ShardedToInterleavedDeviceOperation"]


def test_a_reshard_that_fails_is_a_rejection(device: Device) -> None:
    assert isinstance(device.reshard(IMPOSSIBLE_RESHARD), Rejection)


def test_a_run_is_an_outcome(device: Device, network: Network) -> None:
    outcome = device.run(ttnn_default(network))
    assert isinstance(outcome, RunOutcome)
    assert list(outcome.output_layouts) == [layer.name for layer in network]
    assert {op.layer for op in outcome.ops} <= set(outcome.output_layouts)
    assert outcome.latency_us is None


def test_a_run_that_fails_is_a_rejection_that_names_the_place(
    device: Device, network: Network
) -> None:
    outcome = device.run(broken_schedule(network))
    assert isinstance(outcome, Rejection)
    assert outcome.layer == "pool -> point"


def test_replay_rejects_what_was_not_recorded(network: Network) -> None:
    with ReplayDevice(BOARD, {}, {}, {}, kind="silicon") as device:
        device.load(network)
        answers = [
            device.probe(examples.FITS),
            device.reshard(SPILL),
            device.run(ttnn_default(network)),
        ]
        device.close()
    assert answers == [Rejection(RejectionKind.INVALID, "not recorded")] * 3
    assert device.kind == "silicon"


def test_replay_runs_nothing_before_a_network_is_loaded(network: Network) -> None:
    with pytest.raises(DeviceError, match="call load"):
        ReplayDevice(BOARD, {}, {}, {}).run(ttnn_default(network))


def test_one_source_layout_is_for_all_inputs() -> None:
    assert FITS.sources == (DRAM_TILE,)
    both = replace(FITS, input_shapes=FITS.input_shapes * 2)
    assert both.sources == (DRAM_TILE, DRAM_TILE)
    assert replace(both, source_layouts=(DRAM_TILE, ROWS_IN_DRAM)).sources == (
        DRAM_TILE,
        ROWS_IN_DRAM,
    )
