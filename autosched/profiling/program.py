"""A ttnn program of the user's, run in a process of its own on the mock device.

A program is a Python file with a function that takes the device. What that function returns is
called again where it can be called, as the forward pass that it has prepared; otherwise the
function itself is. The process is killed when it does not end in time, and dies with ours.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.device.machine import end_process, own_directory, worker_environment
from autosched.device.worker_process import Channel
from autosched.errors import AutoschedError, ProgramError
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import TensorInfo

FUNCTIONS = ("run", "main", "model")
"""The names under which a program's function is looked for, in this order."""


@dataclass(frozen=True)
class ProgramRequest:
    """A program to run: its file, the name of its function ("": one of :data:`FUNCTIONS`).

    ``first`` asks for the first run, in which weights are prepared, rather than the second.
    ``directory`` is where it runs.
    """

    file: str
    board: Board
    function: str = ""
    first: bool = False
    directory: str = "."


@dataclass(frozen=True)
class RecordedCall:
    """A call of a ttnn function that a network has as a layer.

    ``facts`` are its numbers under ttnn's own names, ``inputs`` and ``output`` the tensors it took
    and left, ``config`` what a schedule says of it. ``unsaid`` are choices a schedule cannot say,
    ``frees`` whether it frees its first input. ``source`` is the program's line.
    """

    function: str
    facts: Mapping[str, object]
    inputs: tuple[TensorInfo, ...]
    output: TensorInfo
    config: LayerConfig | None = None
    unsaid: tuple[str, ...] = ()
    frees: bool = False
    source: str = ""


@dataclass(frozen=True)
class ProgramProfile:
    """What one run of a program did on the device.

    An op's ``layer`` is the signpost it came after, "" where there was none; ``callers`` are the
    calls that the ops served, "conv2d 3" for the third of its name. ``peak_l1_bytes`` is the worst
    sum per core of tensors and circular buffers, ``peak_op`` the place of the op at which it is
    reached, ``kept_l1_bytes`` what of it lay there before the run. ``notes`` say what was left out.
    """

    ops: tuple[DeviceOp, ...]
    callers: tuple[str, ...]
    peak_l1_bytes: int
    peak_op: int
    kept_l1_bytes: int
    calls: tuple[RecordedCall, ...]
    notes: tuple[str, ...]


def profile_program(asked: ProgramRequest, budget: Budget = UNLIMITED) -> ProgramProfile:
    """Run a program in a process of its own, and return what it did on the mock device.

    Raises:
        ProgramError: if the file or its function cannot be used, raises, ends the process, runs
            nothing on the device, or has not ended within the budget.
        DeviceError: if the mock device cannot be opened.
    """
    here, there = socket.socketpair()
    with tempfile.TemporaryFile() as log:
        # What native code says goes to a file, and the program's own errors where ours go.
        errors = os.dup(2)
        child = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(there.fileno()), str(errors)],
            pass_fds=[there.fileno(), errors],
            stdin=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            # tt-metal leaves a directory "generated" where it begins.
            cwd=own_directory("worker"),
            env={**os.environ, **worker_environment()},
        )
        there.close()
        os.close(errors)
        try:
            return _answer(asked, Channel(here), child, log, budget)
        finally:
            here.close()
            end_process(child, 0.0)


# The directory in which it begins is not one to import from.
_PROCESS = (
    "import sys; sys.path = [place for place in sys.path if place]; "
    "from autosched.profiling.process import answer_parent; answer_parent()"
)


def _answer(
    asked: ProgramRequest,
    channel: Channel,
    child: "subprocess.Popen[bytes]",
    log: IO[bytes],
    budget: Budget,
) -> ProgramProfile:
    name = Path(asked.file).name
    try:
        channel.send(asked, budget)
        answer: ProgramProfile | AutoschedError = channel.receive(budget)
    except TimeoutError:
        raise ProgramError(
            f"{name} has not ended within the time it was given, and was killed; give it more "
            "with --timeout, or look for a loop that does not end"
        ) from None
    except (EOFError, OSError):
        raise ProgramError(f"{name} {_cause_of_death(child, log, asked.file)}") from None
    if isinstance(answer, AutoschedError):
        raise answer
    return answer


_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_DEATH_S = 10.0
_LAST_LINES = 3


def _cause_of_death(child: "subprocess.Popen[bytes]", log: IO[bytes], file: str) -> str:
    """Return how the process ended, at which line of the program where Python said it."""
    try:
        code = child.wait(_DEATH_S)
    except subprocess.TimeoutExpired:
        return "hung up"
    log.seek(0)
    words = log.read().decode(errors="replace")
    if code >= 0:
        last = "\n".join(words.strip().splitlines()[-_LAST_LINES:])
        return f"ended its process with exit code {code}{': ' if last else ''}{last}"
    path = str(Path(file).resolve())
    lines = [line for place, line in _FRAME.findall(words) if place == path]
    where = f" at {Path(file).name}:{lines[0]}" if lines else ""
    return f"crashed{where}: ttnn's mock device died of {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals but the first and last have none
        return f"signal {number}"
