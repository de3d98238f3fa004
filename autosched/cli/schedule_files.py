"""Schedule files that a command reads: are they of this network?"""

from autosched.cli.output import Output
from autosched.device.execution_order import in_execution_order
from autosched.device.mock_setup import ttnn_version
from autosched.errors import ScheduleError
from autosched.export.loading import load_schedule
from autosched.export.validation import check_provenance
from autosched.network.graph import Network
from autosched.report.console import say
from autosched.schedule import Conv2dConfig, MatmulConfig, Schedule
from autosched.space.formats import Formats, LayerFormats


def load_start(
    output: Output, file: str, network: Network, board: str, formats: Formats
) -> Schedule:
    """Return a schedule to start a search from; one of another ttnn will do.

    Raises:
        ScheduleError: if it cannot be read, is of another network or board, or has other formats
            than the search.
    """
    schedule = load_schedule(file)
    made_with = schedule.provenance.ttnn_version
    try:
        check_provenance(schedule, network.signature, board, made_with)
    except ScheduleError as error:
        raise ScheduleError(f"--start {file}: {error}") from None
    check_layers(schedule, file, network)
    _check_formats(schedule, file, network, formats)
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
    for edge in schedule.reshards:
        if edge not in network.edges:
            raise ScheduleError(
                f"{file}: reshard {str(edge)!r} is of no edge of network {network.name}; correct "
                "it, or remove it"
            )
    _check_order(schedule, file, network)


def _check_order(schedule: Schedule, file: str, network: Network) -> None:
    try:
        in_execution_order(network, schedule)
    except ScheduleError as error:
        raise ScheduleError(f"{file}: {error}") from None
    place = {name: number for number, name in enumerate(schedule.layers)}
    for edge in schedule.moves:
        if place[edge.producer] > place[edge.consumer]:
            raise ScheduleError(
                f"{file}: move {str(edge)!r} is before its tensor is there; name a layer from "
                f"{edge.producer} on"
            )


def _check_formats(schedule: Schedule, file: str, network: Network, formats: Formats) -> None:
    """Check that weights have the search's format: it does not search formats."""
    wanted = LayerFormats(network, formats)
    for layer in network:
        config = schedule.layers[layer.name]
        if not isinstance(config, Conv2dConfig | MatmulConfig):
            continue
        theirs, ours = config.weights_dtype, wanted.weights_dtype(layer)
        if theirs is not ours:
            raise ScheduleError(
                f"--start {file}: layer {layer.name} has weights in {theirs}, and this search has "
                f"{ours}; say --weights {theirs}, with a --study NAME of its own"
            )
