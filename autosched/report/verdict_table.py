"""What layers and reshards computed alone, as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from autosched.report import words
from autosched.report.output import say, styled
from autosched.report.readable_table import ReadableTable
from autosched.schedule.outcomes import AGAINST, Verdict

_STYLES = {Verdict.RIGHT: "green"} | dict.fromkeys(AGAINST, "red")
_NAMED = 2


@dataclass(frozen=True)
class VerdictRow:
    """One configuration that was executed alone; ``places`` are the layers or edges that have it.

    ``pcc`` and ``concordance`` are None where nothing was computed.
    """

    places: tuple[str, ...]
    configuration: str
    verdict: Verdict
    pcc: float | None
    concordance: float | None
    message: str
    is_stored: bool

    @property
    def place(self) -> str:
        """The first of the layers that have it, and how many others do."""
        named = ", ".join(self.places[:_NAMED])
        rest = len(self.places) - _NAMED
        return f"{named} and {rest} more" if rest > 0 else named

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return {**asdict(self), "places": list(self.places), "verdict": self.verdict.value}


def print_verdicts(console: Console, rows: Sequence[VerdictRow], kind: str) -> None:
    """Print every row, and below the table the device's words where nothing was computed."""
    table = ReadableTable(title=f"Alone beside PyTorch in float32 ({words.executed(kind)})")
    for title in ("Layer", "Configuration", "Verdict"):
        table.add_column(title)
    table.add_column("Concordance", justify="right")
    table.add_column("From")
    for row in rows:
        found = "-" if row.concordance is None else f"{row.concordance:.5f}"
        verdict = styled(row.verdict.value, _STYLES.get(row.verdict, "yellow"))
        origin = "stored" if row.is_stored else "new"
        table.add_row(row.place, row.configuration, verdict, found, origin)
    console.print(table)
    for row in rows:
        if row.concordance is None and row.message:
            told = " ".join(row.message.split())
            say(console, f"{row.place}: {row.verdict}: {told}", "red")


def tally_of(rows: Sequence[VerdictRow]) -> str:
    """Return "23 right, 1 wrong", in the order of the verdicts."""
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
