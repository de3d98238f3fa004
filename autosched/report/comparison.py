"""A comparison of methods: as a table on the screen, and as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from autosched.report import words
from autosched.report.console import say
from autosched.report.tables import simple_table
from autosched.schedule import TimeKind
from autosched.search.comparison import METHODS, NEAR, NetworkComparison
from autosched.search.proof import relative_gap

_NUMBERS = (
    f"latency {words.MICRO}",
    "to bound",
    "trials",
    "seconds",
    "rejected",
    "reshards",
    "L1 KiB",
)


def print_comparison(console: Console, comparison: NetworkComparison) -> None:
    """Print one network's methods and its bound."""
    title = f"{heading(comparison)}: latency {time_kind(comparison)}"
    table = simple_table(title, ("method", *_NUMBERS), right=_NUMBERS)
    for row in rows(comparison):
        table.add_row(*row)
    say(console)
    console.print(table)
    say(console, f"{_bound(comparison)} {_LEGEND}")


def to_markdown(
    comparisons: Sequence[NetworkComparison], command: str, failed: Sequence[dict[str, Any]] = ()
) -> str:
    """Return a page with one table for each network; ``command`` makes it again.

    ``failed`` has network, board, batch and reason of those without a schedule.
    """
    parts = [
        "# Methods compared",
        f"Made by `{command}`; made again, never edited. {_LEGEND}",
        "\n".join(f"- `{name}`: {title}" for name, title in METHODS.items()),
    ]
    if len(comparisons) > 1:
        parts += ["## All of them", _OVERVIEW_LEGEND, _overview(comparisons)]
    parts += [
        f"- {row['network']} on {row['board']}, batch {row['batch']}: {row['reason']}"
        for row in failed
    ]
    for comparison in comparisons:
        parts += [
            f"## {heading(comparison)}",
            f"Latency {time_kind(comparison)}. {_bound(comparison)}",
            markdown_table(("method", *_NUMBERS), rows(comparison)),
        ]
    return "\n\n".join(parts) + "\n"


_OVERVIEW_LEGEND = (
    f"Proven lower bound in {words.MICRO}, then each method's latency over it; a dash where the "
    "device accepted none of its schedules."
)


def _overview(comparisons: Sequence[NetworkComparison]) -> str:
    """Return one row for each network, with every method's ratio to the bound."""
    shown = [
        name for name in METHODS if any(name == m.name for c in comparisons for m in c.methods)
    ]
    cells = []
    for comparison in comparisons:
        ratios = {method["name"]: method["ratio"] for method in comparison.to_plain()["methods"]}
        bound = words.microseconds(comparison.bound_us)
        cells.append((heading(comparison), bound, *(_ratio(ratios.get(name)) for name in shown)))
    return markdown_table(("network", "bound", *shown), cells)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def rows(comparison: NetworkComparison) -> list[tuple[str, ...]]:
    """Return one row of cells for each method."""
    return [_row(method) for method in comparison.to_plain()["methods"]]


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


_LEGEND = (
    '"to bound" is the latency over the proven lower bound of the probed choices; trials and '
    f"seconds are those until within {NEAR:.0%} of the best latency of all, without the probes, "
    "which all methods share. Samplers: the median seed; tpe draws its first 10 trials at random, "
    "nsga2 its first 50."
)


def _bound(comparison: NetworkComparison) -> str:
    gap = relative_gap(comparison.best_us, comparison.bound_us) or 0.0
    in_any_order = ""
    if comparison.any_order_us < comparison.bound_us * (1 - words.WORTH_SAYING):
        any_order = words.microseconds(comparison.any_order_us)
        in_any_order = f" in this order of the layers, {any_order} {words.MICRO} in any"
    probes = comparison.probes
    return (
        f"Lower bound of the probed choices: {words.microseconds(comparison.bound_us)} "
        f"{words.MICRO}{in_any_order}; the best is {gap:.1%} over it. "
        f"{probes.get('run', 0):,} probes run, "
        f"{probes.get('reused', 0):,} reused in {words.seconds(comparison.probing_s)}."
    )


def _row(method: dict[str, Any]) -> tuple[str, ...]:
    seconds = method["seconds_to_1pct"]
    return (
        method["name"],
        words.microseconds(method["latency_us"]),
        _ratio(method["ratio"]),
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
