"""A device in a child process, because ttnn can segfault, abort and hang.

The child is a process group of its own: it does not see the terminal's Ctrl-C, it dies with its
parent, and it is killed when it has not taken a request and answered it within the deadline. The
next request starts a new one.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.deadlines import answer_deadline_s, simulated_deadline_s
from autosched.device.interface import (
    LayerTest,
    ProbeRequest,
    Request,
    ReshardRequest,
    TimingSettings,
    check_time,
)
from autosched.device.machine import (
    SIMULATOR,
    cache_dir,
    end_process,
    kill_group,
    own_directory,
    worker_environment,
)
from autosched.device.recovery import CardReset, recovery_of
from autosched.device.worker_process import Channel, News
from autosched.errors import AutoschedError, DeviceError, MachineError, TimeUpError
from autosched.network.graph import Network
from autosched.schedule.outcomes import (
    AloneTime,
    ExecutedLayer,
    Execution,
    LayerExecution,
    ProbeOutcome,
    Rejection,
    RejectionKind,
    RunOutcome,
    Soaked,
    is_killed_from_outside,
)
from autosched.schedule.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch


_START_DEADLINE_S = 120.0
_EXIT_GRACE_S = 10.0
_LONGEST_LINE = 200
# The slowest networks take tens of milliseconds on a card.
_REPLAY_S = 0.2
# A worker that dies while it starts is started again so often.
_STARTS = 3
# So many requests that cost a worker in a row are no accident of single candidates. One that hangs
# takes minutes to find out.
_MOST_LOSSES = {RejectionKind.CRASH: 10, RejectionKind.HANG: 3}
_ASKED_ALONE = ("probe", "reshard", "execute_layer", "time_alone")


class _WorkerLostError(Exception):
    """The worker gives no answer, and none can be expected of it."""

    def __init__(self, kind: RejectionKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WorkerDevice:
    """A device that lives in a worker process.

    An error that autosched raises in the worker (no network loaded, a schedule for another one) is
    raised here; whatever else goes wrong there is a rejection. The worker dies with the thread
    that started it, so keep that one alive.

    ``deadline_s`` bounds every single request, from its first byte to the answer's last; what
    takes longer is a rejection as a hang. By default it follows the work there is
    (:mod:`autosched.device.deadlines`). A caller's budget that ends earlier is a TimeUpError
    instead, and ends the worker as well.

    A device that costs a worker again and again, with no answer in between, is a DeviceError; so is
    a card that hung and does not come back (``recovery``, default:
    :func:`~autosched.device.recovery.recovery_of` its kind).
    """

    def __init__(
        self,
        board: Board,
        kind: str = "mock",
        timing: TimingSettings | None = None,
        deadline_s: float | None = None,
        recovery: CardReset | None = None,
    ) -> None:
        self.board = board
        self.kind = kind
        self._timing = timing or TimingSettings()
        self.deadline_s = deadline_s
        self._network: Network | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._log: IO[bytes] | None = None
        self._losses = dict.fromkeys(_MOST_LOSSES, 0)
        self._last_loss = ""
        self._answered: tuple[str, Any] | None = None
        self._recovery = recovery or recovery_of(kind)
        self._hung = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, or None while there is no worker."""
        return None if self._child is None else self._child.pid

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` executes; a restarted worker gets it again."""
        self._network = network.without_samples()
        if self._child is not None:
            self._ask("load", self._network, budget)

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        """Run one candidate of a layer alone."""
        answer: ProbeOutcome | Rejection = self._ask("probe", request, budget)
        return answer

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        """Bring a tensor from one layout into another, alone."""
        answer: ProbeOutcome | Rejection = self._ask("reshard", request, budget)
        return answer

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``."""
        answer: RunOutcome | Rejection = self._ask("run", schedule, budget)
        return answer

    def execute(
        self,
        schedule: Schedule,
        inputs: "Sequence[torch.Tensor]",
        report: "Callable[[ExecutedLayer], None]" = lambda _executed: None,
        budget: Budget = UNLIMITED,
    ) -> Execution | Rejection:
        """Run the loaded network on ``inputs`` (in PyTorch's order), and compare every layer.

        ``report`` is handed each layer as soon as it has been compared. A layer that the worker
        does not survive, or that does not end, is named by the rejection.
        """
        done: list[ExecutedLayer] = []

        def tell(executed: ExecutedLayer) -> None:
            done.append(executed)
            report(executed)

        answer: Execution | Rejection = self._ask(
            "execute", (schedule, tuple(inputs)), budget, tell
        )
        if isinstance(answer, Rejection) and not answer.layer:
            return replace(answer, layer=_next_layer(schedule, len(done)))
        return answer

    def execute_layer(
        self, test: LayerTest, budget: Budget = UNLIMITED
    ) -> LayerExecution | Rejection:
        """Execute a layer or reshard alone, and compare it with PyTorch."""
        answer: LayerExecution | Rejection = self._ask("execute_layer", test, budget)
        return answer

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        """Run a layer or reshard alone on a card, and time it by replays of a trace."""
        answer: AloneTime | Rejection = self._ask("time_alone", request, budget)
        return answer

    def soak(
        self, schedule: Schedule, replays: int, budget: Budget = UNLIMITED
    ) -> Soaked | Rejection:
        """Replay the loaded network by ``schedule`` on a card, and compare its outputs' bits."""
        answer: Soaked | Rejection = self._ask("soak", (schedule, replays), budget)
        return answer

    def close(self) -> None:
        """End the worker process; a card is closed first."""
        self._end(_EXIT_GRACE_S if self.kind == "silicon" else 0.0)

    def kill(self) -> None:
        """Kill the worker process; whoever waits for its answer in another thread gets a crash."""
        child = self._child
        if child is not None and child.poll() is None:
            kill_group(child)

    def _end(self, grace_s: float = 0.0) -> None:
        """Hang up, and kill the worker if it is still there after ``grace_s``."""
        child, channel, log = self._child, self._channel, self._log
        self._child = self._channel = self._log = None
        if channel is not None:
            channel.close()
        if child is not None:
            end_process(child, grace_s)
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

    def start(self, budget: Budget = UNLIMITED) -> None:
        """Start the worker now instead of at the first request, if there is none.

        One that dies meanwhile is started again, twice. After a hang the device is brought back
        first.

        Raises:
            DeviceError: if it cannot open the device, or that does not come back after a hang; the
                message carries its last words.
            BoardError: if the card that is there is another board.
            TimeUpError: if the budget is up before the device is open.
        """
        if self._child is None and self._hung and self._recovery is not None:
            self._recover(self._recovery, budget)
        else:
            self._start_again(budget)

    def _recover(self, recovery: CardReset, budget: Budget) -> None:
        """Reset a device that hung, start the worker, and ask it what is known to be good."""
        recovery.reset()
        self._start_again(budget)
        method, argument = recovery.known_good
        try:
            answer = self._exchange((method, argument), self._limit_s(method, argument), budget)
            objection = recovery.objection(answer)
        except _WorkerLostError as error:
            objection = str(error)
        except BaseException:
            self._end()
            raise
        if objection:
            self._end()
            raise self._unusable("hung and did not come back", objection)
        self._hung = False

    def _start_again(self, budget: Budget) -> None:
        for left in reversed(range(_STARTS)):
            if self._child is not None:
                return
            try:
                self._start(budget)
            except _WorkerLostError as error:
                words = self._last_words()
                self._end()
                if left == 0 or error.kind is RejectionKind.HANG:
                    said = f"{error}\n{words}" if words else str(error)
                    raise self._unusable("cannot be opened", said) from None
            except BaseException:
                self._end()
                raise

    def _start(self, budget: Budget) -> None:
        """Start a worker and hand it the network.

        Raises:
            _WorkerLostError: if it dies or hangs.
        """
        # tt-metal leaves a directory "generated" where it runs.
        directory = own_directory("worker")
        here, there = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._child = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(there.fileno())],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            cwd=directory,
            env={**os.environ, **worker_environment()},
        )
        there.close()
        self._channel = Channel(here)
        answer = self._exchange((self.board, self.kind, self._timing), _START_DEADLINE_S, budget)
        if isinstance(answer, AutoschedError):
            raise answer
        if self._network is not None:
            limit_s = self._limit_s("load", self._network)
            answer = self._exchange(("load", self._network), limit_s, budget)
            if isinstance(answer, AutoschedError):
                raise answer

    def _unusable(self, what: str, words: str) -> DeviceError:
        return DeviceError(f"the {self.kind} device {self.board.name} {what}: {words}")

    def _ask(
        self,
        method: str,
        argument: Any,
        budget: Budget,
        report: "Callable[[Any], None]" = lambda _news: None,
    ) -> Any:
        check_time(budget)
        self._check_health(budget)
        self.start(budget)
        began = time.monotonic()
        try:
            answer = self._exchange(
                (method, argument), self._limit_s(method, argument), budget, report
            )
        except _WorkerLostError as error:
            words = self._last_words()
            self._end()
            self._hung = self._hung or error.kind is RejectionKind.HANG
            said = _fault_in(words)
            if not said:  # what a simulator lacks is no fault of the device
                self._losses[error.kind] += 1
                self._last_loss = f"{error}\n{words}" if words else str(error)
            if said:
                return Rejection(error.kind, f"{error}: {said}")
            return _with_evidence(
                Rejection(error.kind, str(error)), time.monotonic() - began, words
            )
        except BaseException:
            # Ctrl-C or the caller's end of time while the answer is under way: the next request
            # must not be given that one.
            self._end()
            raise
        self._losses = dict.fromkeys(_MOST_LOSSES, 0)
        if method in _ASKED_ALONE and not isinstance(answer, Rejection | AutoschedError):
            self._answered = method, argument
        if isinstance(answer, MachineError):
            raise MachineError(f"{answer}\n{_advice()}")
        if isinstance(answer, AutoschedError):
            raise answer
        return answer

    def _check_health(self, budget: Budget) -> None:
        """After too many losses in a row, ask once more what was answered before.

        Raises:
            DeviceError: if nothing ever was, or the device is lost over that, too.
        """
        if all(self._losses[kind] < most for kind, most in _MOST_LOSSES.items()):
            return
        times = sum(self._losses.values())
        self._losses = dict.fromkeys(_MOST_LOSSES, 0)
        if self._answered is not None:
            self.start(budget)
            try:
                self._exchange(self._answered, self._limit_s(*self._answered), budget)
            except _WorkerLostError as error:
                self._hung = self._hung or error.kind is RejectionKind.HANG
                self._end()
            except BaseException:
                self._end()
                raise
            else:
                return  # it is the candidates
        raise self._unusable(f"was lost {times} times in a row, the last time", self._last_loss)

    def _limit_s(self, method: str, argument: Any) -> float:
        """Return how long a healthy device may take for a request."""
        if self.deadline_s is not None:
            return self.deadline_s
        asked: Network | Request | None = None
        if method == "soak":
            _schedule, replays = argument
            return answer_deadline_s(self.kind, self._network) + _REPLAY_S * int(replays)
        if method in ("run", "execute"):
            asked = self._network
        elif method != "load":
            asked = argument.request if isinstance(argument, LayerTest) else argument
        if self.kind == SIMULATOR:
            return simulated_deadline_s(asked)
        return answer_deadline_s(self.kind, asked)

    def _exchange(
        self,
        message: Any,
        limit_s: float,
        budget: Budget,
        report: "Callable[[Any], None]" = lambda _news: None,
    ) -> Any:
        """Send a message and return its answer; every news on the way has the limit of its own."""
        assert self._channel is not None  # noqa: S101 - only called while a child lives
        try:
            self._channel.allow(limit_s)
            self._channel.send(message, budget)
            while isinstance(answer := self._channel.receive(budget), News):
                report(answer.value)
                self._channel.allow(limit_s)
        except TimeoutError:
            if budget.is_up:
                raise TimeUpError("the time was up before the device answered") from None
            raise _WorkerLostError(RejectionKind.HANG, f"no answer within {limit_s:g} s") from None
        except (EOFError, OSError):
            raise _WorkerLostError(RejectionKind.CRASH, self._cause_of_death()) from None
        return answer

    def _cause_of_death(self) -> str:
        assert self._child is not None  # noqa: S101 - only called while a child lives
        try:
            code = self._child.wait(_EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            return "the worker process hung up"
        if code < 0:
            return f"the worker process died of {_signal_name(-code)}"
        return f"the worker process ended with exit code {code}"

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-5:])


def _with_evidence(rejection: Rejection, seconds: float, words: str) -> Rejection:
    """Add when a worker died and the last it said, unless it was killed from outside."""
    if rejection.kind is not RejectionKind.CRASH or is_killed_from_outside(rejection):
        return rejection
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    ends = (
        f"; its log ends: {last[:_LONGEST_LINE]}" if last and last not in rejection.message else ""
    )
    return replace(rejection, message=f"{rejection.message}, after {seconds:.1f} s{ends}")


_SIMULATOR_FAULT = re.compile(r"^(?:\[\d+\] )?ERROR: *(.+)$", re.MULTILINE)


def _fault_in(words: str) -> str:
    """Return what a simulator said when it stopped the process, "" where it said nothing."""
    found = _SIMULATOR_FAULT.findall(words)
    return found[-1] if found else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals but the first and last have none
        return f"signal {number}"


def _advice() -> str:
    path = cache_dir()
    try:
        free = f"{shutil.disk_usage(path).free / 2**30:.1f} GiB free"
    except OSError as error:
        free = str(error.strerror)
    return (
        f"Compiled kernels are kept in {path} ({free}): make room there, or set AUTOSCHED_CACHE to "
        "another directory; autosched doctor looks at it. What was answered before is stored: the "
        "study goes on once this works"
    )


def _next_layer(schedule: Schedule, done: int) -> str:
    """Return the layer that comes after ``done`` layers of a schedule."""
    return next(iter(list(schedule.layers)[done:]), "")


# The directory in which it runs is not one to import from, as it would be with "-m"; Python 3.10
# lacks the option for that.
_WORKER = (
    "import sys; sys.path = [place for place in sys.path if place]; "
    "from autosched.device.worker_process import serve_parent; serve_parent()"
)
