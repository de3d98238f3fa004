"""The coverage of networks and boards: as a table on the screen, and as Markdown."""

from collections.abc import Sequence

from rich.console import Console

from autosched.bench.coverage import CoverageRow
from autosched.probing.lower_bound import MIXED
from autosched.report import words
from autosched.report.output import say
from autosched.report.tables import simple_table

_NUMBERS = (
    "layers",
    "kinds",
    "shared",
    f"default {words.MICRO}",
    f"best {words.MICRO}",
    "gain",
    "gap",
    "reshards",
    "computing",
)
_COLUMNS = ("network", "input", "captured", "feasible", *_NUMBERS)
_ON_SCREENS = tuple(name for name in _NUMBERS if name not in {"layers", "shared"})
_REASON_WIDTH = 300

LEGEND = (
    '"kinds" are distinct layers, "shared" those of them that networks above have, too, so that '
    'their probes are reused; "default" is ttnn\'s own choice for every layer; "gain" is how many '
    'times faster the best schedule is; "gap" is its distance to the proven lower bound of the '
    'probed choices; "reshards" counts its layout changes, those that ttnn inserts included; '
    '"computing" is the share of its time in convolutions, matrix products, pools, norms and '
    "attention."
)


def print_coverage(console: Console, rows: Sequence[CoverageRow]) -> None:
    """Print one table for each board, and the reasons of what is missing."""
    for board in _boards(rows):
        mine = [row for row in rows if row.board == board]
        columns = ("network", *_ON_SCREENS)
        table = simple_table(
            f"{board}: latency {_kinds(mine)}{_bounds(mine)}", columns, right=_ON_SCREENS
        )
        for row in mine:
            cells = dict(zip(_COLUMNS, _cells(row), strict=True))
            table.add_row(*(cells[name] for name in columns))
        say(console)
        console.print(table)
        for line in _reasons(mine):
            say(console, f"  {line}", "yellow")


def coverage_markdown(rows: Sequence[CoverageRow], command: str) -> str:
    """Return a page with one table for each board; ``command`` makes it again."""
    parts = ["# Coverage", f"Made by `{command}`; made again, never edited. {LEGEND}"]
    for board in _boards(rows):
        mine = [row for row in rows if row.board == board]
        parts += [
            f"## {board}",
            f"{_summary(mine)} Latency {_kinds(mine)}{_bounds(mine)}.",
            _table(mine),
        ]
        parts += ["\n".join(f"- {line}" for line in _reasons(mine))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _boards(rows: Sequence[CoverageRow]) -> list[str]:
    return list(dict.fromkeys(row.board for row in rows))


def _summary(rows: Sequence[CoverageRow]) -> str:
    captured = sum(row.captured for row in rows)
    feasible = sum(row.feasible for row in rows)
    slowest = max(rows, key=lambda row: row.capture_s)
    return (
        f"{captured} of {len(rows)} networks captured, {feasible} scheduled; the slowest capture "
        f"took {words.seconds(slowest.capture_s)} ({slowest.network})."
    )


def _kinds(rows: Sequence[CoverageRow]) -> str:
    """Return "measured", or "estimated" with the cost model, or both where they are mixed."""
    found = {(str(row.latency_kind), row.cost_model) for row in rows if row.latency_kind}
    return (
        " and ".join(
            f"{kind} by cost model {model}" if kind == "estimated" else kind
            for kind, model in sorted(found)
        )
        or "unknown"
    )


def _bounds(rows: Sequence[CoverageRow]) -> str:
    """Return ", bounds estimated"; of mixed ones the largest share that is estimated."""
    kinds = sorted({row.bound_kind for row in rows if row.bound_kind is not None})
    shares = [row.bound_estimated_share or 0.0 for row in rows if row.bound_kind == MIXED]
    most = f" (up to {max(shares):.1%} estimated)" if shares else ""
    return f", bounds {' and '.join(kinds)}{most}" if kinds else ""


def _table(rows: Sequence[CoverageRow]) -> str:
    lines = [_COLUMNS, ["---:" if name in _NUMBERS else "---" for name in _COLUMNS]]
    lines += [_cells(row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: CoverageRow) -> tuple[str, ...]:
    return (
        row.network,
        ", ".join("x".join(map(str, shape)) for shape in row.inputs) or "-",
        "yes" if row.captured else "no",
        "yes" if row.feasible else "no",
        str(row.layers or "-"),
        str(row.kinds or "-"),
        str(row.shared_kinds),
        words.microseconds(row.default_us),
        words.microseconds(row.best_us),
        "-" if row.gain is None else f"{row.gain:.2f}x",
        words.share(row.gap),
        "-" if row.reshards is None else str(row.reshards),
        "-" if row.computing_share is None else f"{row.computing_share:.0%}",
    )


def _reasons(rows: Sequence[CoverageRow]) -> list[str]:
    return [f"{row.network}: {_shortened(row.reason)}" for row in rows if row.reason]


def _shortened(text: str) -> str:
    return text if len(text) <= _REASON_WIDTH else f"{text[: _REASON_WIDTH - 1]}…"
