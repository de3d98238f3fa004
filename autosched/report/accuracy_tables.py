"""Accuracy and time of formats, and how well errors add up: on the screen, and as Markdown."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from autosched.bench.floors import FIXED, FormatRow, best_alike
from autosched.bench.format_mixes import Additivity
from autosched.report import words
from autosched.report.bench_tables import markdown_table
from autosched.report.output import say
from autosched.report.tables import simple_table

_NUMBERS = (words.MICRO, "PCC", "concordance", "to best alike", "search s")
_COLUMNS = ("formats", *_NUMBERS)

FORMATS_LEGEND = (
    "PCC and concordance are those of the worst output, emulated on inputs that were not used for "
    'calibration. "to best alike" is the time over that of the fastest row without a floor of its '
    "own that meets this one; a search in a database that has it already takes no time."
)


def print_formats(console: Console, rows: Sequence[FormatRow]) -> None:
    """Print one table for each network and board, and why schedules are missing."""
    for group in _groups(rows):
        table = simple_table(_title(group), _COLUMNS, right=_NUMBERS)
        for row in group:
            table.add_row(*_cells(row, group))
        say(console)
        console.print(table)
        for line in _reasons(group):
            say(console, f"  {line}", "yellow")


def formats_markdown(rows: Sequence[FormatRow], command: str) -> str:
    """Return a page with one table for each network and board; ``command`` makes it again."""
    parts = ["# Formats compared", f"Made by `{command}`; made again, never edited. "]
    parts[-1] += FORMATS_LEGEND
    for group in _groups(rows):
        parts += [f"## {_title(group)}"]
        parts += [markdown_table(_COLUMNS, [_cells(row, group) for row in group])]
        parts += ["\n".join(f"- {line}" for line in _reasons(group))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _groups(rows: Iterable[FormatRow]) -> list[list[FormatRow]]:
    groups: dict[tuple[str, str, object], list[FormatRow]] = {}
    for row in rows:
        groups.setdefault((row.network, row.board, row.inputs), []).append(row)
    return list(groups.values())


def _title(group: Sequence[FormatRow]) -> str:
    first = group[0]
    return f"{first.network} on {first.board}, {_shapes(first)}: time {_kinds(group)}"


def _shapes(row: FormatRow) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in row.inputs)


def _kinds(rows: Iterable[FormatRow]) -> str:
    found = sorted({(str(row.latency_kind), row.cost_model) for row in rows if row.latency_kind})
    named = [
        f"{kind} by cost model {model}" if kind == "estimated" else kind for kind, model in found
    ]
    return " and ".join(named) or "unknown"


def _cells(row: FormatRow, group: Sequence[FormatRow]) -> tuple[str, ...]:
    best = None if row.floor is None else best_alike(group, row.floor)
    to_best = "-"
    if row.latency_us is not None and best is not None and best.latency_us:
        to_best = f"{row.latency_us / best.latency_us:.3f}"
    return (
        row.formats,
        words.microseconds(row.latency_us),
        _correlation(row.pcc),
        _correlation(row.concordance),
        to_best,
        f"{row.search_s:.0f}",
    )


def _correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def _reasons(rows: Iterable[FormatRow]) -> list[str]:
    return [f"{row.network}, {row.formats}: {row.reason}" for row in rows if row.reason]


_STUDY_NUMBERS = ("floor", "PCC", "concordance", words.MICRO, f"fixed {words.MICRO}", "fixed PCC")
_STUDY_COLUMNS = ("network", "input", *_STUDY_NUMBERS)


def print_floors(console: Console, rows: Sequence[FormatRow]) -> None:
    """Print one row for each network and floor, beside what fixed formats come to."""
    for board in dict.fromkeys(row.board for row in rows):
        mine = [row for row in rows if row.board == board]
        columns = [name for name in _STUDY_COLUMNS if name != "input"]
        table = simple_table(f"{board}: time {_kinds(mine)}", columns, right=_STUDY_NUMBERS)
        for cells in _study_rows(mine):
            named = dict(zip(_STUDY_COLUMNS, cells, strict=True))
            table.add_row(*(named[name] for name in columns))
        say(console)
        console.print(table)
        for line in _reasons(mine):
            say(console, f"  {line}", "yellow")


def floors_markdown(rows: Sequence[FormatRow], command: str) -> str:
    """Return a page with one table for each board; ``command`` makes it again."""
    parts = [
        "# Accuracy of the studies",
        f"Made by `{command}`; made again, never edited. PCC and concordance are those of the "
        "worst output, emulated on inputs that were not used for calibration. Fixed formats are "
        f"those of a search without a floor ({FIXED.name.removeprefix('fixed: ')}). Where no "
        "schedule meets the floor, the PCC is the best in reach, and a line below says which "
        "layers lose most. Weights of `studies/*.py` are random, scaled by a few forward passes: "
        "such networks amplify errors more than trained ones do.",
    ]
    for board in dict.fromkeys(row.board for row in rows):
        mine = [row for row in rows if row.board == board]
        asked = [row for row in mine if row.floor is not None]
        met = sum(row.meets(row.floor or 0.0) for row in asked)
        parts += [
            f"## {board}",
            f"{met} of {len(asked)} schedules meet their floor. Time {_kinds(mine)}.",
            markdown_table(_STUDY_COLUMNS, _study_rows(mine)),
            "\n".join(f"- {line}" for line in _reasons(mine)),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _study_rows(rows: Sequence[FormatRow]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for group in _groups(rows):
        fixed = next((row for row in group if row.floor is None), None)
        found += [
            (
                row.network,
                _shapes(row) or "-",
                f"{row.floor:g}",
                _correlation(row.pcc),
                _correlation(row.concordance),
                words.microseconds(row.latency_us),
                words.microseconds(None if fixed is None else fixed.latency_us),
                _correlation(None if fixed is None else fixed.pcc),
            )
            for row in group
            if row.floor is not None
        ]
    return found


_MIX_NUMBERS = ("mixes", "losses", "logarithms", "typical factor")
_MIX_COLUMNS = ("network", *_MIX_NUMBERS)

MIXES_LEGEND = (
    "Losses are 1 - PCC of the worst output, of mixes of formats. The share of a mix's layers that "
    "are drawn is as likely in any octave from one layer to all; a drawn layer has any of its "
    "precisions and formats of the output, each as likely as the others, an exact one bfloat16 "
    "weights, HiFi4, float32 sums and its output in bfloat16. Predicted: the layers' errors, each "
    "emulated alone, added up. Emulated: the whole network, on the same samples. Columns have "
    "Pearson's correlation of both, and of their logarithms, and the median factor between them."
)


def print_mixes(console: Console, found: Sequence[Additivity]) -> None:
    """Print one row of correlations for each network."""
    title = "Predicted and emulated losses of mixes of formats"
    table = simple_table(title, _MIX_COLUMNS, right=_MIX_NUMBERS)
    for item in found:
        table.add_row(*_mix_cells(item))
    say(console)
    console.print(table)
    say(console, MIXES_LEGEND)


def mixes_markdown(found: Sequence[Additivity], command: str) -> str:
    """Return a page with the table; ``command`` makes it again."""
    table = markdown_table(_MIX_COLUMNS, map(_mix_cells, found))
    return f"# Errors that add up\n\nMade by `{command}`. {MIXES_LEGEND}\n\n{table}\n"


def _mix_cells(item: Additivity) -> tuple[str, ...]:
    correlations = (
        "-" if value is None else f"{value:.3f}"
        for value in (item.correlation, item.log_correlation)
    )
    return (
        f"{item.network} on {item.board}, batch {item.batch}",
        str(len(item.mixes)),
        *correlations,
        f"{item.typical_ratio:.2f}",
    )
