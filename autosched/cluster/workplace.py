"""Where a study's requests are answered: by this machine's devices, or by those of a cluster."""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from autosched.boards import Board, find_board
from autosched.device.interface import TimingSettings
from autosched.device.machine import check_kind, choose_device
from autosched.device.pool import DevicePool, open_pool
from autosched.device.which_board import USUAL, named_board, wanted_board
from autosched.errors import ClusterError

if TYPE_CHECKING:
    from autosched.cluster.connection import Connection
    from autosched.cluster.device import ClusterDevice

_PACKAGES = "pip install 'autosched[service]'"


class Workplace:
    """This machine with so many ``jobs`` (None: by its cores), or the cluster of a scheduler.

    ``cluster`` is the scheduler's address, None for this machine. ``tell`` is handed a line
    whenever something happens there that a person should know.

    Raises:
        ClusterError: if there is no scheduler at the address, or it is unsafe.
    """

    def __init__(self, cluster: str | None, jobs: int | None, tell: Callable[[str], None]) -> None:
        self._jobs = jobs
        self._connection = None if cluster is None else _connected(cluster, jobs, tell)

    def board(self, named: str | None, wanted: str) -> Board:
        """Return the board that is ``named``, else that of the card there is, else the usual one.

        Raises:
            BoardError: if there is none of that name, or a file describes none.
            ClusterError: if the cluster has cards of several boards, and none is named.
        """
        if self._connection is None or named is not None:
            return wanted_board(named, wanted)
        boards = [] if wanted == "mock" else self._connection.boards()
        if len(boards) > 1:
            raise ClusterError(
                f"the cluster has cards of several boards ({', '.join(boards)}); name one with "
                "--board"
            )
        return named_board(boards[0]) if boards else find_board(USUAL)

    def kind(self, wanted: str, board: Board) -> str:
        """Return "mock" or "silicon" for what was asked: "auto" takes a card if there is one.

        Raises:
            BoardError: for an unknown kind, or "silicon" on a machine without a card.
        """
        if self._connection is None:
            return choose_device(wanted)
        check_kind(wanted)
        return self._connection.kind_for(board.name) if wanted == "auto" else wanted

    def describe(self, kind: str, board: Board) -> str:
        """Return in words what a cluster has, "" for this machine."""
        if self._connection is None:
            return ""
        times = "measured" if kind == "silicon" else "estimated"
        return (
            f"{kind} {board.name} in the cluster at {self._connection.address}; times are {times}"
        )

    def open(self, board: Board, kind: str, timing: TimingSettings) -> "DevicePool | ClusterDevice":
        """Return the devices; whoever opens them closes them, before this is left.

        Raises:
            DeviceError: if there are to be more than any machine has room for.
            ClusterError: if no worker of the cluster has such a device.
        """
        if self._connection is None:
            return open_pool(board, kind, timing, self._jobs)
        from autosched.cluster.device import ClusterDevice  # noqa: PLC0415 - loads Dask
        from autosched.cluster.tasks import DeviceSpec  # noqa: PLC0415

        return ClusterDevice(self._connection, DeviceSpec(board, kind, timing))

    def __enter__(self) -> "Workplace":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()


def _connected(address: str, jobs: int | None, tell: Callable[[str], None]) -> "Connection":
    if jobs is not None:
        raise ClusterError(
            "--jobs is of this machine's own devices; those of a cluster are as many as its "
            "workers have (autosched worker --jobs N)"
        )
    need_cluster_packages()
    from autosched.cluster.connection import Connection  # noqa: PLC0415 - loads Dask

    return Connection(address, tell)


def need_cluster_packages() -> None:
    """Refuse to go on without Dask's cluster, which not everyone installs.

    Raises:
        ClusterError: if it is not installed.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - once

    if find_spec("distributed") is None:
        raise ClusterError(f"a cluster needs dask.distributed, which is not installed: {_PACKAGES}")
