"""A comparison of methods: as a table on the screen, and as Markdown."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from autosched.bench.comparison import (
    METHODS,
    NEAR,
    OPTUNA_SAMPLERS,
    START_UP,
    MethodResult,
    NetworkComparison,
)
from autosched.bench.speed import SolverSpeed
from autosched.probing.lower_bound import relative_gap
from autosched.report import words
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.outcomes import TimeKind

_METHODS_NUMBERS = (
    f"latency {words.MICRO}",
    "to bound",
    "range",
    "trials",
    "seconds",
    "rejected",
    "reshards",
    "L1 KiB",
)
# A screen has 80 columns.
_ON_PAGES_ALONE = ("seconds", "reshards")


def print_comparison(console: Console, comparison: NetworkComparison) -> None:
    """Print one network's methods and its bound."""
    title = f"{heading(comparison)}: latency {time_kind(comparison)}"
    shown = [name for name in ("method", *_METHODS_NUMBERS) if name not in _ON_PAGES_ALONE]
    table = simple_table(title, tuple(shown), right=tuple(shown[1:]))
    for row in rows(comparison):
        named = dict(zip(("method", *_METHODS_NUMBERS), row, strict=True))
        table.add_row(*(named[name] for name in shown))
    say(console)
    console.print(table)
    legend = _legend([comparison]).replace("trials and seconds are", "trials are")
    say(console, f"{_bound(comparison)} {legend}")


def comparison_markdown(
    comparisons: Sequence[NetworkComparison], command: str, failed: Sequence[dict[str, Any]] = ()
) -> str:
    """Return a page with one table for each network; ``command`` makes it again.

    ``failed`` has network, board, batch and reason of those without a schedule.
    """
    parts = [
        "# Methods compared",
        f"Made by `{command}`; made again, never edited. {_legend(comparisons)}",
        "\n".join(f"- `{name}`: {METHODS[name]}" for name in _shown(comparisons)),
    ]
    if len(comparisons) > 1:
        kinds = " and ".join(sorted({item.bound_kind for item in comparisons}))
        parts += ["## All of them", _OVERVIEW_LEGEND.format(kinds), _overview(comparisons)]
    parts += [
        f"- {row['network']} on {row['board']}, batch {row['batch']}: {row['reason']}"
        for row in failed
    ]
    for comparison in comparisons:
        parts += [
            f"## {heading(comparison)}",
            f"Latency {time_kind(comparison)}. {_bound(comparison)}",
            markdown_table(("method", *_METHODS_NUMBERS), rows(comparison)),
        ]
    return "\n\n".join(parts) + "\n"


_OVERVIEW_LEGEND = (
    f"Proven lower bound in {words.MICRO} ({{}}), then each method's latency over it, the range "
    "where seeds differ; a dash where the device accepted none of its schedules."
)


def _shown(comparisons: Sequence[NetworkComparison]) -> list[str]:
    """Return the methods of any comparison, in the order of all."""
    names = {method.name for comparison in comparisons for method in comparison.methods}
    return [name for name in METHODS if name in names]


def _overview(comparisons: Sequence[NetworkComparison]) -> str:
    """Return one row for each network, with every method's ratio to the bound."""
    shown = _shown(comparisons)
    cells = []
    for comparison in comparisons:
        methods = {method["name"]: method for method in comparison.to_plain()["methods"]}
        ratios = (_spread(methods.get(name), comparison.bound_us) for name in shown)
        cells.append((heading(comparison), words.microseconds(comparison.bound_us), *ratios))
    return markdown_table(("network", "bound", *shown), cells)


def _spread(method: dict[str, Any] | None, bound_us: float) -> str:
    """Return a method's ratio to the bound, with its range where seeds differ."""
    if method is None:
        return "-"
    spread = _range(method, bound_us)
    low, _, high = spread.partition("-")
    return _ratio(method["ratio"]) + (f" ({spread})" if low != high else "")


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(method: dict[str, Any], bound_us: float) -> str:
    """Return the ratios of the best and the worst seed, or a dash without several."""
    if method["range_us"] is None or not bound_us:
        return "-"
    low, high = (value / bound_us for value in method["range_us"])
    return f"{low:.3f}-{high:.3f}"


def rows(comparison: NetworkComparison) -> list[tuple[str, ...]]:
    """Return one row of cells for each method."""
    methods = comparison.to_plain()["methods"]
    return [_method_row(method, comparison.bound_us) for method in methods]


def heading(comparison: NetworkComparison) -> str:
    """Return "resnet50 on n150, batch 16"."""
    return f"{comparison.network} on {comparison.board}, batch {comparison.batch}"


def time_kind(comparison: NetworkComparison) -> str:
    """Return "measured", or "estimated" with the cost model, or both where they are mixed."""
    points = [m.typical.best for m in comparison.methods]
    kinds = sorted({point.kind for point in points if point is not None and point.kind is not None})
    named = [
        f"{kind} by cost model {comparison.cost_model}" if kind is TimeKind.ESTIMATED else str(kind)
        for kind in kinds
    ]
    return " and ".join(named) or "unknown"


_METHODS_LEGEND = (
    '"to bound" is the latency over the proven lower bound of the probed choices; trials and '
    f"seconds are those until within {NEAR:.0%} of the best latency of all, without the probes, "
    "which all methods share. Samplers: the median seed, and the range from the best to the worst."
)
_DRAWN = " and ".join(f"{name} its first {drawn}" for name, drawn in START_UP.items())
_ABOUT_OPTUNA = (
    f" {', '.join(OPTUNA_SAMPLERS[:-1])} and {OPTUNA_SAMPLERS[-1]} have trials of their own, more "
    f"than they draw at random ({_DRAWN})."
)


def _legend(comparisons: Iterable[NetworkComparison]) -> str:
    names = {method.name for comparison in comparisons for method in comparison.methods}
    return _METHODS_LEGEND + (_ABOUT_OPTUNA if names & set(OPTUNA_SAMPLERS) else "")


def _bound(comparison: NetworkComparison) -> str:
    gap = relative_gap(comparison.best_us, comparison.bound_us) or 0.0
    in_any_order = ""
    if comparison.any_order_us < comparison.bound_us * (1 - words.WORTH_SAYING):
        any_order = words.microseconds(comparison.any_order_us)
        in_any_order = f" in this order of the layers, {any_order} {words.MICRO} in any"
    probes = comparison.probes
    return (
        f"Lower bound of the probed choices: {bound_of(comparison)}{in_any_order}; the best is "
        f"{gap:.1%} over it. {probes.get('run', 0):,} probes run, "
        f"{probes.get('reused', 0):,} reused in {words.seconds(comparison.probing_s)}."
        f"{_published(comparison)}"
    )


def _published(comparison: NetworkComparison) -> str:
    if comparison.published_us is None:
        return ""
    least, most = comparison.published_us
    times = dict.fromkeys(map(words.microseconds, (least, most)))
    return (
        f" The model that the hand-tuned choices are from was published at {' to '.join(times)} "
        f"{words.MICRO} on silicon."
    )


def bound_of(comparison: NetworkComparison) -> str:
    """Return the proven lower bound with its kind."""
    share = comparison.bound_estimated_share
    return words.bound(comparison.bound_us, comparison.bound_kind, share)


def _method_row(method: dict[str, Any], bound_us: float) -> tuple[str, ...]:
    seconds = method["seconds_to_1pct"]
    return (
        method["name"],
        words.microseconds(method["latency_us"]),
        _ratio(method["ratio"]),
        _range(method, bound_us),
        _count(method["trials_to_1pct"]),
        "-" if seconds is None else f"{seconds:.1f}",
        f"{method['rejected']} of {method['trials']}",
        _count(method["reshards"]),
        words.kibibytes(method["peak_l1_bytes"] or 0),
    )


def _count(value: float | None) -> str:
    return "-" if value is None else str(value)


def markdown_table(header: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns but the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
        annotation_text=f"proven bound {bound_of(comparison)}",
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


_PROOF = "proof"
_SPEED_NUMBERS = ("layers", "choices", "s", _PROOF, "MiB", "states", "gap", "ms", "max ms")
_SPEED_LEGEND = (
    "choices: candidates of all layers that the search keeps; s: seconds of the fastest of three "
    "solutions of the tables, on one core; proof: seconds for both bounds, of all probed; MiB: the "
    "most that a solution of the tables holds; gap: 0 where the optimum is proven; ms: the joint "
    "sampler's milliseconds for a trial that taught it new times, the median and the longest of 20."
)
_MEBIBYTE = 1 << 20


def print_speeds(console: Console, speeds: Sequence[SolverSpeed]) -> None:
    """Print one row for each network, and below them the seconds of the bounds."""
    numbers = [name for name in _SPEED_NUMBERS if name != _PROOF]
    table = simple_table("The exact solver", ("network", *numbers), right=numbers)
    for speed in speeds:
        cells = zip(("network", *_SPEED_NUMBERS), _speed_row(speed), strict=True)
        table.add_row(*(cell for name, cell in cells if name != _PROOF))
    say(console)
    console.print(table)
    bounds = ", ".join(f"{speed.network} {speed.proof_s:.3f}" for speed in speeds)
    say(console, f"{_SPEED_LEGEND} Here: {bounds}.")


def speeds_markdown(speeds: Sequence[SolverSpeed]) -> str:
    """Return a page with the table."""
    table = markdown_table(("network", *_SPEED_NUMBERS), [_speed_row(speed) for speed in speeds])
    return f"# The exact solver\n\n{table}\n\n{_SPEED_LEGEND}\n"


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


def _speed_row(speed: SolverSpeed) -> tuple[str, ...]:
    return (
        f"{speed.network} on {speed.board}, batch {speed.batch}",
        f"{speed.layers:,}",
        f"{speed.candidates:,}",
        f"{speed.seconds:.3f}",
        f"{speed.proof_s:.3f}",
        f"{speed.peak_bytes / _MEBIBYTE:.1f}",
        f"{speed.states:,}",
        "0" if speed.optimal else words.share(speed.gap),
        f"{speed.proposal_ms:.0f}",
        f"{speed.longest_proposal_ms:.0f}",
    )
