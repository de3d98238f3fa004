"""The steps of ``autosched profile``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autosched.boards import Board, find_board
from autosched.budget import Budget
from autosched.cli.steps.search_request import parse_duration
from autosched.cost.model import CostModel
from autosched.cost.model_choice import SHIPPED, ChosenModel, choose_cost_model
from autosched.cost.profiles.perf_csv import write_ops
from autosched.device.machine import ttnn_version
from autosched.errors import ProgramError
from autosched.probing.probe_book import total_us
from autosched.profiling.program import ProgramProfile, ProgramRequest, profile_program
from autosched.report import words
from autosched.report.output import Screen, say
from autosched.report.program_table import (
    OpRow,
    group_table,
    guessed,
    op_groups,
    op_rows,
    op_table,
)
from autosched.report.progress import SearchScreen
from autosched.schedule.outcomes import TimeKind
from autosched.store.database import open_store


@dataclass(frozen=True)
class Profiled:
    """What to profile and what to write, as the user typed it."""

    program: str
    function: str
    board: str
    first: bool
    timeout: str
    layers: bool
    csv: str | None
    net: str | None
    schedule: str | None
    batch: int | None
    check: bool
    storage: str | None


def profile_and_report(output: Screen, asked: Profiled) -> None:
    """Run a program on the mock device, and print and write what it did.

    Raises:
        ProgramError: if it cannot be used, raises, hangs, or runs nothing on the device.
        BoardError, DeviceError: if the board is unknown, or the device cannot be opened.
    """
    budget = Budget.of(parse_duration(asked.timeout))
    board = find_board(asked.board)
    file = _checked_file(asked.program)
    cost = _cost_model(asked.storage, board)
    say(output.console, f"Running program {file} (it is executed)")
    run = "first" if asked.first else "second"
    say(output.console, f"Device: mock {board.name}; times are estimated, none is measured")
    request = ProgramRequest(str(file.absolute()), board, asked.function, asked.first, os.getcwd())
    screen = SearchScreen(output.console, None)
    with screen.shown():
        screen.begin("running", f"{file.name}, on ttnn's mock device")
        found = profile_program(request, budget)
    plain = _reported(output, asked, found, board, cost)
    output.result({"program": str(file), "run": run, **plain})


def _checked_file(name: str) -> Path:
    file = Path(name)
    if not file.is_file():
        raise ProgramError(f"{name}: there is no such file; name the Python file of the program")
    if file.suffix != ".py":
        raise ProgramError(
            f"{name} is no Python file (.py); write one with a function that takes the device, as "
            "in `def run(device):`"
        )
    return file


def _cost_model(storage: str | None, board: Board) -> ChosenModel:
    """Return the shipped model, or the best match of a database that the user names."""
    if storage is None:
        return ChosenModel(CostModel.load(board.arch), SHIPPED)
    with open_store(storage) as store:
        return choose_cost_model(store, board.arch, ttnn_version())


def _reported(
    output: Screen, asked: Profiled, found: ProgramProfile, board: Board, cost: ChosenModel
) -> dict[str, Any]:
    """Print a profile, write its CSV, and return what ``--json`` says of it."""
    console, model = output.console, cost.model
    rows = op_rows(found.ops, found.callers, model)
    groups = op_groups(rows, lambda row: row.group)
    by_op = sorted(op_groups(rows, lambda row: row.op), key=lambda row: -row.time_us)
    say(console)
    console.print(group_table(groups, "call") if asked.layers else op_table(rows))
    say(console)
    console.print(group_table(by_op, "op"))
    say(console)
    ops = model.estimate(found.ops)
    latency_us = total_us(ops)
    std_us = latency_us * model.total_std_error(ops)
    _say_totals(output, asked, found, rows, words.latency(latency_us, TimeKind.ESTIMATED, std_us))
    say(console, f"Estimated by cost model {model.version}, {cost.source}; ttnn {ttnn_version()}")
    if asked.csv is not None:
        named = [replace(op, layer=row.group) for op, row in zip(ops, rows, strict=True)]
        path = write_ops(named, TimeKind.ESTIMATED, board, model.version, asked.csv)
        say(console, f"Ops: {path}")
    return {
        "board": board.name,
        "device": "mock",
        "ttnn_version": ttnn_version(),
        "cost_model": model.version,
        "cost_model_source": cost.source,
        "latency_us": latency_us,
        "latency_kind": TimeKind.ESTIMATED.value,
        "latency_std_us": std_us,
        "peak_l1_bytes": found.peak_l1_bytes,
        "peak_op": found.peak_op + 1 or None,
        "kept_l1_bytes": found.kept_l1_bytes,
        "guessed": dict(guessed(rows)),
        "notes": list(found.notes),
        "csv_path": asked.csv,
        "layers": [row.to_plain() for row in groups],
        "by_op": [row.to_plain() for row in by_op],
        "ops": [row.to_plain() for row in rows],
    }


def _say_totals(
    output: Screen, asked: Profiled, found: ProgramProfile, rows: Sequence[OpRow], latency: str
) -> None:
    run = "first run" if asked.first else "second run, weights prepared"
    say(output.console, f"{words.count(len(rows), 'op')} in {latency}; {run}", "bold")
    place = found.peak_op
    where = f", at op {place + 1} ({rows[place].op})" if place >= 0 else " in the whole run"
    kept = words.kibibytes(found.kept_l1_bytes)
    before = f"; {kept} KiB of it lay there before the run" if found.kept_l1_bytes else ""
    peak = words.kibibytes(found.peak_l1_bytes)
    say(output.console, f"L1 peak: {peak} KiB of each core{where}{before}")
    for op, share in guessed(rows).items():
        say(
            output.console,
            f"The cost model has no formulas for {op}: {words.share(share)} of the total is a "
            "guess from its bytes",
            "yellow",
        )
    for note in found.notes:
        say(output.console, note, "yellow")
