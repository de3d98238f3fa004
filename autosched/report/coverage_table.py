"""Networks and boards as tables: what runs, how exact it is, and how well errors add up."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from autosched.bench.coverage import CoverageRow
from autosched.bench.floors import FIXED, FormatRow, best_alike
from autosched.bench.format_mixes import Additivity
from autosched.probing.lower_bound import MIXED
from autosched.report import words
from autosched.report.bench_tables import markdown_table
from autosched.report.output import say
from autosched.report.tables import simple_table

_FORMAT_NUMBERS = (words.MICRO, "PCC", "concordance", "to best alike", "search s")
_FORMAT_COLUMNS = ("formats", *_FORMAT_NUMBERS)

FORMATS_LEGEND = (
    "PCC and concordance are those of the worst output, emulated on inputs that were not used for "
    'calibration. "to best alike" is the time over that of the fastest row without a floor of its '
    "own that meets this one; a search in a database that has it already takes no time."
)


def print_formats(console: Console, rows: Sequence[FormatRow]) -> None:
    """Print one table for each network and board, and why schedules are missing."""
    for group in _groups(rows):
        table = simple_table(_title(group), _FORMAT_COLUMNS, right=_FORMAT_NUMBERS)
        for row in group:
            table.add_row(*_format_cells(row, group))
        say(console)
        console.print(table)
        for line in _missing(group):
            say(console, f"  {line}", "yellow")


def formats_markdown(rows: Sequence[FormatRow], command: str) -> str:
    """Return a page with one table for each network and board; ``command`` makes it again."""
    parts = ["# Formats compared", f"Made by `{command}`; made again, never edited. "]
    parts[-1] += FORMATS_LEGEND
    for group in _groups(rows):
        parts += [f"## {_title(group)}"]
        parts += [markdown_table(_FORMAT_COLUMNS, [_format_cells(row, group) for row in group])]
        parts += ["\n".join(f"- {line}" for line in _missing(group))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _groups(rows: Iterable[FormatRow]) -> list[list[FormatRow]]:
    groups: dict[tuple[str, str, object], list[FormatRow]] = {}
    for row in rows:
        groups.setdefault((row.network, row.board, row.inputs), []).append(row)
    return list(groups.values())


def _title(group: Sequence[FormatRow]) -> str:
    first = group[0]
    return f"{first.network} on {first.board}, {_shapes(first)}: time {_time_kinds(group)}"


def _shapes(row: FormatRow) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in row.inputs)


def _time_kinds(rows: Iterable[FormatRow]) -> str:
    found = sorted({(str(row.latency_kind), row.cost_model) for row in rows if row.latency_kind})
    named = [
        f"{kind} by cost model {model}" if kind == "estimated" else kind for kind, model in found
    ]
    return " and ".join(named) or "unknown"


def _format_cells(row: FormatRow, group: Sequence[FormatRow]) -> tuple[str, ...]:
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


def _missing(rows: Iterable[FormatRow]) -> list[str]:
    return [f"{row.network}, {row.formats}: {row.reason}" for row in rows if row.reason]


_STUDY_NUMBERS = ("floor", "PCC", "concordance", words.MICRO, f"fixed {words.MICRO}", "fixed PCC")
_STUDY_COLUMNS = ("network", "input", *_STUDY_NUMBERS)


def print_floors(console: Console, rows: Sequence[FormatRow]) -> None:
    """Print one row for each network and floor, beside what fixed formats come to."""
    for board in dict.fromkeys(row.board for row in rows):
        mine = [row for row in rows if row.board == board]
        columns = [name for name in _STUDY_COLUMNS if name != "input"]
        table = simple_table(f"{board}: time {_time_kinds(mine)}", columns, right=_STUDY_NUMBERS)
        for cells in _study_rows(mine):
            named = dict(zip(_STUDY_COLUMNS, cells, strict=True))
            table.add_row(*(named[name] for name in columns))
        say(console)
        console.print(table)
        for line in _missing(mine):
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
            f"{met} of {len(asked)} schedules meet their floor. Time {_time_kinds(mine)}.",
            markdown_table(_STUDY_COLUMNS, _study_rows(mine)),
            "\n".join(f"- {line}" for line in _missing(mine)),
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
