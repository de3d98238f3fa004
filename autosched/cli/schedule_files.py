"""Schedule files that a command reads: are they of this network?"""

from autosched.cli.output import Output
from autosched.device.mock_setup import ttnn_version
from autosched.errors import ScheduleError
from autosched.export.loading import load_schedule
from autosched.export.validation import check_provenance
from autosched.network.graph import Network
from autosched.report.console import say
from autosched.schedule import Schedule


def load_start(output: Output, file: str, network: Network, board: str) -> Schedule:
    """Return a schedule to start a search from; one of another ttnn will do.

    Raises:
        ScheduleError: if it cannot be read, or is of another network or board.
    """
    schedule = load_schedule(file)
    made_with = schedule.provenance.ttnn_version
    try:
        check_provenance(schedule, network.signature, board, made_with)
    except ScheduleError as error:
        raise ScheduleError(f"--start {file}: {error}") from None
    check_layers(schedule, file, network)
    if made_with != ttnn_version():
        say(
            output.console,
            f"{file} was made with ttnn {made_with}; what ttnn {ttnn_version()} rejects of it is "
            "left out",
            "yellow",
        )
    return schedule


def check_layers(schedule: Schedule, file: str, network: Network) -> None:
    """Check that a schedule has the layers of a network.

    Raises:
        ScheduleError: naming the file and the layer that is missing or too many.
    """
    for name in schedule.layers:
        if name not in network.by_name:
            raise ScheduleError(
                f"{file}: layer {name!r} is not in network {network.name}; remove it, or export "
                "the schedule again"
            )
    for layer in network:
        if layer.name not in schedule.layers:
            raise ScheduleError(
                f"{file}: layer {layer.name!r} is missing; export the schedule again"
            )
