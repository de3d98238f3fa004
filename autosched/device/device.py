"""What every device answers."""

from types import TracebackType
from typing import Protocol

from autosched.boards import Board
from autosched.device.requests import ProbeRequest, ReshardRequest
from autosched.network.graph import Network
from autosched.schedule import ProbeOutcome, Rejection, RunOutcome, Schedule


class Device(Protocol):
    """Runs single layers and whole networks.

    An answer is a value: an outcome, or a typed rejection; nothing a configuration does makes a
    method raise. Times are set on silicon only (``kind`` "silicon"); on the mock device (``kind``
    "mock") the cost model estimates them from the ops. One caller at a time.
    """

    board: Board
    kind: str

    def load(self, network: Network) -> None:
        """Take the network that :meth:`run` executes, with its weights."""

    def probe(self, request: ProbeRequest) -> ProbeOutcome | Rejection:
        """Run one candidate of a layer alone."""

    def reshard(self, request: ReshardRequest) -> ProbeOutcome | Rejection:
        """Bring a tensor from one layout into another, alone."""

    def run(self, schedule: Schedule) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``."""

    def close(self) -> None:
        """Release the device; idempotent."""

    def __enter__(self) -> "Device": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
