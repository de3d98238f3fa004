from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from autosched.bench.executions import (
    Accepted,
    Executed,
    accepted_candidates,
    execute_candidates,
    minimised,
    most_telling,
    random_sample,
)
from autosched.device.interface import LayerTest, ProbeRequest, ReshardRequest
from autosched.device.worker import WorkerDevice
from autosched.evidence.table import meetings
from autosched.network.operators import Activation, Conv2d, Output
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import (
    Agreement,
    LayerExecution,
    Rejection,
    RejectionKind,
)
from autosched.schedule.tensors import DRAM_TILE, ShardLayout
from autosched.space.efforts import FIRST_LOOK
from autosched.store.database import Store
from tests.examples.networks import BOARD

RIGHT = LayerExecution(Agreement(1.0, 1.0, 0.0, 1.0), varies=False)
WRONG = replace(RIGHT, agreement=Agreement(0.9999, 0.8, 1.0, 1.0))
CONV = ProbeRequest(
    Conv2d(64, 128, (3, 3), padding=(1, 1, 1, 1), activation=Activation("relu")),
    ((2, 64, 16, 16),),
    (2, 128, 16, 16),
    Conv2dConfig(shard_layout=ShardLayout.HEIGHT),
)


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerDevice]:
    with WorkerDevice(BOARD) as device:
        yield device


def candidate(kind: str) -> Accepted:
    return Accepted("random network 0", 0, ReshardRequest((1, 8, 8, 8), DRAM_TILE, DRAM_TILE), kind)


class Faulty:
    """Executes convolutions of more than 32 channels wrong."""

    def __init__(self) -> None:
        self.tests: list[LayerTest] = []

    def execute_layer(self, test: LayerTest) -> LayerExecution:
        self.tests.append(test)
        assert isinstance(test.request, ProbeRequest)
        assert isinstance(test.request.op, Conv2d)
        return WRONG if test.request.op.out_channels > 32 else RIGHT


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (RIGHT, True),
        (WRONG, False),
        (replace(RIGHT, varies=True), False),
        (Rejection(RejectionKind.HANG, "no answer"), False),
        (Rejection(RejectionKind.CRASH, "the worker process died of SIGKILL"), True),
        (Rejection(RejectionKind.INVALID, "trisc1 build failed"), True),
    ],
)
def test_only_what_speaks_against_a_candidate_is_wrong(
    answer: LayerExecution | Rejection, right: bool
):
    assert Executed(candidate("a"), answer, 0.0).is_wrong(0.99) is not right


def test_what_tells_most_comes_first_and_what_tells_nothing_not_at_all():
    met = set(meetings("conv, a, b"))
    offered = [candidate(kind) for kind in ("conv, a, b", "conv, a, c", "conv, a, c, d")]
    chosen = most_telling(offered, met, 5, Random(0))
    assert [item.kind for item in chosen] == ["conv, a, c, d"]


def test_one_candidate_is_executed_whatever_it_tells():
    offered = [candidate("conv, a, b"), candidate("conv, a, b")]
    assert len(most_telling(offered, set(meetings("conv, a, b")), 5, Random(0))) == 1
    assert most_telling([], set(), 5, Random(0)) == []


def test_the_candidates_are_those_of_a_search(worker: WorkerDevice, store: Store):
    found = accepted_candidates(random_sample(2), BOARD, worker, store, FIRST_LOOK)
    requests = [item.request for item in found]
    assert any(isinstance(request, ReshardRequest) for request in requests)
    probes = [request for request in requests if isinstance(request, ProbeRequest)]
    assert {type(request.op).__name__ for request in probes} >= {"Conv2d", "Input"}
    assert not any(isinstance(request.op, Output) for request in probes)
    assert all(request.input_layouts for request in probes if isinstance(request.op, Conv2d))


def test_what_is_wrong_is_made_small(worker: WorkerDevice):
    faulty = Faulty()
    (found,) = execute_candidates([Accepted("random network 3", 3, CONV, "conv")], faulty)
    small = minimised(found, faulty, worker, 0.99).candidate
    assert isinstance(small.request, ProbeRequest)
    assert isinstance(small.request.op, Conv2d)
    assert small.seed == 3
    assert small.request.op.activation is None
    assert small.request.op.in_channels == 32
    assert small.request.op.out_channels == 64
    assert small.request.input_shapes == ((1, 32, 4, 4),)
    assert small.request.input_layouts is not None
