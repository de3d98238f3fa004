"""What was verified, schedule by schedule, as a page that each verification adds its row to.

And what is in quarantine, since it hung or crashed a device.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from autosched.errors import StoreError
from autosched.files import replace_file
from autosched.report import words
from autosched.report.execution_table import VerdictRow
from autosched.report.layer_rows import describe
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.outcomes import AGAINST, Verdict
from autosched.schedule.serialization import to_plain
from autosched.store.purging import Quarantined

_COLUMNS = (
    "network",
    "batch",
    "board",
    "formats",
    "best",
    "verdict",
    "PCC",
    "top-1",
    "layers alone",
    "lowest",
    "not executed",
    "took",
    "with",
)
_KEY = 4
_TITLE = "# Verified schedules"
_LEGEND = (
    "Made by `autosched verify STUDY --table FILE`, which adds or replaces the study's row. The "
    "best schedule of a study, executed and compared with PyTorch in float32: the PCC of the "
    "output that agrees least, the share of images whose largest output is the same (top-1), how "
    "many distinct configurations of layers and reshards are right when each is executed alone, "
    "and the lowest concordance among them. What a simulator or its compiler cannot run is named. "
    "What it took is the time of the verification on the machine that made it, never that of the "
    "network; verdicts that were stored take none."
)


@dataclass(frozen=True)
class VerifiedSchedule:
    """A study's best schedule with what its execution came to.

    ``whole`` is its verdict as a whole, None where it was not executed, with the ``pcc`` and
    ``top1`` of the output that agrees least; ``latency`` and the ``formats`` of most layers are
    words, and ``made_with`` says what ran it.
    """

    network: str
    batch: int
    board: str
    formats: str
    latency: str
    whole: Verdict | None
    pcc: float | None
    top1: float | None
    rows: Sequence[VerdictRow]
    wall_s: float
    made_with: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the page."""
        judged = [row for row in self.rows if row.verdict in (Verdict.RIGHT, *AGAINST)]
        right = [row for row in judged if row.verdict is Verdict.RIGHT]
        lowest = [row.concordance for row in judged if row.concordance is not None]
        lacking = [f"{row.place} ({row.verdict})" for row in self.rows if row not in judged]
        return (
            self.network,
            str(self.batch),
            self.board,
            self.formats,
            self.latency,
            "not executed as a whole" if self.whole is None else self.whole.value,
            "-" if self.pcc is None else f"{self.pcc:.4f}",
            "-" if self.top1 is None else words.share(self.top1),
            f"{len(right)} of {len(judged)}",
            f"{min(lowest):.4f}" if lowest else "-",
            ", ".join(lacking) or "-",
            words.seconds(self.wall_s),
            self.made_with,
        )


def add_verified(path: Path, made: VerifiedSchedule) -> None:
    """Add a schedule's row to a page, in place of an earlier one of its network, board and formats.

    Raises:
        StoreError: if the file cannot be read or written, or is another page.
    """
    rows = {row[:_KEY]: row for row in _read(path)}
    rows[made.cells[:_KEY]] = made.cells
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *map(_line, sorted(rows.values()))]
    text = "\n\n".join([_TITLE, _LEGEND, "\n".join(lines)]) + "\n"
    try:
        replace_file(path, text)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None


def check_page(path: Path) -> None:
    """Refuse a file that :func:`add_verified` could not add to, before anything is executed.

    Raises:
        StoreError: if it is another page, or its directory is missing.
    """
    if not path.parent.is_dir():
        raise StoreError(f"--table {path}: there is no such directory; create it first")
    _read(path)


def _read(path: Path) -> list[tuple[str, ...]]:
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    if not text.startswith(_TITLE):
        raise StoreError(f"{path} is no page of verified schedules; name another file")
    table = [line for line in text.splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in table[2:]]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def print_quarantine(
    console: Console, found: Sequence[Quarantined], names: Mapping[str, Sequence[str]]
) -> None:
    """Print what is in quarantine; ``names`` are layers of stored studies by their signature."""
    if not found:
        say(console, "Nothing is in quarantine.")
        return
    table = simple_table(
        "", ("number", "layer", "configuration", "board", "ttnn", "what it did"), right=("number",)
    )
    for item in found:
        said = item.rejection.message
        table.add_row(
            str(item.number),
            _layer_name(item, names),
            describe(item.config),
            f"{item.device.board} ({item.device.device_kind})",
            item.device.versions,
            f"{item.rejection.kind}, {item.created_at:%Y-%m-%d %H:%M}{f': {said}' if said else ''}",
        )
    console.print(table)


def _layer_name(item: Quarantined, names: Mapping[str, Sequence[str]]) -> str:
    """Return the first of a layer's names and how many more there are."""
    own = names.get(item.layer_signature, ())
    if not own:
        return f"of no stored network ({item.layer_signature})"
    return own[0] if len(own) == 1 else f"{own[0]} and {len(own) - 1} more"


def quarantine_plain(
    found: Iterable[Quarantined], names: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return what is in quarantine as JSON types."""
    return [
        {
            "number": item.number,
            "layers": list(names.get(item.layer_signature, ())),
            "layer_signature": item.layer_signature,
            "configuration": to_plain(item.config),
            **vars(item.device),
            "kind": item.rejection.kind.value,
            "message": item.rejection.message,
            "stored_at": item.created_at.isoformat(),
        }
        for item in found
    ]
