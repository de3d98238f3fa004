"""What executed kernels computed beside PyTorch: outputs, layers, verdicts, and known faults."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console

from autosched.evidence.known_faults import KNOWN_FAULTS, KnownFault
from autosched.report import words
from autosched.report.output import say, styled
from autosched.report.tables import simple_table
from autosched.schedule.outcomes import AGAINST, Agreement, Verdict

_ABSURD = 100.0
"""A largest error, relative to the truth's largest value, of which no figure is of use."""


@dataclass(frozen=True)
class ExecutedRow:
    """One layer: against the whole network, alone on the device's inputs and on PyTorch's.

    ``on_given`` is None where it was not run on PyTorch's inputs, ``fault`` what it ended with
    there.
    """

    name: str
    configuration: str
    overall: Agreement
    alone: Agreement
    on_given: Agreement | None = None
    varies: bool = False
    fault: str = ""

    @property
    def lowest(self) -> float:
        """The lowest concordance of the layer alone; -1 where it failed or varies."""
        if self.fault or self.varies:
            return -1.0
        given = [] if self.on_given is None else [self.on_given.concordance]
        return min([self.alone.concordance, *given])

    def given(self, agreement: Agreement, *, varies: bool) -> "ExecutedRow":
        """Return the row with what the layer computed of PyTorch's own inputs."""
        return replace(self, on_given=agreement, varies=varies)

    def failed(self, fault: str) -> "ExecutedRow":
        """Return the row of a layer that did not run on PyTorch's own inputs."""
        return replace(self, fault=fault)

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return finite({**asdict(self), "concordance": self.lowest})


def finite(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping of JSON types without infinities, which JSON has not: None stands there."""
    return {
        key: finite(value)
        if isinstance(value, Mapping)
        else None
        if isinstance(value, float) and not math.isfinite(value)
        else value
        for key, value in plain.items()
    }


def worst(rows: Sequence[ExecutedRow]) -> ExecutedRow:
    """Return the layer that agrees least with PyTorch, judged alone."""
    return min(rows, key=lambda row: row.lowest)


def print_outputs(console: Console, outputs: Mapping[str, Agreement], kind: str) -> None:
    """Print how far each output of the network agrees with PyTorch in float32."""
    figures = ("PCC", "concordance", "largest error", "top-1")
    title = f"Outputs against PyTorch in float32 ({words.executed(kind)})"
    table = simple_table(title, ("output", *figures), right=figures)
    for name, found in outputs.items():
        table.add_row(name, *_figures(found))
    console.print(table)
    for name, found in outputs.items():
        if found.equal is not None:
            made_of = f"judged by what they are made of, PCC {found.pcc:.5f}"
            say(console, f"{name}: {_pcc(found)} of whole numbers, {made_of}")


def _figures(found: Agreement) -> tuple[str, ...]:
    if found.equal is not None:
        return (_pcc(found), "", "", "")
    return (
        _pcc(found),
        f"{found.concordance:.5f}",
        f"{found.largest_error:.1%}" if found.largest_error < _ABSURD else "huge",
        f"{found.top1:.0%}",
    )


def _pcc(found: Agreement) -> str:
    """Return the PCC; of indices and masks, which have none, how many are equal."""
    return f"{found.pcc:.5f}" if found.equal is None else f"equal {_percent(found.equal)}"


def _percent(share: float) -> str:
    """Return a share in percent, never rounded up to all."""
    return f"{math.floor(share * 1000) / 10:.1f} %"


def print_executed_layers(console: Console, rows: Sequence[ExecutedRow], limit: float) -> None:
    """Print every layer; those below the limit stand out."""
    figures = ("PCC", "on its own input", "on PyTorch's")
    title = "Layers: PCC in the network, concordance alone"
    table = simple_table(title, ("layer", "configuration", *figures), right=figures)
    for row in rows:
        on_given = "" if row.on_given is None else f"{row.on_given.concordance:.5f}"
        style = "red" if row.lowest < limit else ""
        table.add_row(
            row.name,
            row.configuration,
            _pcc(row.overall),
            f"{row.alone.concordance:.5f}",
            "varies" if row.varies else row.fault.partition(":")[0] or on_given,
            style=style,
        )
    console.print(table)
    for row in rows:
        if row.fault:
            say(console, f"{row.name}: {row.fault}", "red")


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
    columns = ("layer", "configuration", "verdict", "concordance", "from")
    title = f"Alone beside PyTorch in float32 ({words.executed(kind)})"
    table = simple_table(title, columns, right=("concordance",))
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


def print_faults(console: Console) -> None:
    """Print every fault that is known: what it is, what comes of it, and who says so."""
    for fault in KNOWN_FAULTS:
        say(console, fault.name, "bold")
        say(console, f"  {fault.title}")
        say(console, f"  {fault.consequence}")
        say(console, f"  {_where(fault)}; {fault.source}")
    left_out = sum(fault.applies is not None for fault in KNOWN_FAULTS)
    say(console)
    say(
        console,
        f"{len(KNOWN_FAULTS)} known; a search leaves out {left_out} of them, unless it is run with "
        "--allow-known-faults",
    )


def _where(fault: KnownFault) -> str:
    first, last = fault.versions
    releases = f"ttnn {first or 'any'} to {last}" if last else "any ttnn"
    confirmed = f"seen on the simulator: {', '.join(fault.confirmed) or 'no'}"
    return f"{releases}, {', '.join(fault.archs)}; {confirmed}"


def fault_plain() -> list[dict[str, Any]]:
    """Return the faults as JSON types."""
    return [
        {
            "name": fault.name,
            "title": fault.title,
            "consequence": fault.consequence,
            "source": fault.source,
            "versions": list(fault.versions),
            "archs": list(fault.archs),
            "confirmed": list(fault.confirmed),
            "is_left_out": fault.applies is not None,
        }
        for fault in KNOWN_FAULTS
    ]
