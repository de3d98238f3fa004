"""A scheduler, workers of it, and devices that do what the shape of a request says.

Run as a program it is a worker: ``python -m tests.cluster.laboratory ADDRESS DEVICES DIRECTORY``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autosched.boards import Board, find_board
from autosched.budget import UNLIMITED, Budget
from autosched.cluster.worker import Equipment, work
from autosched.device.interface import Answer, Request, ReshardRequest, TimingSettings
from autosched.errors import DeviceError
from autosched.network.graph import Network
from autosched.schedule.outcomes import Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DRAM_TILE
from tests.examples.waiting import wait_for

ANSWERS, SLEEPS, ENDS_WORKER, BREAKS_DEVICE, NAPS, CRASHES = range(1, 7)
"""What a device does with a request, by the first number of its shape; the second one is free."""
SLEEP_S = 30.0
NAP_S = 0.1
_UP_S = 30.0


def request(does: int = ANSWERS, number: int = 1) -> ReshardRequest:
    return ReshardRequest((does, number), DRAM_TILE, DRAM_TILE)


class Told:
    """Answers with the shape and its process; what is to happen once leaves a file."""

    def __init__(self, directory: Path, board: Board, kind: str) -> None:
        self.directory = directory
        self.board = board
        self.kind = kind
        self.killed = False
        self.network = ""

    def _once(self, shape: tuple[int, ...]) -> bool:
        """Whether this is the first time that any device is asked for a shape."""
        try:
            (self.directory / f"asked-{shape}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def reshard(self, asked: Request, budget: Budget = UNLIMITED) -> Answer:
        self.killed = False
        does = asked.shape[0]
        if does == SLEEPS:
            (self.directory / f"begun-{asked.shape}").touch()
            end = Budget.of(SLEEP_S)
            while not (self.killed or end.is_up or budget.is_up):
                time.sleep(0.01)
            if self.killed:
                (self.directory / f"killed-{asked.shape}").touch()
        if does == NAPS:
            time.sleep(NAP_S)
        if does == ENDS_WORKER and self._once(asked.shape):
            os.kill(os.getpid(), signal.SIGKILL)
        if does == BREAKS_DEVICE and self._once(asked.shape):
            raise DeviceError("the device is broken")
        kind = RejectionKind.CRASH if does == CRASHES else RejectionKind.INVALID
        return Rejection(kind, f"{asked.shape} by {os.getpid()}")

    probe = reshard

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:  # noqa: ARG002
        self.network = network.signature

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:  # noqa: ARG002
        return Rejection(RejectionKind.INVALID, self.network)

    def start(self, budget: Budget = UNLIMITED) -> None: ...

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None: ...


@contextmanager
def scheduler(directory: Path, port: int = 0) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start a scheduler on this machine, and yield its address and process."""
    file = directory / "address"
    file.unlink(missing_ok=True)
    with (directory / "scheduler.log").open("ab") as log:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "distributed.cli.dask_scheduler"),
                *("--host", "127.0.0.1", "--port", str(port), "--no-dashboard"),
                *("--scheduler-file", str(file)),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: file.exists() and file.read_text().rstrip().endswith("}"), _UP_S)
        yield json.loads(file.read_text())["address"], child
    finally:
        child.kill()
        child.wait()


@contextmanager
def worker(address: str, directory: Path, devices: int = 1) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a worker whose devices are :class:`Told`, and wait until it is at work."""
    log = directory / f"worker-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, address, str(devices), str(directory)],
            stdout=out,
            stderr=out,
        )
    try:
        wait_for(lambda: "At work" in log.read_text() or child.poll() is not None, _UP_S)
        assert child.poll() is None, log.read_text()
        yield child
    finally:
        child.kill()
        child.wait()


def _be_worker(address: str, devices: int, directory: Path) -> None:
    def make(board: Board, kind: str, timing: TimingSettings) -> Told:  # noqa: ARG001
        return Told(directory, board, kind)

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    work(address, Equipment("mock", find_board("n150"), devices, make=make), tell)


if __name__ == "__main__":
    _be_worker(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
