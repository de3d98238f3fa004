"""A network file captured, and the device named, as the screen says it."""

from autosched.cli import interrupts
from autosched.cli.output import Output
from autosched.network.graph import Network
from autosched.report import words
from autosched.report.console import say
from autosched.report.hosts import warn_of_host_layers
from autosched.report.progress import SearchScreen


def captured(output: Output, net: str, batch: int | None, *, allow_host: bool = False) -> Network:
    """Load and capture a network file, with a warning of layers that run on the host.

    Raises:
        NetworkFileError, UnsupportedOperatorError: if it cannot be used.
    """
    screen = SearchScreen(output.console, 0)
    with screen.shown():
        screen.begin("capture", f"{net}, with PyTorch")
        from autosched.network.capture import capture  # noqa: PLC0415 - loads torch
        from autosched.network.loading import load_network_file  # noqa: PLC0415 - loads torch

        loaded = load_network_file(net, batch)
        network = capture(loaded.module, loaded.example_inputs, loaded.name, allow_host=allow_host)
        interrupts.check()
    kinds = {network.layer_signature(layer) for layer in network}
    say(
        output.console,
        f"Network: {network.name}, {words.count(len(network.layers), 'layer')} of "
        f"{len(kinds)} kinds, batch {network.batch}",
    )
    warn_of_host_layers(output.console, network)
    return network


def describe_device(kind: str, board: str, wanted: str) -> str:
    """Return which device was taken, and why."""
    if kind == "silicon":
        return f"{board}, a card on this machine; times are measured"
    why = "no card on this machine" if wanted == "auto" else "as asked"
    return f"mock {board} ({why}); times are estimated"
