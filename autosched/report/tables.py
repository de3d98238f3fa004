"""Rich tables that stay readable at 80 columns: of schedules, studies, boards and calibrations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from autosched.boards import Board
from autosched.report import words
from autosched.report.layer_rows import LayerRow, ReshardRow
from autosched.report.output import say
from autosched.report.readable_table import ReadableTable
from autosched.store.studies import StudySummary
from autosched.store.trials import TrialRecord

if TYPE_CHECKING:
    from autosched.cost.calibration.calibration import CalibrationReport
    from autosched.cost.calibration.prediction import PredictReport
    from autosched.cost.calibration.regions import CoverageScore
    from autosched.cost.calibration.scores import BundleScore, PointScore
    from autosched.cost.profiles.profile import UnknownOp


def simple_table(title: str, columns: Sequence[str], *, right: Sequence[str] = ()) -> Table:
    """Return an empty table, without a title for "".

    The columns in ``right`` hold numbers and are never wrapped.
    """
    table = ReadableTable(
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
    """Return the layers with their configuration, op time, share, cores and L1 per core.

    Where it is known, what most of their time goes to is a column, too.
    """
    rows = tuple(rows)
    time_column = f"op time {words.MICRO}"
    numbers = (time_column, "share", "cores", "L1 KiB")
    limits = ("limited by",) if any(row.limited_by for row in rows) else ()
    table = simple_table("", ("layer", "configuration", *numbers, *limits), right=numbers)
    for row in rows:
        table.add_row(
            row.layer,
            row.configuration,
            words.microseconds(row.time_us),
            words.share(row.share),
            str(row.cores or "-"),
            words.kibibytes(row.l1_bytes),
            *([row.limited_by or "-"] if limits else []),
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


_WORST_SHOWN = 3


def print_calibration(console: Console, report: "CalibrationReport") -> None:
    """Print a line per architecture and op class, from cross-validation by layer."""
    numbers = ("rows", "layers", "median", "p90", "Spearman", "worst")
    say(console, "Errors on held-out layers", "bold")
    table = simple_table("", ("arch", "ops", *numbers), right=numbers)
    for item in report.scores:
        table.add_row(
            item.arch,
            item.family,
            f"{item.distinct:,}",
            f"{item.groups:,}",
            words.share(item.median_error),
            words.share(item.p90_error),
            _correlation(item.spearman),
            f"{item.worst[0].error:+.0%}" if item.worst else "-",
        )
    console.print(table)
    say(console)
    say(console, "Worst rows", "bold")
    for item in report.scores:
        rows = ", ".join(f"{row.label} {row.error:+.0%}" for row in item.worst[:_WORST_SHOWN])
        say(console, f"{item.arch} {item.family}: {rows or '-'}")
    say(console)
    _print_bundles(console, report.bundles)
    _print_points(console, report.points)
    for transfer in report.transfers:
        say(
            console,
            f"{transfer.source} -> {transfer.target}, clock and two coefficients refitted: "
            f"convolution median {words.share(transfer.median_error)}",
        )
    for held in report.held_out:
        say(
            console,
            f"{' and '.join(held.files)} held out, {held.family}: {held.distinct} rows, median "
            f"{words.share(held.median_error)}, p90 {words.share(held.p90_error)} "
            f"({held.trained_on} rows of {held.arch} left)",
        )
    _print_coverage(console, report.coverage)
    for path, unknown in report.unknown.items():
        _print_unknown(console, path, unknown)
    _print_provenance(console, report)
    for coefficients in report.coefficients.values():
        say(console, f"Coefficients: {coefficients.version}")


def _print_bundles(console: Console, bundles: "Sequence[BundleScore]") -> None:
    """Print how the members of simulated sweeps and of known ratios rank."""
    if not bundles:
        return
    say(console, "Rankings, each predicted without its layer", "bold")
    numbers = ("members", "Spearman", "regret", "worst ratio")
    table = simple_table("", ("arch", "of what", "from", *numbers), right=numbers)
    for item in bundles:
        table.add_row(
            item.arch,
            item.bundle,
            str(item.source),
            str(item.members),
            _correlation(item.spearman),
            words.share(item.regret),
            words.share(item.worst_ratio),
        )
    console.print(table)
    say(console)


def _print_points(console: Console, points: "Sequence[PointScore]") -> None:
    """Print single figures against their predictions."""
    if not points:
        return
    say(console, "Single figures, each predicted without its layer", "bold")
    numbers = (f"measured {words.MICRO}", "error")
    table = simple_table("", ("arch", "ops", "figure", *numbers), right=numbers)
    for item in points:
        time = words.microseconds(item.measured_us)
        table.add_row(item.arch, item.family, item.label, time, f"{item.error:+.0%}")
    console.print(table)
    say(console)


def _print_coverage(console: Console, scores: "Sequence[CoverageScore]") -> None:
    """Print which share of the rows of regions that were held out two standard errors cover."""
    if not scores:
        return
    say(console)
    say(console, "Coverage of two standard errors, each region held out of the fit", "bold")
    numbers = ("rows", "covered", "error", "standard error")
    table = simple_table("", ("arch", "region", *numbers), right=numbers)
    for item in sorted(scores, key=lambda item: item.arch):
        table.add_row(
            item.arch,
            item.region,
            f"{item.rows:,}",
            words.share(item.covered),
            f"{item.error_log:.2f}",
            f"{item.stderr_log:.2f}",
        )
    console.print(table)
    rows = sum(item.rows for item in scores)
    covered = sum(item.rows * item.covered for item in scores) / rows
    say(console, f"All regions: {words.share(covered)} of {rows:,} rows; medians, of log time")
    say(console)


def _print_provenance(console: Console, report: "CalibrationReport") -> None:
    """Print from where the most is known of each coefficient."""
    say(console, "Where the most is known of each coefficient from", "bold")
    for arch, families in report.provenance.items():
        for family, coefficients in families.items():
            by_source: dict[str, list[str]] = {}
            for name, shares in coefficients.items():
                source = max(shares, key=lambda key: shares[key])
                by_source.setdefault(source, []).append(f"{name} {shares[source]:.0%}")
            parts = (f"{source}: {', '.join(names)}" for source, names in by_source.items())
            releases = report.coefficients[arch].families[family].releases or "no release"
            say(console, f"{arch} {family} ({releases}): {'; '.join(parts)}")
    say(console)


def print_prediction(console: Console, report: "PredictReport") -> None:
    """Print measured and predicted time per op class, and in total."""
    times = (f"measured {words.MICRO}", f"predicted {words.MICRO}")
    numbers = ("rows", *times, "median", "p90", "Spearman", "outside")
    say(console, f"{report.path} on {report.arch}, predicted by {report.cost_model}", "bold")
    table = simple_table("", ("ops", *numbers), right=numbers)
    for name, item in report.summary.items():
        table.add_row(
            name,
            f"{item.rows:,}",
            words.microseconds(item.measured_ns / 1e3),
            words.microseconds(item.predicted_ns / 1e3),
            words.share(item.median_error),
            words.share(item.p90_error),
            _correlation(item.spearman),
            words.share(item.outside),
        )
    console.print(table)
    say(console, "outside: rows far outside the calibration data; their error is larger")
    say(console)
    _print_spending(console, report)
    if report.devices > 1:
        say(console, f"{report.path}: rows of {report.devices} devices, each counted")
    if report.untimed:
        untimed = words.count(report.untimed, "device op")
        say(console, f"{report.path}: {untimed} without a kernel duration left out", "yellow")
    _print_unknown(console, report.path, report.unknown)


def _print_spending(console: Console, report: "PredictReport") -> None:
    """Print what the predicted time goes to, and from where what it rests on is known."""
    say(
        console,
        "What the predicted time goes to, and where its coefficients are known from",
        "bold",
    )
    table = simple_table("", ("ops", "time goes to", "known from"))
    for name, item in report.summary.items():
        table.add_row(name, _largest(item.split_us), _largest(item.provenance) or "-")
    console.print(table)
    say(console)


def _largest(parts: Mapping[str, float]) -> str:
    """Return shares by name, the largest first; those under a percent are left out."""
    total = sum(parts.values()) or 1.0
    shares = sorted(((amount / total, name) for name, amount in parts.items()), reverse=True)
    return ", ".join(f"{name} {100 * share:.0f} %" for share, name in shares if share >= _SHOWN)


_SHOWN = 0.01


def _print_unknown(console: Console, path: str, unknown: "Iterable[UnknownOp]") -> None:
    for op in unknown:
        times = words.count(op.count, "time")
        say(
            console,
            f"{path}: the model does not know {op.code} ({times}, {words.share(op.share)} of the "
            f"file's time; {op.reason}); its time is a guess from its bytes",
            "yellow",
        )


def _correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
