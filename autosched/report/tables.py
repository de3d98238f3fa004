"""Rich tables that stay readable at 80 columns."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table

from autosched.boards import Board
from autosched.report import words
from autosched.report.layer_rows import LayerRow, ReshardRow
from autosched.store.studies import StudySummary
from autosched.store.trials import TrialRecord


def simple_table(title: str, columns: Sequence[str], *, right: Sequence[str] = ()) -> Table:
    """Return an empty table, without a title for "".

    The columns in ``right`` hold numbers and are never wrapped.
    """
    table = Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in columns:
        if name in right:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table


def layer_table(rows: Iterable[LayerRow]) -> Table:
    """Return the layers with their configuration, op time, share, cores and L1 per core."""
    time_column = f"op time {words.MICRO}"
    numbers = (time_column, "share", "cores", "L1 KiB")
    table = simple_table("", ("layer", "configuration", *numbers), right=numbers)
    for row in rows:
        table.add_row(
            row.layer,
            row.configuration,
            words.microseconds(row.time_us),
            words.share(row.share),
            str(row.cores or "-"),
            words.kibibytes(row.l1_bytes),
        )
    return table


def reshard_table(rows: Iterable[ReshardRow]) -> Table:
    """Return the edges whose tensor changes its layout.

    "(ttnn)" stands for what ttnn inserted beside a layer by itself, "(waits)" for a tensor that is
    moved while it waits for a later layer.
    """
    numbers = (words.MICRO,)
    table = simple_table("", ("from", "to", "layouts", *numbers), right=numbers)
    for row in rows:
        table.add_row(
            row.producer or "(ttnn)",
            "(waits)" if row.by == "move" else row.consumer or "(ttnn)",
            row.change,
            words.microseconds(row.time_us),
        )
    return table


def study_table(studies: Iterable[StudySummary]) -> Table:
    """Return the studies of a database, the oldest first."""
    numbers = ("batch", "trials", f"best {words.MICRO}")
    table = simple_table("", ("study", "network", "device", *numbers, "kind"), right=numbers)
    for summary in studies:
        study = summary.study
        table.add_row(
            study.name,
            study.network,
            f"{study.device_kind} {study.board}",
            str(study.batch),
            str(summary.trials),
            words.microseconds(summary.best_latency_us),
            str(summary.best_latency_kind or "-"),
        )
    return table


def trial_table(trials: Iterable[TrialRecord]) -> Table:
    """Return trials by number: who proposed them and what became of them."""
    numbers = ("trial", f"latency {words.MICRO}", "seconds")
    table = simple_table("", ("trial", "sampler", numbers[1], "outcome", "seconds"))
    for column in table.columns:
        column.justify = "right" if column.header in numbers else "left"
        column.no_wrap = column.header in numbers
    for trial in trials:
        rejected = trial.rejection
        table.add_row(
            str(trial.number),
            trial.sampler,
            words.microseconds(trial.latency_us),
            words.rejection(rejected) if rejected else str(trial.latency_kind),
            f"{trial.duration_s:.2f}",
        )
    return table


def board_table(boards: Iterable[Board]) -> Table:
    """Return the boards with the numbers a schedule depends on."""
    numbers = ("grid", "cores", "L1 KiB", "DRAM banks", "GHz")
    table = simple_table("", ("board", "what it is", *numbers), right=numbers)
    for board in boards:
        table.add_row(
            board.name,
            board.title,
            f"{board.grid[0]}x{board.grid[1]}",
            str(board.cores),
            words.kibibytes(board.l1_bytes),
            str(board.dram_banks),
            f"{board.clock_ghz:g}",
        )
    return table


def board_plain(board: Board) -> dict[str, Any]:
    """Return a board as JSON types."""
    return {**vars(board), "grid": list(board.grid), "cores": board.cores}
