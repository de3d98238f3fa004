"""``autosched check``: an exported schedule, run again."""

from typing import Annotated

import typer

from autosched.cli import options
from autosched.cli.output import opened_output

EXAMPLES = ("autosched check resnet50_n150.py --net studies/resnet50.py",)


def check(  # noqa: PLR0913 - one parameter per option
    schedule: Annotated[
        str,
        typer.Argument(metavar="SCHEDULE", show_default=False, help="Exported .py or .json file."),
    ],
    net: Annotated[
        str, typer.Option("--net", metavar="NET.PY", help="Network file, or NET.PY:name.")
    ],
    *,
    board: options.Board = None,
    device: options.Device = "auto",
    batch: options.Batch = None,
    warm_ups: options.WarmUps = None,
    replays: options.Replays = None,
    storage: options.Storage = None,
    as_json: options.Json = False,
) -> None:
    """Check a schedule's network, board and ttnn version, run it on the device and time it.

    Board and batch are the schedule's own unless they are named. On the mock device the time is
    estimated by the shipped cost model, or by the calibration of a database named by --storage.
    """
    from autosched.cli.checking import CheckRequest, check_schedule  # noqa: PLC0415 - the help starts quickly
    from autosched.device.requests import TimingSettings  # noqa: PLC0415 - as above

    named = {"warm_ups": warm_ups, "replays": replays}
    timing = TimingSettings(**{key: value for key, value in named.items() if value is not None})
    with opened_output(as_json) as output:
        check_schedule(output, CheckRequest(schedule, net, board, device, batch, timing, storage))
