"""A cluster as a device: real schedulers and workers, and devices that do as they are told."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from distributed import Future
from distributed.comm.core import CommClosedError

from autosched.budget import Budget
from autosched.cluster.connection import Connection
from autosched.cluster.device import ClusterDevice, open_cluster
from autosched.cluster.tasks import DeviceSpec
from autosched.device.interface import TimingSettings
from autosched.errors import ClusterError, DeviceError, TimeUpError
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Provenance, Schedule
from tests.cluster.laboratory import (
    ANSWERS,
    BREAKS_DEVICE,
    CRASHES,
    ENDS_WORKER,
    SLEEPS,
    request,
    scheduler,
    worker,
)
from tests.examples.networks import BOARD, small
from tests.examples.waiting import wait_for

SCHEDULE = Schedule(Provenance("net", "", "n150", "0.81.1", 1), {})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scheduler(tmp_path_factory.mktemp("scheduler")) as (found, _process):
        yield found


def opened(address: str, lines: list[str] | None = None, patience_s: float = 20.0) -> ClusterDevice:
    tell = [].append if lines is None else lines.append
    connection = Connection(address, tell, patience_s)
    return ClusterDevice(connection, DeviceSpec(BOARD, "mock", TimingSettings()), connection.close)


@contextmanager
def opened_with_worker(
    address: str, directory: Path
) -> Iterator[tuple[ClusterDevice, "subprocess.Popen[bytes]"]]:
    with worker(address, directory) as child, opened(address) as device:
        yield device, child


def shapes(device: ClusterDevice, numbers: range, does: int = 1) -> list[str]:
    requests = [request(does, number) for number in numbers]
    answers = dict(device.answers(requests))
    assert sorted(answers) == list(range(len(requests)))
    found = [answers[place] for place in range(len(requests))]
    assert all(isinstance(answer, Rejection) for answer in found)
    return [answer.message for answer in found if isinstance(answer, Rejection)]


def test_each_request_is_answered_once_by_all_workers_together(
    address: str, tmp_path: Path
) -> None:
    with worker(address, tmp_path), worker(address, tmp_path, 2), opened(address) as device:
        assert device.jobs == 3
        said = shapes(device, range(100))
        assert [words.split(" by ")[0] for words in said] == [f"(1, {n})" for n in range(100)]
        assert len({words.split(" by ")[1] for words in said}) == 2


def test_a_worker_that_dies_costs_nothing(address: str, tmp_path: Path) -> None:
    with worker(address, tmp_path), worker(address, tmp_path), opened(address) as device:
        assert len(shapes(device, range(1), ENDS_WORKER)) == 1


def test_a_device_that_breaks_leaves_the_work_to_others(address: str, tmp_path: Path) -> None:
    lines: list[str] = []
    with (
        worker(address, tmp_path) as first,
        worker(address, tmp_path) as second,
        opened(address, lines) as device,
    ):
        assert len(shapes(device, range(1), BREAKS_DEVICE)) == 1
        assert wait_for(lambda: (first.poll() is None) != (second.poll() is None))
        assert {first.poll(), second.poll()} == {None, 1}
        assert wait_for(lambda: any("the device is broken" in line for line in lines))
        assert len(shapes(device, range(5))) == 5


def test_what_cost_a_device_is_asked_of_another_worker(address: str, tmp_path: Path) -> None:
    with worker(address, tmp_path) as first, opened(address) as device:
        alone = [shapes(device, range(4), CRASHES) for _ in range(2)]
        assert {words.split(" by ")[1] for said in alone for words in said} == {str(first.pid)}
        with worker(address, tmp_path) as second:
            again = shapes(device, range(4), CRASHES)
            assert {words.split(" by ")[1] for words in again} == {str(second.pid)}


def test_a_network_is_run_by_whoever_is_there(address: str, tmp_path: Path) -> None:
    network = small()
    with opened_with_worker(address, tmp_path) as (device, first):
        with pytest.raises(DeviceError, match="no network"):
            device.run(SCHEDULE)
        device.load(network)
        for _ in range(2):
            answer = device.run(SCHEDULE)
            assert isinstance(answer, Rejection)
            assert answer.message == network.signature
        first.kill()  # and with it the network it was sent
        with worker(address, tmp_path):
            again = device.run(SCHEDULE)
            assert isinstance(again, Rejection)
            assert again.message == network.signature


def test_what_is_left_early_is_dropped_and_its_device_killed(address: str, tmp_path: Path) -> None:
    with worker(address, tmp_path, 2), opened(address) as device:
        with closing(device.answers([request(SLEEPS, 7), request(ANSWERS, 8)])) as answers:
            next(answers)
            assert wait_for((tmp_path / "begun-(2, 7)").exists)
        assert wait_for((tmp_path / "killed-(2, 7)").exists)
        with pytest.raises(TimeUpError):
            list(device.answers([request(SLEEPS, 9)], Budget.of(1.0)))
        assert len(shapes(device, range(3))) == 3


def test_no_worker_is_an_error_and_a_worker_that_leaves_is_waited_for(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"no worker at .* start one with: autosched worker"):
        opened(address, patience_s=1.0)
    lines: list[str] = []
    with worker(address, tmp_path) as first:
        device = opened(address, lines, patience_s=3.0)
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
    with device, pytest.raises(ClusterError, match="any more"):
        shapes(device, range(3))
    assert any("waiting up to 3 s" in line for line in lines)


def test_a_scheduler_that_is_restarted_is_waited_for(tmp_path: Path) -> None:
    lines: list[str] = []
    found: list[str] = []

    def ask_one_by_one(device: ClusterDevice) -> None:
        for number in range(40):
            found.extend(shapes(device, range(number, number + 1)))

    with (
        scheduler(tmp_path) as (address, process),
        worker(address, tmp_path),
        opened(address, lines) as device,
    ):
        asking = threading.Thread(target=ask_one_by_one, args=[device])
        asking.start()
        assert wait_for(lambda: len(found) > 5)
        process.kill()
        process.wait()
        time.sleep(1.0)
        with scheduler(tmp_path, urlsplit(address).port or 0):
            asking.join(60)
            assert not asking.is_alive()
    assert [words.split(" by ")[0] for words in found] == [f"(1, {n})" for n in range(40)]
    assert any("is back" in line for line in lines)


def test_a_scheduler_that_is_lost_while_it_hands_a_result_over_is_asked_again(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[Exception] = [CommClosedError("in a test"), CancelledError("in a test")]
    as_it_is = Future.result

    def lost_at_first(self: Future[object], timeout: float | None = None) -> object:
        if losses:
            raise losses.pop()
        return as_it_is(self, timeout)

    with opened_with_worker(address, tmp_path) as (device, _child):
        monkeypatch.setattr(Future, "result", lost_at_first)
        found = shapes(device, range(2))
    assert [words.split(" by ")[0] for words in found] == ["(1, 0)", "(1, 1)"]
    assert not losses


def test_no_scheduler_is_said_with_the_way_out() -> None:
    with pytest.raises(ClusterError, match=r"dask scheduler --host 127\.0\.0\.1"):
        open_cluster("tcp://127.0.0.1:1", BOARD)


def test_an_unknown_kind_of_worker_is_named(address: str, tmp_path: Path) -> None:
    lines: list[str] = []
    other = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_worker", address),
            *("--no-dashboard", "--no-nanny", "--host", "127.0.0.1"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        with worker(address, tmp_path):
            connection = Connection(address, lines.append)
            with closing(connection):
                assert wait_for(lambda: len(connection.client.scheduler_info()["workers"]) == 2)
                ClusterDevice(connection, DeviceSpec(BOARD, "mock", TimingSettings()))
    finally:
        other.terminate()
        other.wait()
    assert any("is left out: it is no worker of autosched's" in line for line in lines)
