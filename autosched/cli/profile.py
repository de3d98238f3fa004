"""``autosched profile``: where the time of a ttnn program goes that somebody wrote by hand."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.report.output import opened_output

PROFILE_EXAMPLES = (
    "autosched profile model.py",
    "autosched profile model.py --function resnet --board p150 --layers --csv ops.csv",
    "autosched profile model.py --net net.py --schedule by_hand.py",
)


def profile(  # noqa: PLR0913 - one parameter per option
    program: Annotated[
        str,
        typer.Argument(metavar="MODEL.PY", show_default=False, help="ttnn program; executed."),
    ],
    *,
    function: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Function that takes the device. Default: run, main or model."
        ),
    ] = "",
    board: options.BoardOption = None,
    first: Annotated[
        bool,
        typer.Option("--first", help="Profile the first run, which prepares weights."),
    ] = False,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="Kill the program after 90s, 10m or 1h30m.")
    ] = "10m",
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Show ops together: by signpost, else by call of ttnn's."),
    ] = False,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write its ops as tt-perf-report reads them; to DIR/, a folder as ttnn-visualizer "
            "opens it.",
        ),
    ] = None,
    net: Annotated[
        str | None,
        typer.Option(
            "--net",
            metavar="NET.PY",
            help="Network file of the same network, or NET.PY:name; it is executed.",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="FILE",
            help="Write what the program chose for layers of --net as a schedule: .py, .json.",
        ),
    ] = None,
    batch: options.Batch = None,
    no_check: options.NoCheck = False,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Run a ttnn program on the mock device and show its device ops with estimated times.

    The program is a Python file with a function that takes the device: run(device), main(device)
    or model(device). What it returns is called again if it can be, without arguments, as the
    forward pass; otherwise the function is. The second run is the one that is shown: weights are
    prepared by then. No card is needed, and nothing is measured.

    With --net and --schedule, what the program chose for the network's convolutions, pools, linear
    layers and sums is written as a schedule, which autosched run --start takes.
    """
    from autosched.cli.steps.profile_run import Profiled, profile_and_report

    asked = Profiled(
        program=program,
        function=function,
        board="n150" if board is None else board,
        first=first,
        timeout=timeout,
        layers=layers,
        csv=csv,
        net=net,
        schedule=schedule,
        batch=batch,
        check=not no_check,
        storage=storage,
    )
    with opened_output(as_json) as output:
        profile_and_report(output, asked)
