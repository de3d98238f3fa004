"""The steps of ``autosched profile``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autosched.boards import Board
from autosched.budget import Budget
from autosched.cli import hints
from autosched.cli.steps.inputs import captured_network
from autosched.cli.steps.search_request import parse_duration
from autosched.cost.model import CostModel, spending
from autosched.cost.model_choice import SHIPPED, ChosenModel, choose_cost_model
from autosched.cost.profiles.perf_csv import check_ops_target, write_ops
from autosched.device.machine import ttnn_version
from autosched.device.which_board import named_board
from autosched.device.worker import WorkerDevice
from autosched.errors import ProgramError
from autosched.export.saving import check_target, save_schedule
from autosched.network.graph import Network
from autosched.probing.probe_book import total_us
from autosched.profiling.matching import Matches, described, layer_in_words, match
from autosched.profiling.program import ProgramProfile, ProgramRequest, profile_program
from autosched.profiling.recovery import Recovery, formats_of, recover
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
from autosched.report.summary import print_next
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.tensors import labelled_edge
from autosched.space.formats import Formats
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
        ProfileError, ScheduleError: if what is to be written has no place.
    """
    budget = Budget.of(parse_duration(asked.timeout))
    if asked.schedule is not None:
        if asked.net is None:
            raise ProgramError(
                "--schedule writes what the program chose for a network; name its file with --net"
            )
        check_target(Path(asked.schedule))
    if asked.csv is not None:
        check_ops_target(asked.csv)
    board = named_board(asked.board)
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
    if asked.net is not None:
        plain |= _recovered(output, asked, found, board, cost.model)
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
    say(console, f"\n{'Calls' if asked.layers else 'Device ops'} (times estimated)")
    console.print(group_table(groups, "call") if asked.layers else op_table(rows))
    say(console, "\nTotals by op (times estimated)")
    console.print(group_table(by_op, "op"))
    say(console)
    ops = model.estimate(found.ops)
    latency_us = total_us(ops)
    std_us = latency_us * model.total_std_error(ops)
    _say_totals(output, asked, found, rows, words.latency(latency_us, TimeKind.ESTIMATED, std_us))
    say(console, f"Estimated by cost model {model.version}, {cost.source}; ttnn {ttnn_version()}")
    if asked.csv is not None:
        named = [replace(op, layer=row.group) for op, row in zip(ops, rows, strict=True)]
        columns = [spending([model.predict(op)]).columns() for op in ops]
        path = write_ops(named, TimeKind.ESTIMATED, board, model.version, asked.csv, columns)
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


def _recovered(
    output: Screen, asked: Profiled, found: ProgramProfile, board: Board, cost: CostModel
) -> dict[str, Any]:
    """Say what the program chose for a network's layers, and write it as a schedule."""
    assert asked.net is not None  # noqa: S101 - only called with one
    console = output.console
    say(console)
    network = captured_network(output, asked.net, asked.batch, check=asked.check)
    matches = match(network, found.calls)
    if not matches.by_layer:
        raise ProgramError(
            f"no convolution, pool, linear layer or sum of {Path(asked.program).name} is one of "
            f"{network.name}: their sizes differ (batch included: that of {network.name} is "
            f"{network.batch}, see --batch)"
        )
    formats = formats_of(network, matches.by_layer)
    with WorkerDevice(board) as worker:
        recovery = recover(network, matches, worker, ttnn_version(), formats)
    ops = cost.estimate(recovery.outcome.ops)
    latency_us = total_us(ops)
    _say_recovered(output, network, matches, recovery)
    std_us = latency_us * cost.total_std_error(ops)
    latency = words.latency(latency_us, TimeKind.ESTIMATED, std_us)
    own_us = total_us([op for op in ops if _serves(op.layer) in recovery.taken])
    say(
        console,
        f"With that, {network.name} runs in {latency}, {words.microseconds(own_us)} {words.MICRO} "
        "of it in those layers",
        "bold",
    )
    made = replace(
        recovery.schedule.provenance,
        latency_us=latency_us,
        latency_kind=TimeKind.ESTIMATED,
        cost_model=cost.version,
    )
    if asked.schedule is not None:
        path = save_schedule(replace(recovery.schedule, provenance=made), asked.schedule)
        say(console, f"Schedule: {path}")
        options = format_options(formats)
        print_next(console, [hints.command("run", asked.net, *options, "--start", asked.schedule)])
    return {
        "schedule_path": asked.schedule,
        "network": network.name,
        "schedule_latency_us": latency_us,
        "schedule_latency_in_taken_us": own_us,
        "taken": list(recovery.taken),
        "unmatched_layers": [layer.name for layer in matches.layers],
        "unmatched_calls": [described(call) for call in matches.calls],
        "remarks": list(recovery.remarks),
    }


def _serves(label: str) -> str:
    """Return the layer for which an op ran that carries a layer's or an edge's label."""
    return labelled_edge(label).consumer if " -> " in label else label


def _say_recovered(output: Screen, network: Network, matches: Matches, recovery: Recovery) -> None:
    console = output.console
    looked_for = len(matches.by_layer) + len(matches.layers)
    say(
        console,
        f"The program's choices for {len(recovery.taken)} of {words.count(looked_for, 'layer')} "
        "(convolutions, pools, linear layers, sums); all others have ttnn's default",
    )
    for layer in matches.layers:
        say(console, f"  no call of the program is {layer_in_words(network, layer)}", "yellow")
    for call in matches.calls:
        say(console, f"  no layer of {network.name} is {described(call)}", "yellow")
    for remark in recovery.remarks:
        say(console, f"  {remark}", "yellow")


def format_options(formats: Formats) -> list[str]:
    """Return the options with which a search has formats other than the default ones."""
    usual = Formats()
    named = {
        "--weights": (formats.weights, usual.weights),
        "--activations": (formats.activations, usual.activations),
        "--fidelity": (formats.fidelity, usual.fidelity),
    }
    found = [
        word
        for option, (one, other) in named.items()
        if one is not other
        for word in (option, str(one))
    ]
    return [*found, *(["--fp32-accumulation"] if formats.fp32_accumulation else [])]


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
