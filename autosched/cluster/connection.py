"""The connection to a cluster's scheduler, made again where it is lost; and who works there."""

import asyncio
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from distributed import Client

from autosched.budget import Budget
from autosched.cluster.addresses import (
    check_certificates,
    check_listening,
    checked_address,
    look_for,
    quiet_logs,
    words_of,
)
from autosched.cluster.offers import (
    ANY,
    FoundWorkers,
    Offer,
    compiler_of,
    need_of,
    offers_of,
    sorted_workers,
)
from autosched.cluster.tasks import TOPIC
from autosched.errors import ClusterError

Tell = Callable[[str], None]

_CONNECT_S = 10.0
_LOOK_S = 0.5


class Connection:
    """A client of a scheduler, which connects again where that is lost.

    ``patience_s`` is how long it waits for the scheduler, and for a worker, to come back.

    Raises:
        ClusterError: if there is no scheduler at the address, or it is unsafe.
    """

    def __init__(self, address: str, tell: Tell, patience_s: float = 600.0) -> None:
        quiet_logs()
        self.address = checked_address(address)
        check_certificates(self.address, "client")
        self.tell = tell
        self.patience_s = patience_s
        try:
            look_for(self.address)
            self._client = self._connect()
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler at {self.address} ({words_of(error)}); start one with: dask "
                f"scheduler --host 127.0.0.1, and workers with: autosched worker {self.address}"
            ) from None

    @property
    def client(self) -> Client:
        """Dask's client, connected as far as it knows."""
        return self._client

    @property
    def is_up(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    def again(self, budget: Budget) -> None:
        """Connect again, as long as there is patience and time.

        Raises:
            ClusterError: if the scheduler does not come back.
            TimeUpError: if the budget is up before.
        """
        if self.is_up:
            return
        self.tell(
            f"Lost the scheduler at {self.address}: waiting up to {self.patience_s:.0f} s for it. "
            "What has been answered is stored."
        )
        end = Budget.of(self.patience_s)
        while True:
            budget.check()
            with suppress(OSError):
                self._client.close(timeout=1.0)
                self._client = self._connect()
                self.tell("The scheduler is back.")
                return
            if end.is_up:
                raise ClusterError(
                    f"the scheduler at {self.address} did not come back within "
                    f"{self.patience_s:.0f} s; what was answered is stored, and the study goes on "
                    "with the same command once it is there"
                )
            time.sleep(min(_LOOK_S, budget.left_s))

    def workers(self, need: Offer) -> FoundWorkers:
        """Return who can do what is needed, and why others cannot."""
        return sorted_workers(need, self.resources())

    def resources(self) -> dict[str, dict[str, float]]:
        """Return what each worker says that it has, by address; nothing where nobody answers."""
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, asyncio.TimeoutError):
            return {}
        return {address: worker["resources"] for address, worker in known.items()}

    def kind_for(self, board: str) -> Literal["mock", "silicon"]:
        """Return "silicon" where a worker has a card that is this board, else "mock"."""
        return "silicon" if self.workers(self.need("silicon", board)).able else "mock"

    def need(self, kind: str, board: str) -> Offer:
        """Return what a study needs of the workers there are; of cards, those of one firmware."""
        return need_of(kind, board, self.resources().values())

    def boards(self) -> list[str]:
        """Return the boards of the cards there are, in alphabetical order."""
        said = self.resources().values()
        offers = (offer for resources in said for offer, _number in offers_of(resources))
        return sorted({offer.board for offer in offers if offer.kind == "silicon"})

    def close(self) -> None:
        """Leave the cluster; what is under way for this client is dropped."""
        with suppress(OSError, TimeoutError):
            self._client.close(timeout=_CONNECT_S)

    def _connect(self) -> Client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # packages of other versions: ours are in the offers
            client = Client(self.address, timeout=_CONNECT_S, set_as_default=False)
        try:
            check_listening(self.address, client.scheduler_info(n_workers=0)["address"])
            client.subscribe_topic(TOPIC, self._heard)
        except BaseException:
            client.close(timeout=1.0)
            raise
        return client

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        _moment, said = event
        if "gave_up" in said:
            self.tell(f"Worker {said['worker']} takes no more part: {said['gave_up']}")


@dataclass(frozen=True)
class SeenWorker:
    """What a worker offers; ``left_out`` says why this machine's searches do not use it, "" if so.

    ``board`` is None of a mock device, which is whatever board is asked for.
    """

    address: str
    device: str
    board: str | None
    devices: int
    ttnn_version: str
    compiler: str
    left_out: str


class ClusterWatch:
    """Looks at a cluster as long as it is open.

    Raises:
        ClusterError: if there is no scheduler at the address, or it is unsafe.
    """

    def __init__(self, address: str) -> None:
        self._connection = Connection(address, lambda _line: None)

    def workers(self) -> list[SeenWorker]:
        """Return the workers of autosched's, by address; none while the scheduler is away."""
        if not self._connection.is_up:
            return []
        return [
            _seen(address, offer, number, compiler_of(said))
            for address, said in sorted(self._connection.resources().items())
            for offer, number in offers_of(said)
        ]

    def close(self) -> None:
        """Leave the cluster."""
        self._connection.close()


def _seen(address: str, offer: Offer, number: int, compiler: str) -> SeenWorker:
    board = None if offer.board == ANY else offer.board
    need = Offer.of(offer.kind, offer.board, offer.firmware)
    why = offer.difference(need) or ("" if number else "has given its device up")
    return SeenWorker(address, offer.kind, board, number, offer.ttnn_version, compiler, why)
