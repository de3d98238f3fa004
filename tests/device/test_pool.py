"""Several workers at once: who gets what, and what one that fails costs the others."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest

from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import Answer, ProbeRequest, Request, ReshardRequest, check_time
from autosched.device.pool import DevicePool, default_jobs, open_pool
from autosched.device.worker import WorkerDevice
from autosched.errors import DeviceError, TimeUpError
from autosched.network.graph import Network
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import DRAM_TILE
from tests.device.conftest import child_options
from tests.device.test_worker import is_running, worker_pid
from tests.examples.device_layers import FITS
from tests.examples.networks import BOARD
from tests.examples.waiting import wait_for

Told = Callable[["Fake", Request], Answer]
SCHEDULE = Schedule(Provenance("net", "", "n150", "0.81.1", 1), {})


def refused(request: Request) -> Rejection:
    assert isinstance(request, ReshardRequest)
    return Rejection(RejectionKind.INVALID, str(request.shape))


def requests(layers: int, each: int) -> list[Request]:
    """So many candidates of so many layers, those of one layer in a row."""
    sources = [replace(DRAM_TILE, shard_shape=(32, number)) for number in range(each)]
    return [
        ReshardRequest((1, layer), source, DRAM_TILE)
        for layer in range(layers)
        for source in sources
    ]


class Fake:
    """Answers as it is told, and can be killed while it does."""

    board = BOARD
    kind = "mock"

    def __init__(self, told: Told = lambda _, request: refused(request)) -> None:
        self.told = told
        self.asked: list[Request] = []
        self.begun = threading.Event()
        self.killed = threading.Event()
        self.closed = False
        self.loaded: list[Network] = []

    def start(self, budget: Budget = UNLIMITED) -> None:
        check_time(budget)

    def kill(self) -> None:
        self.killed.set()

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        check_time(budget)
        self.loaded.append(network)

    def reshard(self, request: ReshardRequest, budget: Budget = UNLIMITED) -> Answer:
        check_time(budget)
        self.asked.append(request)
        self.begun.set()
        return self.told(self, request)

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> Answer:
        raise NotImplementedError

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        check_time(budget)
        self.begun.set()
        assert self.killed.wait(60)
        return Rejection(RejectionKind.CRASH, f"killed in {schedule.provenance.network}")

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> "Fake":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def hanging(device: Fake, _request: Request) -> Answer:
    assert device.killed.wait(60), "nobody killed it"
    return Rejection(RejectionKind.CRASH, "killed")


def two_in_step() -> list[Fake]:
    """Each of them answers when the other does."""
    turn = threading.Barrier(2)

    def told(_: Fake, request: Request) -> Answer:
        turn.wait(60)
        return refused(request)

    return [Fake(told), Fake(told)]


def test_each_answer_comes_with_the_place_of_its_request() -> None:
    asked = requests(3, 5)
    with DevicePool([Fake(), Fake()]) as pool:
        answered = list(pool.answers(asked))
        assert sorted(index for index, _ in answered) == list(range(15))
        assert all(answer == refused(asked[index]) for index, answer in answered)
        assert list(pool.answers([])) == []


def test_two_requests_are_under_way_at_once() -> None:
    with DevicePool(two_in_step()) as pool:
        assert len(list(pool.answers(requests(2, 1)))) == 2


def test_a_layer_stays_with_one_worker_as_long_as_there_are_others() -> None:
    """Its candidates share weights, and kernels that two would compile twice."""
    devices = two_in_step()
    with DevicePool(devices) as pool:
        list(pool.answers(requests(2, 4)))
    layers = [{request.shape for request in device.asked} for device in devices]
    assert sorted(map(sorted, layers)) == [[(1, 0)], [(1, 1)]]


def test_a_layer_goes_to_who_had_it_last() -> None:
    """It knows how the layer's weights are laid out."""
    devices = two_in_step()
    asked = requests(2, 2)
    with DevicePool(devices) as pool:
        for some in (asked, asked[::-1], asked):
            list(pool.answers(some))
    assert all(len({request.shape for request in device.asked}) == 1 for device in devices)


def test_the_last_layer_is_shared() -> None:
    devices = two_in_step()
    with DevicePool(devices) as pool:
        list(pool.answers(requests(1, 8)))
    assert [len(device.asked) for device in devices] == [4, 4]


def test_whole_networks_are_the_first_ones() -> None:
    devices = [Fake(), Fake()]
    network = Network("net", ())
    with DevicePool(devices) as pool:
        pool.load(network)
        devices[0].killed.set()
        assert pool.run(SCHEDULE) == Rejection(RejectionKind.CRASH, "killed in net")
        list(pool.answers(requests(2, 2)))
    assert [device.loaded for device in devices] == [[network], []]


def test_left_early_nothing_more_is_asked_and_who_hangs_is_killed() -> None:
    def after_the_other(_: Fake, request: Request) -> Answer:
        assert devices[1].begun.wait(60)
        time.sleep(0.005)  # all of them would take 10 s
        return refused(request)

    devices = [Fake(after_the_other), Fake(hanging)]
    with DevicePool(devices) as pool:
        with closing(pool.answers(requests(2, 1000))) as answered:
            next(answered)
        asked = sum(len(device.asked) for device in devices)
        assert devices[1].killed.is_set()
        assert asked < 2000
        devices[1].told = devices[0].told
        assert len(list(pool.answers(requests(2, 1)))) == 2, "the pool can still be used"
        assert sum(len(device.asked) for device in devices) == asked + 2


def test_an_error_of_one_ends_the_answers() -> None:
    def broken(_: Fake, _request: Request) -> Answer:
        raise DeviceError("cannot be opened")

    with (
        DevicePool([Fake(broken), Fake(hanging)]) as pool,
        pytest.raises(DeviceError, match="cannot be opened"),
    ):
        list(pool.answers(requests(2, 10)))


def test_the_end_of_the_budget_ends_the_answers() -> None:
    def slow(_: Fake, request: Request) -> Answer:
        time.sleep(0.02)
        return refused(request)

    kept: list[tuple[int, Answer]] = []
    with DevicePool([Fake(slow), Fake(slow)]) as pool, pytest.raises(TimeUpError):
        kept.extend(pool.answers(requests(2, 1000), Budget.of(0.3)))
    assert 0 < len(kept) < 2000


@pytest.mark.parametrize("what", ["answers", "run"])
def test_ctrl_c_drops_what_is_under_way(what: str) -> None:
    devices = [Fake(hanging), Fake(hanging)]

    def interrupt() -> None:
        assert devices[0].begun.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    user = threading.Thread(target=interrupt)
    user.start()
    with DevicePool(devices) as pool, pytest.raises(KeyboardInterrupt):
        pool.run(SCHEDULE) if what == "run" else list(pool.answers(requests(2, 10)))
    user.join()
    assert devices[0].killed.is_set()
    assert all(device.closed for device in devices)


def test_closed_it_leaves_no_thread() -> None:
    before = threading.active_count()
    pool = DevicePool([Fake(), Fake()])
    list(pool.answers(requests(4, 4)))
    assert threading.active_count() == before + 2
    pool.close()
    pool.close()
    assert threading.active_count() == before


def test_no_thread_keeps_the_process_alive(tmp_path: Path) -> None:
    code = (
        "from tests.device.test_pool import DevicePool, Fake, hanging, requests\n"
        "answers = DevicePool([Fake(hanging)])\n"
        "answers._lanes[0].submit(lambda device: hanging(device, None))\n"
        "print('over')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **child_options(tmp_path),
    )
    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr


def test_there_are_as_many_jobs_as_cores_up_to_four(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, jobs in ((1, 1), (3, 3), (64, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert default_jobs() == jobs
        assert open_pool(BOARD).jobs == jobs
    assert open_pool(BOARD, jobs=7).jobs == 7
    assert open_pool(BOARD, "silicon", jobs=7).jobs == 1, "a card has room for one process"
    with pytest.raises(DeviceError, match="0 workers answer nothing"):
        open_pool(BOARD, jobs=0)


@pytest.fixture(scope="module")
def workers() -> Iterator[list[WorkerDevice]]:
    workers = [WorkerDevice(BOARD), WorkerDevice(BOARD)]
    yield workers
    for worker in workers:
        worker.close()


def test_a_worker_that_dies_costs_its_request_only(workers: list[WorkerDevice]) -> None:
    asked: list[Request] = [
        replace(FITS, config=replace(FITS.config, act_block_h_override=32 * number))
        for number in range(1, 31)
    ]
    for worker in workers:
        worker.start()
    with DevicePool(workers) as pool:
        answered = {}
        killed = None
        for index, answer in pool.answers(asked):
            answered[index] = answer
            if killed is None and len(answered) == 3:
                killed = worker_pid(workers[1])
                os.kill(killed, signal.SIGKILL)
        assert sorted(answered) == list(range(30))
        crashes = [
            answer
            for answer in answered.values()
            if isinstance(answer, Rejection) and answer.kind is RejectionKind.CRASH
        ]
        assert crashes == [Rejection(RejectionKind.CRASH, "the worker process died of SIGKILL")]
        assert isinstance(pool.probe(FITS), ProbeOutcome)
        pids = [worker.pid for worker in workers if worker.pid]
    assert killed not in pids
    assert wait_for(lambda: not any(map(is_running, pids)))
