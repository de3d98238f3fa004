"""A device that answers from records, so that a search can be tested and repeated without ttnn."""

from collections.abc import Mapping
from types import TracebackType

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import ProbeRequest, ReshardRequest, check_time
from autosched.errors import DeviceError
from autosched.network.graph import Network
from autosched.schedule.outcomes import ProbeOutcome, Rejection, RejectionKind, RunOutcome
from autosched.schedule.schedule import Schedule

_NOT_RECORDED = Rejection(RejectionKind.INVALID, "not recorded")


class ReplayDevice:
    """Answers with recorded outcomes; what was not recorded is an invalid configuration.

    Args:
        board: The board that the records are of.
        probes: Outcomes by request.
        reshards: Outcomes by request.
        runs: Outcomes of whole networks by the schedule's fingerprint.
        kind: The kind of device that the records are of ("mock" or "silicon").
    """

    def __init__(
        self,
        board: Board,
        probes: Mapping[ProbeRequest, ProbeOutcome | Rejection],
        reshards: Mapping[ReshardRequest, ProbeOutcome | Rejection],
        runs: Mapping[str, RunOutcome | Rejection],
        kind: str = "mock",
    ) -> None:
        self.board = board
        self.kind = kind
        self._probes = probes
        self._reshards = reshards
        self._runs = runs
        self._network: Network | None = None

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` is asked about."""
        check_time(budget)
        self._network = network

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        """Return the recorded outcome of a layer's candidate."""
        check_time(budget)
        return self._probes.get(request, _NOT_RECORDED)

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        """Return the recorded outcome of a reshard."""
        check_time(budget)
        return self._reshards.get(request, _NOT_RECORDED)

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Return the recorded outcome of a schedule.

        Raises:
            DeviceError: if no network is loaded.
        """
        check_time(budget)
        if self._network is None:
            raise DeviceError("no network is loaded: call load() before run()")
        return self._runs.get(schedule.fingerprint(), _NOT_RECORDED)

    def close(self) -> None:
        """Do nothing; idempotent."""

    def __enter__(self) -> "ReplayDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
