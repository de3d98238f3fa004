"""The comparison as a picture: the best latency so far over trials, one line per method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autosched.report import words
from autosched.report.comparison import heading, time_kind
from autosched.search.comparison import METHODS, MethodResult, NetworkComparison

_HEIGHT = 480
# Distinct for colour-blind readers: Okabe and Ito's palette, and grey.
_PALETTE = (
    "#999999",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#000000",
    "#009E73",
)
_COLOURS = dict(zip(METHODS, _PALETTE, strict=True))


def write_plot(comparisons: Sequence[NetworkComparison], path: Path) -> None:
    """Write an HTML page with one plot for each network; it needs no network to be read."""
    from plotly.subplots import make_subplots  # noqa: PLC0415 - slow to import

    figure = make_subplots(
        rows=len(comparisons),
        cols=1,
        subplot_titles=[f"{heading(item)}: latency {time_kind(item)}" for item in comparisons],
    )
    for row, comparison in enumerate(comparisons, start=1):
        _draw(figure, comparison, row)
    figure.update_layout(height=_HEIGHT * len(comparisons), template="plotly_white")
    figure.write_html(str(path), include_plotlyjs=True)


def _draw(figure: Any, comparison: NetworkComparison, row: int) -> None:
    longest = max(len(run.points) for method in comparison.methods for run in method.runs)
    for method in comparison.methods:
        figure.add_scatter(
            **_line(method, longest),
            name=method.name,
            legendgroup=method.name,
            showlegend=row == 1,
            line={"color": _COLOURS[method.name], "shape": "hv"},
            row=row,
            col=1,
        )
    figure.add_hline(
        y=comparison.bound_us,
        line={"dash": "dash", "color": "black"},
        annotation_text=f"proven bound {words.microseconds(comparison.bound_us)} {words.MICRO}",
        annotation_position="bottom right",
        row=row,
        col=1,
    )
    figure.update_xaxes(title_text="trials", row=row, col=1)
    figure.update_yaxes(title_text=f"best so far, {words.MICRO}", type="log", row=row, col=1)


def _line(method: MethodResult, longest: int) -> dict[str, Any]:
    """Return the line of the median seed; a method that stopped keeps its level."""
    series = method.typical.best_so_far()
    series += series[-1:] * (longest - len(series))
    return {"x": list(range(1, longest + 1)), "y": series, "mode": "lines"}
