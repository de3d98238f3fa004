"""The solver's time and memory: as a table, as Markdown, and as a plot over the layers."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from autosched.report import words
from autosched.report.comparison import markdown_table
from autosched.report.console import say
from autosched.report.tables import simple_table
from autosched.search.solver_speed import SolverSpeed

_NUMBERS = ("layers", "choices", "s", "MiB", "states", "gap", "ms", "max ms")
_LEGEND = (
    "choices: candidates of all layers; s: seconds of the fastest of three solutions of the probed "
    "tables, on one core; MiB: the most that one of them holds; gap: 0 where the optimum is "
    "proven; ms: the joint sampler's milliseconds for a trial that taught it new times, the median "
    "and the longest of 20."
)
_MEBIBYTE = 1 << 20


def print_speeds(console: Console, speeds: Sequence[SolverSpeed]) -> None:
    """Print one row for each network."""
    table = simple_table("The exact solver", ("network", *_NUMBERS), right=_NUMBERS)
    for speed in speeds:
        table.add_row(*_row(speed))
    say(console)
    console.print(table)
    say(console, _LEGEND)


def speeds_markdown(speeds: Sequence[SolverSpeed]) -> str:
    """Return a page with the table."""
    table = markdown_table(("network", *_NUMBERS), [_row(speed) for speed in speeds])
    return f"# The exact solver\n\n{table}\n\n{_LEGEND}\n"


def write_growth(speeds: Sequence[SolverSpeed], path: Path) -> None:
    """Write an HTML page that plots seconds and memory over the layers, and works offline."""
    from plotly.subplots import make_subplots  # noqa: PLC0415 - slow to import

    figure = make_subplots(rows=1, cols=2, subplot_titles=("seconds to solve", "MiB held at most"))
    ranked = sorted(speeds, key=lambda speed: speed.layers)
    values = ([item.seconds for item in ranked], [item.peak_bytes / _MEBIBYTE for item in ranked])
    for column, heights in enumerate(values, start=1):
        figure.add_scatter(
            x=[speed.layers for speed in ranked],
            y=heights,
            text=[speed.network for speed in ranked],
            mode="lines+markers+text",
            textposition="top center",
            row=1,
            col=column,
        )
        figure.update_xaxes(title_text="layers", rangemode="tozero", row=1, col=column)
        figure.update_yaxes(rangemode="tozero", row=1, col=column)
    figure.update_layout(showlegend=False, template="plotly_white")
    figure.write_html(str(path), include_plotlyjs=True)


def _row(speed: SolverSpeed) -> tuple[str, ...]:
    return (
        f"{speed.network} on {speed.board}, batch {speed.batch}",
        f"{speed.layers:,}",
        f"{speed.candidates:,}",
        f"{speed.seconds:.3f}",
        f"{speed.peak_bytes / _MEBIBYTE:.1f}",
        f"{speed.states:,}",
        "0" if speed.optimal else words.share(speed.gap),
        f"{speed.proposal_ms:.0f}",
        f"{speed.longest_proposal_ms:.0f}",
    )
