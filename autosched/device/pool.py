"""Several workers of one board, so that several requests are under way at once.

Each worker is driven by a thread that lives as long as the pool, because a worker dies with the
thread that started it. The threads are daemons: none keeps the process alive.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import (
    Answer,
    Answers,
    Device,
    ProbeRequest,
    Request,
    ReshardRequest,
    Soaking,
    TimingSettings,
    WithMockDevices,
    ask,
)
from autosched.device.worker import WorkerDevice
from autosched.errors import DeviceError
from autosched.network.graph import Network
from autosched.schedule.outcomes import Rejection, RunOutcome, Soaked
from autosched.schedule.schedule import Schedule

T = TypeVar("T")

_MOST_JOBS = 4
# A mock device answers within this; what takes longer is not waited for when nobody wants it.
_GRACE_S = 1.0
_END_S = 30.0
# A signal that the system gave to another thread is seen by the main one when it next wakes up.
_SIGNALS_S = 0.5


class KillableDevice(Device, Soaking, Protocol):
    """A device in a process of its own."""

    def start(self, budget: Budget = UNLIMITED) -> None:
        """Start the process if there is none."""

    def kill(self) -> None:
        """Kill the process, from any thread; a request under way is then a crash."""


LARGEST_POOL = 256
"""Workers of a pool: each is a process of about 1.3 GB."""


def default_jobs() -> int:
    """Return how many workers suit this machine: the cores it lets us use, 4 at most."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(_MOST_JOBS, cores)


def open_pool(
    board: Board,
    kind: str = "mock",
    timing: TimingSettings | None = None,
    jobs: int | None = None,
) -> "DevicePool":
    """Return a pool of ``jobs`` workers (default: :func:`default_jobs`).

    They start as they are needed. A card has room for one process only.

    Raises:
        DeviceError: if there are to be none, or more than any machine has room for.
    """
    check_jobs(jobs)
    number = 1 if kind != "mock" else default_jobs() if jobs is None else jobs
    return DevicePool([WorkerDevice(board, kind, timing) for _ in range(number)])


def check_jobs(jobs: int | None) -> None:
    """Refuse a number of workers that is none.

    Raises:
        DeviceError: if there are to be none, or more than any machine has room for.
    """
    if jobs is not None and jobs < 1:
        raise DeviceError(f"{jobs} workers answer nothing; name at least one")
    if jobs is not None and jobs > LARGEST_POOL:
        raise DeviceError(f"one pool has at most {LARGEST_POOL} workers, not {jobs}")


def mock_devices_of(device: Device, jobs: int | None) -> Device:
    """Return the mock devices that rank for a card: those it has by itself, else this machine's."""
    if isinstance(device, WithMockDevices):
        return device.mock_devices(jobs)
    return open_pool(device.board, jobs=jobs)


class DevicePool:
    """Devices of one board that answer together; the first of them runs whole networks.

    As a device it has one caller at a time, like any. Only the first has the network's weights:
    the others need none to probe, and take half the memory.
    """

    def __init__(self, devices: Sequence[KillableDevice]) -> None:
        self.board: Board = devices[0].board
        self.kind = devices[0].kind
        self._lanes = [_Lane(device) for device in devices]
        self._last: dict[Hashable, int] = {}

    @property
    def jobs(self) -> int:
        """How many requests can be under way at once."""
        return len(self._lanes)

    def start(self, workers: int | None = None) -> None:
        """Begin to start so many workers (None: all); a failure shows when one is asked something.

        A worker takes seconds to import ttnn, in which the caller can do something else.
        """
        for lane in self._lanes[:workers]:
            lane.submit(lambda device: device.start())

    def mock_devices(self, jobs: int | None) -> "DevicePool":
        """Return mock devices of the same board on this machine."""
        return open_pool(self.board, jobs=jobs)

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` executes, with its weights."""
        self._by_first(lambda device: device.load(network, budget))

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> Answer:
        """Run one candidate of a layer alone."""
        return self._by_first(lambda device: device.probe(request, budget))

    def reshard(self, request: ReshardRequest, budget: Budget = UNLIMITED) -> Answer:
        """Bring a tensor from one layout into another, alone."""
        return self._by_first(lambda device: device.reshard(request, budget))

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``."""
        return self._by_first(lambda device: device.run(schedule, budget))

    def soak(
        self, schedule: Schedule, replays: int, budget: Budget = UNLIMITED
    ) -> Soaked | Rejection:
        """Replay the loaded network by ``schedule`` on a card, and compare its outputs' bits."""
        return self._by_first(lambda device: device.soak(schedule, replays, budget))

    def answers(self, requests: Sequence[Request], budget: Budget = UNLIMITED) -> Answers:
        """Yield the answers with the places of their requests, in any order, as they come.

        A worker that dies or hangs costs its own request. Left early (by an exception of the
        caller's, Ctrl-C, or ``close()``), nothing more is asked and what is under way is dropped.

        Raises:
            AutoschedError: whatever a device raises, a TimeUpError at the end of the budget.
        """
        shares = _Shares(requests, self._last)
        arrived: queue.SimpleQueue[tuple[int, Answer] | Exception] = queue.SimpleQueue()

        def drive(number: int, device: KillableDevice) -> None:
            try:
                while (index := shares.take(number)) is not None:
                    arrived.put((index, ask(device, requests[index], budget)))
            except Exception as error:  # raised by whoever waits for the answers
                arrived.put(error)

        under_way = {
            lane: lane.submit(partial(drive, number))
            for number, lane in enumerate(self._lanes[: len(requests)])
        }
        try:
            for _ in requests:
                item = _next_of(arrived)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            shares.stop()
            _settle(under_way)

    def close(self) -> None:
        """End all workers; idempotent."""
        for lane in self._lanes:
            lane.hang_up()
        for lane in self._lanes:
            lane.end()

    def __enter__(self) -> "DevicePool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _by_first(self, job: Callable[[KillableDevice], T]) -> T:
        lane = self._lanes[0]
        future = lane.submit(job)
        try:
            while not future.done():
                wait([future], _SIGNALS_S)
            return future.result()
        finally:
            _settle({lane: future})


class _Lane:
    """A device and the thread that drives it, started at the first job and again after its end."""

    def __init__(self, device: KillableDevice) -> None:
        self.device = device
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[KillableDevice], Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[KillableDevice], T]) -> "Future[T]":
        """Have the device do something after all that was submitted before."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="device")
            self._thread.start()
        return future

    def hang_up(self) -> None:
        """Let the thread end after its jobs, of which none should be under way."""
        if self._thread is not None:
            self._jobs.put(None)

    def end(self) -> None:
        """Wait for the thread, if need be without the process it waits for; close the device."""
        if self._thread is not None:
            self._thread.join(_GRACE_S)
            if self._thread.is_alive():
                self.device.kill()
                self._thread.join(_END_S)
            self._thread = None
        self.device.close()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            future, job = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job(self.device))
                except BaseException as error:  # raised by whoever asks for it
                    future.set_exception(error)
            del item, future, job


class _Shares:
    """Hands out the places of requests, those of one layer to one worker while others are left.

    The candidates of a layer share prepared weights, and kernels that would be compiled twice: a
    layer goes to who was the ``last`` at it, if that one is free when others are.
    """

    def __init__(self, requests: Sequence[Request], last: dict[Hashable, int]) -> None:
        self._free = {layer: deque(places) for layer, places in by_layers(requests).items()}
        self._last = last
        self._taken: dict[int, deque[int]] = {}
        self._lock = threading.Lock()

    def take(self, worker: int) -> int | None:
        """Return the place of the next request for a worker, None if there is none."""
        with self._lock:
            if own := self._taken.get(worker):
                return own.popleft()
            if self._free:
                layer = min(self._free, key=lambda layer: self._distance(layer, worker))
                self._last[layer] = worker
                own = self._taken[worker] = self._free.pop(layer)
                return own.popleft()
            longest = max(self._taken.values(), key=len, default=None)
            return longest.pop() if longest else None

    def _distance(self, layer: Hashable, worker: int) -> int:
        """Rank layers: first those that a worker had, then those that nobody had."""
        last = self._last.get(layer)
        return 1 if last is None else 2 * (last != worker)

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._lock:
            self._free.clear()
            self._taken.clear()


def by_layers(requests: Sequence[Request]) -> dict[Hashable, list[int]]:
    """Return the places of requests by layer, or by shape."""
    layers: dict[Hashable, list[int]] = {}
    for index, request in enumerate(requests):
        layers.setdefault(_layer_of(request), []).append(index)
    return layers


def _layer_of(request: Request) -> Hashable:
    if isinstance(request, ProbeRequest):
        return request.op, request.input_shapes, request.shape
    return request.shape


def _next_of(arrived: "queue.SimpleQueue[T]") -> T:
    while arrived.empty():
        with suppress(queue.Empty):
            return arrived.get(timeout=_SIGNALS_S)
    return arrived.get()


def _settle(under_way: "dict[_Lane, Future[Any]]") -> None:
    """Wait for what is under way for a moment, then kill whoever is at it."""
    wait(under_way.values(), _GRACE_S)
    for lane, future in under_way.items():
        if not future.done() and not future.cancel():
            lane.device.kill()
    wait(under_way.values(), _END_S)
