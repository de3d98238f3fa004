"""Layers that run on the host: a warning, and their part of a JSON object."""

from typing import Any

from rich.console import Console

from autosched.network.graph import Network
from autosched.network.host_layers import moved_bytes, operators
from autosched.report import words
from autosched.report.console import say


def host_rows(network: Network) -> list[dict[str, Any]]:
    """Return the host layers of a network as JSON types; bytes are those of bfloat16."""
    rows = []
    for layer in network.host_layers:
        read, written = moved_bytes(network, layer)
        rows.append(
            {
                "layer": layer.name,
                "operators": list(operators(layer)),
                "source": layer.source,
                "reason": layer.reason,
                "read_bytes": read,
                "written_bytes": written,
            }
        )
    return rows


def warn_of_host_layers(console: Console, network: Network) -> None:
    """Say which layers run on the host, why, what they move, and what of that is estimated."""
    rows = host_rows(network)
    if not rows:
        return
    read, written = (sum(row[name] for row in rows) for name in ("read_bytes", "written_bytes"))
    say(
        console,
        f"Warning: {words.count(len(rows), 'layer')} on the host, moving "
        f"{words.kibibytes(read)} KiB from the device and {words.kibibytes(written)} KiB back "
        "for each inference:",
        "yellow",
    )
    for row in rows:
        where = f" at {row['source']}" if row["source"] else ""
        names = ", ".join(row["operators"])
        say(console, f"  {row['layer']} ({names}){where}: {row['reason']}", "yellow")
    say(
        console,
        "  Estimates count these transfers, coarsely, and not what the host computes; a card is "
        "timed with both, without a trace",
        "yellow",
    )
