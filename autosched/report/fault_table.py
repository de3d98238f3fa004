"""What is known to go wrong in ttnn: as a list on the screen, and as JSON."""

from typing import Any

from rich.console import Console

from autosched.evidence.known_faults import KNOWN_FAULTS, KnownFault
from autosched.report.output import say


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
