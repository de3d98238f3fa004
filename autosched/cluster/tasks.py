"""What runs on a worker of the cluster: its devices, and the tasks that ask them.

Each device is a process of its own (:class:`~autosched.device.worker.WorkerDevice`), killed when a
request hangs, or when Dask takes back the task that waits for it. A device that can no longer be
used makes the worker give up: the task goes elsewhere, and so does all that comes after it.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from distributed import Reschedule, Worker, get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from autosched.boards import Board
from autosched.budget import Budget
from autosched.device.interface import Answer, Request, TimingSettings, ask
from autosched.device.pool import KillableDevice
from autosched.errors import DeviceError, MachineError
from autosched.network.graph import Network
from autosched.schedule.outcomes import Rejection, RunOutcome, Soaked
from autosched.schedule.schedule import Schedule

_T = TypeVar("_T")
MakeDevice = Callable[[Board, str, TimingSettings], KillableDevice]

TOPIC = "autosched"
"""Of Dask's events: what workers say to whoever watches."""
_NAME = "autosched-devices"


@dataclass(frozen=True)
class DeviceSpec:
    """The device that a task needs: its board and kind, and how a card is timed."""

    board: Board
    kind: str
    timing: TimingSettings


def answer_all(
    spec: DeviceSpec, requests: Sequence[Request], left_s: float | None
) -> tuple[str, list[Answer]]:
    """Return this worker's address, and its device's answers to requests in their order.

    Raises:
        AutoschedError: whatever the device raises.
        Reschedule: if this worker's device can no longer be used.
    """
    budget = Budget.of(left_s)
    answers = _devices().do(spec, lambda held: [ask(held.device, one, budget) for one in requests])
    return get_worker().address, answers


def network_itself(network: Network) -> Network:
    """Return a network: a task by which one that was sent once is there for all its runs."""
    return network


def run_network(
    spec: DeviceSpec, network: Network, schedule: Schedule, left_s: float | None
) -> RunOutcome | Rejection:
    """Return what a device did with a whole network by a schedule.

    Raises:
        AutoschedError: whatever the device raises.
        Reschedule: if this worker's device can no longer be used.
    """
    budget = Budget.of(left_s)
    return _devices().do(
        spec, lambda held: held.with_network(network, budget).run(schedule, budget)
    )


def soak_network(
    spec: DeviceSpec, network: Network, schedule: Schedule, replays: int, left_s: float | None
) -> Soaked | Rejection:
    """Return what a card did over many replays of a whole network by a schedule.

    Raises:
        AutoschedError, Reschedule: as :func:`run_network`.
    """
    budget = Budget.of(left_s)
    return _devices().do(
        spec, lambda held: held.with_network(network, budget).soak(schedule, replays, budget)
    )


@dataclass
class _Held:
    """A device with the signature of the network it was given, and the task that has it."""

    spec: DeviceSpec
    device: KillableDevice
    network: str = ""
    task: Hashable = field(default=None)

    def with_network(self, network: Network, budget: Budget) -> KillableDevice:
        """Return the device once it has a network."""
        if self.network != network.signature:
            self.network = ""
            self.device.load(network, budget)
            self.network = network.signature
        return self.device


class Devices(WorkerPlugin):
    """The devices of a worker: at most so many, each of the kind that was asked for last.

    ``gave_up`` is set, with the reason in ``trouble``, once one of them can no longer be used.
    """

    name = _NAME

    def __init__(self, most: int, resource: str, make: MakeDevice) -> None:
        self.trouble = ""
        self.gave_up = asyncio.Event()
        self._most = most
        self._resource = resource
        self._make = make
        self._held: list[_Held] = []
        self._lock = threading.Lock()

    def setup(self, worker: Worker) -> None:
        """Take the worker whose plugin this is."""
        self._worker = worker
        self._loop = asyncio.get_running_loop()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's signature
        """End all devices."""
        for held in self._held:
            held.device.kill()

    def transition(self, key: Hashable, start: str, finish: str, **_more: Any) -> None:
        """Kill the mock device whose task is no longer wanted.

        A card is left to end what it does: killed in the middle, it may have to be reset.
        """
        if (start, finish) == ("executing", "released"):
            for held in self._held:
                if held.task == key and held.spec.kind == "mock":
                    held.device.kill()

    def do(self, spec: DeviceSpec, job: "Callable[[_Held], _T]") -> _T:
        """Do something with a device as it is asked for.

        Raises:
            AutoschedError: whatever the device raises.
            Reschedule: if the device can no longer be used.
        """
        try:
            with self._one(spec) as held:
                return job(held)
        except (DeviceError, MachineError) as error:
            self._give_up(str(error))
            raise Reschedule from None

    @contextmanager
    def _one(self, spec: DeviceSpec) -> Iterator[_Held]:
        held = self._take(spec)
        try:
            yield held
        finally:
            held.task = None

    def _take(self, spec: DeviceSpec) -> _Held:
        """Return a device that no task has: as asked for if there is one, else a new one."""
        task = get_worker().get_current_task()
        with self._lock:
            idle = [held for held in self._held if held.task is None]
            found = next((held for held in idle if held.spec == spec), None)
            if found is None:
                if len(self._held) >= self._most:
                    idle[0].device.close()
                    self._held.remove(idle[0])
                device = self._make(spec.board, spec.kind, spec.timing)
                found = _Held(spec, device)
                self._held.append(found)
            found.task = task
            return found

    def _give_up(self, trouble: str) -> None:
        """Take no more tasks, and say why; back only when Dask's scheduler knows it."""
        self.trouble = trouble
        worker = self._worker
        worker.log_event(TOPIC, {"worker": worker.address, "gave_up": trouble})
        told = asyncio.run_coroutine_threadsafe(
            worker.set_resources(**{self._resource: 0.0}), self._loop
        )
        told.result()
        self._loop.call_soon_threadsafe(self.gave_up.set)


def _devices() -> Devices:
    return cast("Devices", get_worker().plugins[_NAME])
