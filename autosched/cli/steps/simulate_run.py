"""The steps of ``autosched simulate``."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from autosched.bench.executions import (
    Executed,
    accepted_candidates,
    execute_candidates,
    minimised,
    rarest,
)
from autosched.boards import Board, find_board
from autosched.cli import exits
from autosched.cli.steps.search_request import parse_duration
from autosched.device.machine import SIMULATOR, ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.errors import StoreError
from autosched.evidence.table import RIGHT, Case, Evidence, read_evidence, write_evidence
from autosched.report import words
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.outcomes import AGAINST, LayerExecution, Rejection, Verdict
from autosched.schedule.serialization import to_plain
from autosched.space.efforts import find_effort
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


def simulate_candidates(output: Screen, asked: SimulateRequest) -> bool:
    """Execute candidates until the time is up; return whether all of them were right.

    Raises:
        BoardError, DeviceError, SearchError: if the board, the simulator or the effort is not
            there, or the time is no duration.
    """
    board, deadline = find_board(asked.board), time.monotonic() + parse_duration(asked.timeout)
    counts: Counter[str] = Counter()
    wrong: list[Executed] = []
    find_effort(asked.effort)
    table = _Table(asked.write, board)
    with ExitStack() as devices:
        simulator = devices.enter_context(WorkerDevice(board, SIMULATOR))
        simulator.start()
        mock = devices.enter_context(WorkerDevice(board))
        for done in _executed(output, asked, board, (simulator, mock), deadline, counts):
            table.add(done)
            if done.is_wrong(asked.min_concordance):
                wrong.append(minimised(done, simulator, mock, asked.min_concordance))
                _show(output, wrong[-1])
    total = sum(counts.values())
    say(
        output.console,
        f"{words.count(total, 'candidate')} of {words.count(len(counts), 'kind')} executed on the "
        f"simulated {board.name}: {len(wrong)} wrong",
        "red" if wrong else "green",
    )
    output.result(
        {
            "board": board.name,
            "executed": words.executed(SIMULATOR),
            "candidates": total,
            "kinds": len(counts),
            "wrong": [_plain(found) for found in wrong],
        }
    )
    return not wrong


class _Table:
    """The table of kinds that the user names, kept as far as it is; without one, nothing."""

    def __init__(self, file: str | None, board: Board) -> None:
        self._path = None if file is None else Path(file)
        self._arch = board.arch
        self._evidence = Evidence(ttnn_version())
        if self._path is not None:
            self._evidence = _known(self._path) or self._evidence

    def add(self, done: Executed) -> None:
        """Add a candidate, and write the table."""
        verdict = done.verdict(RIGHT)
        if self._path is None or verdict not in (Verdict.RIGHT, *AGAINST):
            return  # what the simulator or its compiler lacks says nothing
        concordance = -1.0
        if isinstance(done.answer, LayerExecution) and verdict is not Verdict.VARIES:
            concordance = round(done.answer.agreement.concordance, 4)
        found = done.candidate
        case = Case(found.kind, self._arch, 1, concordance, found.network_seed)
        self._evidence = self._evidence.with_case(case)
        write_evidence(self._evidence, self._path)


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
    board: Board,
    devices: tuple[WorkerDevice, WorkerDevice],
    deadline: float,
    counts: Counter[str],
) -> Iterator[Executed]:
    """Yield what was executed, network by network."""
    simulator, mock = devices
    screen = SearchScreen(output.console, deadline)
    seed = asked.seed
    with screen.shown():
        while time.monotonic() < deadline:
            screen.begin("simulate", f"network of seed {seed}, {sum(counts.values())} executed")
            with (
                tempfile.TemporaryDirectory() as place,
                open_store(f"sqlite:///{place}/probes.sqlite3") as store,
            ):
                found = accepted_candidates(seed, board, mock, store, find_effort(asked.effort))
            chosen = rarest(found, counts, asked.each, Random(seed))  # noqa: S311 - no secret
            for done in execute_candidates(chosen, simulator):
                counts[done.candidate.kind] += 1
                yield done
                exits.check_interrupt()
                if time.monotonic() > deadline:
                    break
            seed += 1


def _show(output: Screen, found: Executed) -> None:
    say(output.console, f"WRONG, seed {found.candidate.network_seed}: {_words(found)}", "red")
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
        "seed": found.candidate.network_seed,
        "kind": found.candidate.kind,
        "result": _words(found),
        "request": to_plain(found.candidate.request),
    }
