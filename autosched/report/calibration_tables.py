"""How good the device model is: tables of a calibration and of a prediction."""

from collections.abc import Iterable

from rich.console import Console

from autosched.cost.calibration.calibration import CalibrationReport
from autosched.cost.calibration.prediction import PredictReport
from autosched.cost.profiles.profile import UnknownOp
from autosched.report import words
from autosched.report.output import say
from autosched.report.tables import simple_table

_WORST_SHOWN = 3


def print_calibration(console: Console, report: CalibrationReport) -> None:
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
    for path, unknown in report.unknown.items():
        _print_unknown(console, path, unknown)
    for coefficients in report.coefficients.values():
        say(console, f"Coefficients: {coefficients.version}")


def print_prediction(console: Console, report: PredictReport) -> None:
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
    if report.devices > 1:
        say(console, f"{report.path}: rows of {report.devices} devices, each counted")
    if report.untimed:
        untimed = words.count(report.untimed, "device op")
        say(console, f"{report.path}: {untimed} without a kernel duration left out", "yellow")
    _print_unknown(console, report.path, report.unknown)


def _print_unknown(console: Console, path: str, unknown: Iterable[UnknownOp]) -> None:
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
