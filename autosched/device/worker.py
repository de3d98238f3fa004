"""A device in a child process, because ttnn can segfault, abort and hang.

The child is a process group of its own: it does not see the terminal's Ctrl-C, it dies with its
parent, and it is killed when an answer takes longer than the deadline. The next request starts a
new one.
"""

import ctypes
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from autosched.boards import Board
from autosched.device.mock_setup import cache_dir
from autosched.device.opening import open_local_device
from autosched.device.requests import ProbeRequest, ReshardRequest, TimingSettings
from autosched.errors import AutoschedError, DeviceError
from autosched.network.graph import Network
from autosched.schedule import ProbeOutcome, Rejection, RejectionKind, RunOutcome, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

_START_DEADLINE_S = 120.0
_PR_SET_PDEATHSIG = 1


class WorkerDevice:
    """A device that lives in a worker process.

    ``deadline_s`` bounds every single answer. On silicon a new kernel compiles for about a second,
    so leave room for a whole network there.
    """

    def __init__(
        self,
        board: Board,
        kind: str = "mock",
        timing: TimingSettings | None = None,
        deadline_s: float = 120.0,
    ) -> None:
        self.board = board
        self.kind = kind
        self._timing = timing or TimingSettings()
        self._deadline_s = deadline_s
        self._network: Network | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._log: IO[bytes] | None = None

    def load(self, network: Network) -> None:
        """Take the network that :meth:`run` executes; a restarted worker gets it again."""
        self._network = network
        if self._child is not None:
            self._ask("load", network)

    def probe(self, request: ProbeRequest) -> ProbeOutcome | Rejection:
        """Run one candidate of a layer alone."""
        answer: ProbeOutcome | Rejection = self._ask("probe", request)
        return answer

    def reshard(self, request: ReshardRequest) -> ProbeOutcome | Rejection:
        """Bring a tensor from one layout into another, alone."""
        answer: ProbeOutcome | Rejection = self._ask("reshard", request)
        return answer

    def run(self, schedule: Schedule) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``."""
        answer: RunOutcome | Rejection = self._ask("run", schedule)
        return answer

    def close(self) -> None:
        """End the worker process."""
        child, connection, log = self._child, self._connection, self._log
        self._child = self._connection = self._log = None
        if connection is not None:
            connection.close()
        if child is not None:
            _kill(child)
        if log is not None:
            log.close()

    def __enter__(self) -> "WorkerDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the worker now instead of at the first request.

        Raises:
            DeviceError: if it cannot open the device; the message carries its last words.
            BoardError: if the card that is there is another board.
        """
        here, there = Pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "autosched.device.worker", str(there.fileno())],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            cwd=_scratch_dir(),
        )
        there.close()
        self._connection = here
        _send(here, (self.board, self.kind, self._timing))
        answer = self._receive(_START_DEADLINE_S)
        if isinstance(answer, Rejection):
            words = self._last_words()
            self.close()
            raise DeviceError(
                f"the {self.kind} device {self.board.name} cannot be opened: {answer.message}"
                + (f"\n{words}" if words else "")
            )
        if isinstance(answer, AutoschedError):
            self.close()
            raise answer
        if self._network is not None:
            self._ask("load", self._network)

    def _ask(self, method: str, argument: Any) -> Any:
        if self._child is None:
            self.start()
        if self._connection is None:
            return Rejection(RejectionKind.CRASH, "the worker process died when it was started")
        try:
            _send(self._connection, (method, argument))
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            return Rejection(RejectionKind.CRASH, "the worker process had ended")
        answer = self._receive(self._deadline_s)
        if isinstance(answer, Rejection) and answer.kind in (
            RejectionKind.HANG,
            RejectionKind.CRASH,
        ):
            self.close()
        return answer

    def _receive(self, deadline_s: float) -> Any:
        assert self._connection is not None  # noqa: S101 - only called while a child lives
        try:
            if not self._connection.poll(deadline_s):
                return Rejection(RejectionKind.HANG, f"no answer within {deadline_s:g} s")
            return pickle.loads(self._connection.recv_bytes())  # noqa: S301 - our own child
        except (EOFError, ConnectionResetError):
            return Rejection(RejectionKind.CRASH, self._cause_of_death())

    def _cause_of_death(self) -> str:
        assert self._child is not None  # noqa: S101 - only called while a child lives
        code = self._child.wait()
        if code < 0:
            return f"the worker process died of {signal.Signals(-code).name}"
        return f"the worker process ended with exit code {code}"

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-5:])


def _scratch_dir() -> Path:
    """Return where the worker runs: tt-metal leaves a directory ``generated`` there."""
    path = cache_dir() / "worker"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _kill(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _send(connection: Connection, message: Any) -> None:
    # Connection.send() would hand torch's tensors over as shared-memory descriptors that only
    # processes started by multiprocessing can open.
    connection.send_bytes(pickle.dumps(message))


def serve(connection: Connection) -> None:
    """Open the device the parent names and answer its requests until it hangs up."""
    board, kind, timing = pickle.loads(connection.recv_bytes())  # noqa: S301 - our own parent
    try:
        device = open_local_device(board, kind, timing)
    except AutoschedError as error:
        _send(connection, error)
        return
    except Exception as error:  # whatever ttnn throws is the answer
        _send(connection, Rejection(RejectionKind.CRASH, str(error)))
        return
    methods: dict[str, Callable[[Any], Any]] = {
        "load": device.load,
        "probe": device.probe,
        "reshard": device.reshard,
        "run": device.run,
    }
    _send(connection, "ready")
    while True:
        try:
            method, argument = pickle.loads(connection.recv_bytes())  # noqa: S301 - our own parent
        except EOFError:
            return
        _send(connection, methods[method](argument))


if __name__ == "__main__":
    _die_with_parent()
    serve(Connection(int(sys.argv[1])))
