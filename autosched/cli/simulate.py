"""``autosched simulate``: random candidates, executed."""

from typing import Annotated

import typer

from autosched.cli import hints, options
from autosched.report.output import opened_output

SIMULATE_EXAMPLES = (
    "autosched simulate --timeout 10m",
    "autosched simulate net.py --side 64 --each 30",
    "autosched simulate --board p150 --seed 1000 --effort full --write executed.json",
)


def simulate(  # noqa: PLR0913 - one parameter per option
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK.py]...", help="Take their layers, not those of random networks."
        ),
    ] = None,
    board: options.BoardOption = None,
    *,
    simulator: options.Simulator = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of the first random network.")
    ] = 0,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Stop after 90s, 10m or 1h30m.")
    ] = "10m",
    each: Annotated[
        int,
        typer.Option(min=1, help="Candidates executed of each network, the most telling first."),
    ] = 4,
    effort: options.EffortOption = None,
    side: Annotated[
        int, typer.Option(min=1, help="Rows and columns that images of networks are cut to.")
    ] = 64,
    min_concordance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="A candidate below it is wrong.")
    ] = 0.99,
    write: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Add what was executed to a table of kinds (.json)."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Execute candidates of small random networks on the simulator, and compare with PyTorch.

    The candidates are those that a search of the network is given, each alone. Every random network
    has a seed, with which it is found again; networks of yours are taken with small images. What is
    wrong is shown as small as it can be made. The exit code is 1 if anything is.
    """
    from autosched.cli.steps.execution_run import use_simulator
    from autosched.cli.steps.search_session import GoingOn, interruptible
    from autosched.cli.steps.simulate_run import SimulateRequest, simulate_candidates
    from autosched.device.machine import SIMULATOR

    use_simulator(SIMULATOR, simulator)
    asked = SimulateRequest(
        "n150" if board is None else board,
        seed,
        timeout,
        each,
        "default" if effort is None else effort,
        min_concordance,
        write,
        tuple(networks or ()),
        side,
    )
    again = hints.command("simulate", "--seed", str(seed))
    kept = "" if write is None else "candidate in the table of --write"
    with opened_output(as_json) as output, interruptible(output, GoingOn(again), kept):
        is_right = simulate_candidates(output, asked)
    if not is_right:
        raise typer.Exit(1)
