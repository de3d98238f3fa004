"""One search of the queue as a process of its own: what it starts with, and what it came to."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from autosched.files import replace_file
from autosched.service.asking import arguments
from autosched.service.search_files import ended_with, said_by, started_from
from autosched.service.submissions import State, Submission

_OF_OURS = "import sys; sys.path = [place for place in sys.path if place]"
"""Modules of the working directory stand in for none of ours."""
# Between the fork and the request to die with the parent, that may have gone. Stops that an earlier
# shell had ignored are for us to give.
_TETHERED = f"""
{_OF_OURS}
import os
from signal import SIG_DFL, SIGINT, signal
from autosched.device.worker_process import die_with_parent
die_with_parent()
signal(SIGINT, SIG_DFL)
if os.getppid() == int(sys.argv[1]):
    os.nice(int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
"""
_KILLED_S = 10.0


def own_program(module: str, function: str) -> tuple[str, ...]:
    """Return the command that calls a function of ours in a process of its own."""
    code = f"{_OF_OURS}\nfrom {module} import {function}\n{function}()"
    return sys.executable, "-c", code


SEARCH = own_program("autosched.cli.main", "main")
"""The command line that searches, as whoever is installed with it types it."""


class Child:
    """A program that runs on behalf of the thread that starts it, which has to outlive it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        out: IO[bytes] | int,
        err: IO[bytes] | int,
        reads: IO[bytes] | int = subprocess.DEVNULL,
        nice: int = 0,
        keeps: Collection[int] = (),
    ) -> None:
        """Start it; ``keeps`` are open files that it holds, too.

        Raises:
            OSError: if it cannot be started.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TETHERED, str(os.getpid()), str(nice), *command],
            stdin=reads,
            stdout=out,
            stderr=err,
            env={**os.environ, **environment},
            pass_fds=tuple(keeps),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process, and group."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Return its exit code, negative for a signal, None if it still runs then."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and whatever of its group is left; what it kept elsewhere dies with it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_S)


_LARGEST_RESULT = 8 << 20
_LONGEST_MESSAGE = 2000
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class Task:
    """A submission to search now: its network, its trials so far, and where its files go."""

    item: Submission
    network: str
    trials: int
    searches: Path

    @property
    def words(self) -> Path:
        """What the search says, in a file."""
        return said_by(self.searches, self.item.id)

    @property
    def result(self) -> Path:
        """The JSON object that the search ends with, in a file."""
        return ended_with(self.searches, self.item.id)

    def command(self) -> list[str]:
        """Return the words after ``autosched``; a schedule to start from is written to a file.

        Raises:
            SearchError: if the options are those of another version.
            OSError: if the schedule cannot be written.
        """
        asked = self.item.options
        trials, timeout_s = asked.get("trials"), asked.get("timeout_s")
        left = None if trials is None else max(0, trials - self.trials)
        left_s = None if timeout_s is None else max(1.0, timeout_s - self.item.run_s)
        words = arguments(asked, trials=left, timeout_s=left_s)
        if asked.get("start") is not None:
            path = started_from(self.searches, self.item.id)
            replace_file(path, json.dumps(asked["start"], allow_nan=False), 0o600)
            words.append(f"--start={path}")
        named = (f"--study={self.item.study}", f"--board={self.item.board}", "--json")
        return ["run", self.network, *named, *words]


@dataclass(frozen=True)
class Ending:
    """What became of a search; ``state`` is WAITING if it is to go on later, None if not ours."""

    state: State | None
    message: str = ""
    result: Mapping[str, Any] | None = None


class SearchProcess:
    """A search that runs."""

    def __init__(
        self,
        task: Task,
        program: Sequence[str],
        environment: Mapping[str, str],
        keeps: Collection[int] = (),
    ) -> None:
        """Start it in an environment; ``keeps`` are open files that it holds as well.

        Raises:
            AutoschedError, OSError: if it cannot be started.
        """
        self._task = task
        command = [*program, *task.command()]
        with ExitStack() as files:
            out = files.enter_context(_opened(task.result, os.O_TRUNC))
            err = files.enter_context(_opened(task.words, os.O_APPEND))
            named = {**environment, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
            self._child = Child(command, environment=named, out=out, err=err, keeps=keeps)
        self._code: int | None = None
        self._pressed = False

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def has_ended(self, seconds: float) -> bool:
        """Wait for so long; return whether it has ended by then."""
        if self._code is None:
            self._code = self._child.wait(seconds)
        return self._code is not None

    def interrupt(self) -> None:
        """Ask it to end as Ctrl-C does: it stores what is finished."""
        self._child.signal(signal.SIGINT)

    def press(self, waited_s: float, grace_s: float) -> None:
        """Ask again when half of the time is up that it has for that, and kill it at the end."""
        if waited_s > grace_s:
            self._child.kill()
        elif waited_s > grace_s / 2 and not self._pressed:
            self._pressed = True
            self._child.signal(signal.SIGTERM)

    def close(self) -> None:
        """Kill whatever is left of it."""
        self._child.kill()

    def ending(self, *, cancelled: bool, stopped: bool) -> Ending:
        """Return what it came to, once it has ended."""
        result = _read_result(self._task.result)
        if self._code == 0:
            if result is None:
                return Ending(State.FAILED, "the search ended without a result")
            return Ending(State.FINISHED, str(result.get("stopped") or ""), result)
        if cancelled:
            return Ending(State.CANCELLED, "cancelled; every finished trial is stored")
        if stopped:
            return Ending(State.WAITING, "interrupted with the service; it goes on where it was")
        said = None if result is None else result.get("error")
        if not isinstance(said, str) or not said:
            code = self._code or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            said = f"the search ended by {how}: {last_words(self._task.words, 1) or 'no word'}"
        return Ending(State.FAILED, said[:_LONGEST_MESSAGE])


def last_words(path: Path, lines: int) -> str:
    """Return the last lines of a file of words; "" if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().split("\n")[-lines:])


def _opened(path: Path, how: int) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb")


def _read_result(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _LARGEST_RESULT:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
