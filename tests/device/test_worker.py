"""The worker process: how it dies, and what that looks like from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from autosched.device.worker import WorkerDevice
from autosched.errors import BoardError, DeviceError, ScheduleError
from autosched.network.graph import Network
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from tests.device.conftest import child_options
from tests.examples.device_layers import BOARD, FITS, ttnn_default

# Says its pid and its worker's; after Ctrl-C whether the same worker still answers; then sleeps.
PARENT = """
import os, sys, time
from autosched.device.worker import WorkerDevice
from tests.examples.device_layers import BOARD, FITS
device = WorkerDevice(BOARD)
device.start()
before = device.pid
try:
    print(before, flush=True)
    time.sleep(100)
except KeyboardInterrupt:
    answer = device.probe(FITS)
    print(type(answer).__name__, device.pid == before, flush=True)
time.sleep(100)
"""


@pytest.fixture(scope="module")
def victim(network: Network) -> Iterator[WorkerDevice]:
    """A worker to be killed; each test leaves it able to answer."""
    with WorkerDevice(BOARD) as device:
        device.load(network)
        yield device


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(condition: object, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def worker_pid(device: WorkerDevice) -> int:
    assert device.pid is not None
    return device.pid


def test_it_starts_at_the_first_request_and_ends_at_close(victim: WorkerDevice) -> None:
    assert victim.pid is None
    assert isinstance(victim.probe(FITS), ProbeOutcome)
    pid = worker_pid(victim)
    assert is_running(pid)
    victim.close()
    victim.close()
    assert not is_running(pid)
    assert victim.pid is None


def test_a_killed_worker_is_a_crash_and_the_next_one_knows_the_network(
    victim: WorkerDevice, network: Network
) -> None:
    assert isinstance(victim.run(ttnn_default(network)), RunOutcome)
    killed = worker_pid(victim)
    os.kill(killed, signal.SIGKILL)
    assert wait_for(lambda: not is_running(killed))
    assert victim.run(ttnn_default(network)) == Rejection(
        RejectionKind.CRASH, "the worker process died of SIGKILL"
    )
    assert isinstance(victim.run(ttnn_default(network)), RunOutcome)
    assert worker_pid(victim) != killed


def test_a_silent_worker_is_a_hang_and_is_killed(victim: WorkerDevice) -> None:
    victim.probe(FITS)
    stopped = worker_pid(victim)
    os.kill(stopped, signal.SIGSTOP)
    patient, victim.deadline_s = victim.deadline_s, 0.3
    try:
        answer = victim.probe(FITS)
    finally:
        victim.deadline_s = patient
    assert answer == Rejection(RejectionKind.HANG, "no answer within 0.3 s")
    assert not is_running(stopped)


def test_ctrl_c_and_death_of_the_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **child_options(tmp_path),
    )
    assert parent.stdout is not None
    try:
        worker = int(parent.stdout.readline())
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline().split() == ["ProbeOutcome", "True"]
        assert is_running(worker)
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for(lambda: not is_running(worker))


def test_an_interrupted_request_ends_the_worker(
    victim: WorkerDevice, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer, still under way, would be taken for that of the next request."""
    victim.probe(FITS)
    pid = worker_pid(victim)

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(victim._connection), "poll", interrupt)
    with pytest.raises(KeyboardInterrupt):
        victim.run(ttnn_default(network))
    assert victim.pid is None
    assert not is_running(pid)


def test_another_board_than_the_one_that_is_there() -> None:
    with (
        WorkerDevice(replace(BOARD, grid=(8, 7))) as device,
        pytest.raises(BoardError, match=r"grid of 8x8 cores, but n150 has 8x7.*--board"),
    ):
        device.probe(FITS)
    assert device.pid is None


def test_a_worker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        WorkerDevice(BOARD) as device,
        pytest.raises(DeviceError, match=r"n150 cannot be opened: .* exit code 1"),
    ):
        device.start()


def test_files_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "file"))
    with WorkerDevice(BOARD) as device, pytest.raises(DeviceError, match="AUTOSCHED_CACHE"):
        device.start()


def test_a_schedule_for_another_network_is_the_callers_error(
    worker: WorkerDevice, network: Network
) -> None:
    schedule = ttnn_default(network)
    layers = {name: config for name, config in schedule.layers.items() if name != "fc"}
    with pytest.raises(ScheduleError, match="nothing about layer fc"):
        worker.run(replace(schedule, layers=layers))
    swapped = {**schedule.layers, "fc": schedule.layers["pool"]}
    with pytest.raises(DeviceError, match="fc is a Linear and takes a MatmulConfig"):
        worker.run(replace(schedule, layers=swapped))
    assert isinstance(worker.run(schedule), RunOutcome)
