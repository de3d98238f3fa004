"""The steps of ``autosched simulate``."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from autosched.bench.executions import (
    Accepted,
    Executed,
    SampleNetwork,
    accepted_candidates,
    execute_candidates,
    minimised,
    most_telling,
    random_sample,
)
from autosched.boards import Board
from autosched.cli import exits
from autosched.cli.steps.search_request import parse_duration
from autosched.device.machine import SIMULATOR, ttnn_version
from autosched.device.which_board import named_board
from autosched.device.worker import WorkerDevice
from autosched.errors import NetworkFileError, StoreError
from autosched.evidence.kinds import FUNCTION
from autosched.evidence.table import (
    RIGHT,
    Case,
    Evidence,
    meetings,
    read_evidence,
    write_evidence,
)
from autosched.report import words
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.outcomes import AGAINST, LayerExecution, Rejection, Verdict
from autosched.schedule.serialization import to_plain
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.store.database import open_store


@dataclass(frozen=True)
class SimulateRequest:
    """What to execute, and for how long, as the user typed it."""

    board: str
    seed: int
    timeout: str
    each: int
    effort: str
    min_concordance: float
    write: str | None = None
    networks: tuple[str, ...] = ()
    side: int = 64
    in_all_formats: bool = False


def simulate_candidates(output: Screen, asked: SimulateRequest) -> bool:
    """Execute candidates until the time is up; return whether all of them were right.

    Raises:
        BoardError, DeviceError, SearchError: if the board, the simulator or the effort is not
            there, or the time is no duration.
        NetworkFileError, UnsupportedOperatorError: if a network cannot be used.
    """
    board, deadline = named_board(asked.board), time.monotonic() + parse_duration(asked.timeout)
    wrong: list[Executed] = []
    find_effort(asked.effort)
    table = _Table(asked.write, board)
    networks = [_small_network(file, asked) for file in asked.networks]
    samples = iter(networks) if networks else map(random_sample, count(asked.seed))
    with ExitStack() as devices:
        simulator = devices.enter_context(WorkerDevice(board, SIMULATOR))
        simulator.start()
        mock = devices.enter_context(WorkerDevice(board))
        both = (simulator, mock)
        for done in _executed(output, asked, samples, both, deadline, table):
            table.add(done)
            if done.is_wrong(asked.min_concordance):
                wrong.append(minimised(done, simulator, mock, asked.min_concordance))
                _show(output, wrong[-1])
    total, kinds = table.counts.total(), len(table.counts)
    say(
        output.console,
        f"{words.count(total, 'candidate')} of {words.count(kinds, 'kind')} executed on the "
        f"simulated {board.name}: {len(wrong)} wrong",
        "red" if wrong else "green",
    )
    output.result(
        {
            "board": board.name,
            "executed": words.executed(SIMULATOR),
            "candidates": total,
            "kinds": kinds,
            "wrong": [_plain(found) for found in wrong],
        }
    )
    return not wrong


class _Table:
    """The table of kinds that the user names, written as it grows; without one, of this run.

    ``counts`` says how often each kind was executed in this run.
    """

    def __init__(self, file: str | None, board: Board) -> None:
        self._path = None if file is None else Path(file)
        self._arch = board.arch
        self._evidence = Evidence(ttnn_version())
        self._lacking: set[str] = set()
        self.counts: Counter[str] = Counter()
        if self._path is not None:
            self._evidence = _known(self._path) or self._evidence

    def telling(self, candidates: Sequence[Accepted], most: int, seed: int) -> list[Accepted]:
        """Return the candidates that add most to the table, as far as they can be executed."""
        able = [item for item in candidates if not self._lacking & {item.kind, *_functions(item)}]
        met = self._evidence.executed_kinds(self._arch).met
        return most_telling(able, met, most, Random(seed))  # noqa: S311 - no secret

    def add(self, done: Executed) -> None:
        """Add a candidate, and write the table."""
        found, verdict = done.candidate, done.verdict(RIGHT)
        self.counts[found.kind] += 1
        if verdict not in (Verdict.RIGHT, *AGAINST):
            # What the simulator or its compiler lacks says nothing, and is not tried again.
            self._lacking |= {found.kind, *_functions(found)}
            return
        concordance = -1.0
        if isinstance(done.answer, LayerExecution) and verdict is not Verdict.VARIES:
            concordance = round(done.answer.agreement.concordance, 4)
        case = Case(found.kind, self._arch, 1, concordance, found.source)
        self._evidence = self._evidence.with_case(case)
        if self._path is not None:
            write_evidence(self._evidence, self._path)


def _functions(candidate: Accepted) -> set[str]:
    """Return a candidate's function of single values with its operator, if it has one."""
    found = meetings(candidate.kind)
    return {f"{operator} {word}" for operator, word, _ in found if word.startswith(FUNCTION)}


def _known(path: Path) -> Evidence | None:
    """Return the table to add to, None where there is none yet.

    Raises:
        StoreError: if it is damaged, of another ttnn, or could not be written.
    """
    if not path.parent.is_dir():
        raise StoreError(f"--write {path}: there is no such directory; create it first")
    known = read_evidence(path)
    if known is not None and known.ttnn_version != ttnn_version():
        raise StoreError(
            f"--write {path}: this table is of ttnn {known.ttnn_version}, and {ttnn_version()} is "
            "installed; name another file"
        )
    return known


def _executed(
    output: Screen,
    asked: SimulateRequest,
    samples: Iterator[SampleNetwork],
    devices: tuple[WorkerDevice, WorkerDevice],
    deadline: float,
    table: _Table,
) -> Iterator[Executed]:
    """Yield what was executed, network by network."""
    simulator, mock = devices
    screen = SearchScreen(output.console, deadline)
    with screen.shown():
        for sample in samples:
            screen.begin("simulate", f"{sample.source}, {table.counts.total()} executed")
            with (
                tempfile.TemporaryDirectory() as place,
                open_store(f"sqlite:///{place}/probes.sqlite3") as store,
            ):
                effort = find_effort(asked.effort)
                found = accepted_candidates(
                    sample,
                    mock.board,
                    mock,
                    store,
                    effort,
                    in_all_formats=asked.in_all_formats,
                )
            chosen = table.telling(found, asked.each, sample.seed)
            for done in execute_candidates(chosen, simulator):
                yield done
                exits.check_interrupt()
                if time.monotonic() > deadline:
                    return
            if time.monotonic() > deadline:
                return


def _small_network(file: str, asked: SimulateRequest) -> SampleNetwork:
    """Capture a network file with images of at most so many rows and columns.

    Raises:
        NetworkFileError, UnsupportedOperatorError: if it cannot be captured so.
    """
    from autosched.network.capture.capture import capture
    from autosched.network.capture.network_file import load_network_file, with_smaller_images

    loaded = with_smaller_images(load_network_file(file), asked.side)
    try:
        network = capture(loaded.module, loaded.example_inputs, loaded.name)
    except NetworkFileError as error:
        raise NetworkFileError(
            f"{error} Its images were cut to {asked.side} pixels: a larger --side may do."
        ) from None
    return SampleNetwork(network, Formats(), f"{loaded.name} at {asked.side} pixels", asked.seed)


def _show(output: Screen, found: Executed) -> None:
    say(output.console, f"WRONG, {found.candidate.source}: {_words(found)}", "red")
    say(output.console, f"  {found.candidate.kind}")
    say(output.console, f"  {found.candidate.request}")


def _words(found: Executed) -> str:
    answer = found.answer
    if isinstance(answer, Rejection):
        return f"{answer.kind}: {answer.message}"
    varies = ", and varies with what memory held" if answer.varies else ""
    return f"concordance {answer.agreement.concordance:.4f}{varies}"


def _plain(found: Executed) -> dict[str, Any]:
    return {
        "source": found.candidate.source,
        "kind": found.candidate.kind,
        "result": _words(found),
        "request": to_plain(found.candidate.request),
    }
