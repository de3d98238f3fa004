"""A convolution or pool frees its first input where the schedule says so, and there alone."""

from dataclasses import replace

import pytest

from autosched.device.interface import ProbeRequest
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d, ConvTranspose2d, Input, LayerOp, Output, Pool2d
from autosched.schedule.configurations import LayerConfig, PoolConfig
from autosched.schedule.outcomes import ProbeOutcome, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import CoreRange, DataType, Edge
from tests.examples.device_layers import DRAM_8B, HEIGHT, height, ttnn_default

IMAGE = (1, 64, 56, 56)
SHARDS = height(64, 64, (CoreRange(0, 0, 6, 6),))
POOL = PoolConfig(output_dtype=DataType.BFLOAT8_B)
CASES: dict[str, tuple[LayerOp, LayerConfig, tuple[int, ...]]] = {
    "convolution": (Conv2d(64, 64, (3, 3), padding=(1, 1, 1, 1)), HEIGHT, IMAGE),
    "transposed": (ConvTranspose2d(64, 64, (2, 2), (2, 2)), HEIGHT, (1, 64, 112, 112)),
    "max pool": (Pool2d("max", (2, 2), (2, 2)), POOL, (1, 64, 28, 28)),
    "average pool": (Pool2d("avg", (2, 2), (2, 2)), POOL, (1, 64, 28, 28)),
}


def peak_bytes(worker: WorkerDevice, schedule: Schedule) -> int:
    outcome = worker.run(schedule)
    assert isinstance(outcome, RunOutcome), outcome
    return outcome.peak_l1_bytes


@pytest.mark.parametrize("case", CASES)
def test_a_layer_takes_less_where_it_frees_its_input(
    worker: WorkerDevice, network: Network, case: str
) -> None:
    op, config, shape = CASES[case]
    layers = (
        Layer("x", Input(), (), IMAGE),
        Layer("it", op, ("x",), shape),
        Layer("y", Output(), ("it",), shape),
    )
    alone = Network("alone", layers)
    base = ttnn_default(alone)
    kept = replace(base, layers={**base.layers, "it": config}, reshards={Edge("x", "it"): SHARDS})
    worker.load(alone)
    peaks = [peak_bytes(worker, replace(kept, frees=frozenset(names))) for names in ((), ("it",))]
    worker.load(network)
    assert peaks[0] > peaks[1]


@pytest.mark.parametrize("case", CASES)
def test_a_probe_frees_what_it_is_given_in_l1(worker: WorkerDevice, case: str) -> None:
    op, config, shape = CASES[case]
    outcome = worker.probe(ProbeRequest(op, (IMAGE,), shape, config, (SHARDS,)))
    assert isinstance(outcome, ProbeOutcome), outcome
    assert outcome.saved_by_freeing_bytes > 0


def test_a_probe_leaves_what_it_is_given_in_dram(worker: WorkerDevice) -> None:
    op, config, shape = CASES["transposed"]
    native, given = (
        worker.probe(ProbeRequest(op, (IMAGE,), shape, config, taken, (DRAM_8B,)))
        for taken in (None, (DRAM_8B,))
    )
    assert isinstance(native, ProbeOutcome)
    assert isinstance(given, ProbeOutcome)
    assert native.saved_by_freeing_bytes > given.saved_by_freeing_bytes == 0
