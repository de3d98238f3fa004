"""The devices of a cluster as one device, which answers many requests at once.

Dask schedules: which worker answers what, what is done when one is lost, how many tasks lie ready
at each. What is durable stays with whoever asks: an answer counts once it is in the store. Where
the scheduler is lost, what was not answered yet is asked again when it is back.
"""

import time
import warnings
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Literal

from distributed import Client, Future

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.cluster.connection import Connection, Tell
from autosched.cluster.offers import FoundWorkers, Offer
from autosched.cluster.tasks import (
    DeviceSpec,
    answer_all,
    network_itself,
    run_network,
    soak_network,
)
from autosched.cluster.tasks_under_way import Places, TasksUnderWay
from autosched.device.interface import (
    Answer,
    Answers,
    ProbeRequest,
    Request,
    ReshardRequest,
    TimingSettings,
    check_time,
)
from autosched.device.pool import by_layers
from autosched.errors import ClusterError, DeviceError
from autosched.network.graph import Network
from autosched.schedule.outcomes import LOSSES, Rejection, RunOutcome, Soaked
from autosched.schedule.schedule import Schedule

# A task costs Dask some milliseconds, as much as a mock device's answer. On a card it is nothing.
_AT_ONCE = {"mock": 8, "silicon": 1}
_FIRST_S = 30.0
_ALIVE = ("pending", "finished")
_LOOK_S = 0.5


def open_cluster(
    address: str,
    board: Board,
    kind: Literal["auto", "mock", "silicon"] = "auto",
    timing: TimingSettings | None = None,
    tell: Tell = lambda _line: None,
) -> "ClusterDevice":
    """Return the devices of a board in the cluster of the scheduler at ``address``.

    ``kind`` "auto" is a card where any worker has one of this board. ``tell`` is handed a line
    whenever something happens that a person should know. Closing the device leaves the cluster.

    Raises:
        ClusterError: if there is no scheduler, it is unsafe, or no worker can do it.
    """
    connection = Connection(address, tell)
    try:
        if kind == "auto":
            kind = connection.kind_for(board.name)
        spec = DeviceSpec(board, kind, timing or TimingSettings())
        return ClusterDevice(connection, spec, connection.close)
    except BaseException:
        connection.close()
        raise


class ClusterDevice:
    """Devices of one board that answer together, each a process of some worker's.

    One caller at a time, as of any device. How many workers there are, and whether some leave or
    join, changes nothing of the answers. What hung or crashed a device is answered by another
    worker's when it is asked again, where there is one. ``leave`` is called when it is closed.

    Raises:
        ClusterError: if no worker can do it.
    """

    def __init__(
        self, connection: Connection, spec: DeviceSpec, leave: Callable[[], object] = lambda: None
    ) -> None:
        self.board = spec.board
        self.kind = spec.kind
        self._connection = connection
        self._leave = leave
        self._spec = spec
        self._network: Network | None = None
        self._sent: Future[Any] | None = None
        self._lost_at: dict[Request, str] = {}
        self._need, found = _first_workers(connection, spec)
        for address, why in found.others.items():
            connection.tell(f"Worker {address} is left out: it {why}.")

    @property
    def firmware(self) -> str:
        """The firmware of its cards, "" of mock devices."""
        return self._need.firmware

    @property
    def jobs(self) -> int:
        """How many requests can be under way at once, as of now."""
        return self._connection.workers(self._need).devices

    def start(self, workers: int | None = None) -> None:
        """Do nothing: a worker starts its device at the first request."""

    def mock_devices(self, jobs: int | None) -> "ClusterDevice":  # noqa: ARG002 - as of a pool
        """Return the mock devices of the same cluster, for the same board.

        Raises:
            ClusterError: if no worker has any.
        """
        return ClusterDevice(self._connection, DeviceSpec(self.board, "mock", self._spec.timing))

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` executes, with its weights."""
        check_time(budget)
        self._network = network.without_samples()
        self._sent = None

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> Answer:
        """Run one candidate of a layer alone."""
        return self._one(request, budget)

    def reshard(self, request: ReshardRequest, budget: Budget = UNLIMITED) -> Answer:
        """Bring a tensor from one layout into another, alone."""
        return self._one(request, budget)

    def _one(self, request: Request, budget: Budget) -> Answer:
        ((_place, answer),) = self.answers([request], budget)
        return answer

    def answers(self, requests: Sequence[Request], budget: Budget = UNLIMITED) -> Answers:
        """Yield the answers with the places of their requests, in any order, as they come.

        Left early, nothing more is asked and what is under way is dropped.

        Raises:
            AutoschedError: whatever a device raises; a TimeUpError at the end of the budget; a
                ClusterError if the scheduler or all workers stay away.
        """
        tasks = [
            tuple(places[start : start + _AT_ONCE[self.kind]])
            for places in by_layers(requests).values()
            for start in range(0, len(places), _AT_ONCE[self.kind])
        ]

        def submit(task: Places) -> "Future[Any]":
            asked = [requests[place] for place in task]
            return self._submitted(
                answer_all, self._spec, asked, _left_s(budget), not_at=self._losers_of(asked)
            )

        under_way = TasksUnderWay(self._connection, self._need, submit)
        for task, answered in under_way.results(tasks, budget):
            if isinstance(answered, Rejection):
                yield from ((place, answered) for place in task)
                continue
            address, found = answered
            for place, answer in zip(task, found, strict=True):
                if isinstance(answer, Rejection) and answer.kind in LOSSES:
                    self._lost_at[requests[place]] = address
                yield place, answer

    def _losers_of(self, asked: Sequence[Request]) -> set[str]:
        """Return the workers of which a device was lost at one of some requests."""
        return {self._lost_at[request] for request in asked if request in self._lost_at}

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``.

        Raises:
            AutoschedError: as :meth:`answers`; a DeviceError if no network was loaded.
        """
        outcome: RunOutcome | Rejection = self._of_network(run_network, (schedule,), budget)
        return outcome

    def soak(
        self, schedule: Schedule, replays: int, budget: Budget = UNLIMITED
    ) -> Soaked | Rejection:
        """Replay the loaded network by ``schedule`` on a card, and compare its outputs' bits.

        Raises:
            AutoschedError: as :meth:`run`.
        """
        outcome: Soaked | Rejection = self._of_network(soak_network, (schedule, replays), budget)
        return outcome

    def _of_network(
        self, function: Callable[..., Any], arguments: Sequence[Any], budget: Budget
    ) -> Any:
        network = self._network
        if network is None:
            raise DeviceError("no network is loaded")

        def submit(_task: Places) -> "Future[Any]":
            sent = self._sent
            if sent is None or sent.status not in _ALIVE or sent.client is not self._client:
                # A task, not data that is scattered: Dask makes it again where its worker is lost.
                sent = self._sent = self._submitted(network_itself, network)
            return self._submitted(function, self._spec, sent, *arguments, _left_s(budget))

        under_way = TasksUnderWay(self._connection, self._need, submit)
        ((_task, outcome),) = under_way.results([(0,)], budget)
        return outcome

    def close(self) -> None:
        """Be of no more use; the workers stay. Idempotent."""
        self._leave()

    def __enter__(self) -> "ClusterDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _client(self) -> Client:
        return self._connection.client

    def _submitted(
        self, function: Callable[..., Any], *arguments: Any, not_at: Collection[str] = ()
    ) -> "Future[Any]":
        """Hand a task to Dask; where it may not run, it does if there is nobody else."""
        others = None
        if not_at:
            able = self._connection.workers(self._need).able
            others = [address for address in able if address not in not_at] or None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a network is large
            return self._client.submit(
                function,
                *arguments,
                pure=False,
                resources={self._need.resource: 1},
                workers=others,
                allow_other_workers=others is not None,
            )


def _first_workers(connection: Connection, spec: DeviceSpec) -> tuple[Offer, FoundWorkers]:
    """Return what is needed and the workers there are, once there is one: they may soon come."""
    need = connection.need(spec.kind, spec.board.name)
    found = connection.workers(need)
    end = Budget.of(min(_FIRST_S, connection.patience_s))
    if not found.able:
        connection.tell(f"No worker at {connection.address} has {need} yet; waiting for one.")
    while not found.able:
        if end.is_up:
            raise ClusterError(
                f"no worker at {connection.address} has {need} with ttnn {need.ttnn_version}"
                f"{found.listed()}; start one with: autosched worker {connection.address}"
            )
        time.sleep(_LOOK_S)
        connection.again(end)
        need = connection.need(spec.kind, spec.board.name)
        found = connection.workers(need)
    return need, found


def _left_s(budget: Budget) -> float | None:
    return None if budget.left_s == float("inf") else budget.left_s
