"""Whether a schedule is one of a network: its layers, their values and their order."""

from autosched.errors import ScheduleError
from autosched.network.graph import Network, in_execution_order
from autosched.network.legal_values import layer_faults
from autosched.schedule.schedule import Schedule


def check_layers(schedule: Schedule, file: str, network: Network) -> None:
    """Check that a schedule has the layers of a network.

    Raises:
        ScheduleError: naming the file and the layer that is missing or too many, or has a value
            that its operator has not.
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
    for layer in network:
        for fault in layer_faults(layer, schedule.layers[layer.name]):
            raise ScheduleError(
                f"{file}: layer {layer.name!r}: {fault}. Correct it, or export the schedule again."
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
        last_uses = in_execution_order(network, schedule).last_uses
    except ScheduleError as error:
        raise ScheduleError(f"{file}: {error}") from None
    place = {name: number for number, name in enumerate(schedule.layers)}
    for edge in schedule.moves:
        if place[edge.producer] > place[edge.consumer]:
            raise ScheduleError(
                f"{file}: move {str(edge)!r} is before its tensor is there; name a layer from "
                f"{edge.producer} on"
            )
        last = last_uses.get(edge.producer)
        if last is not None and place[edge.consumer] >= place[last]:
            raise ScheduleError(
                f"{file}: move {str(edge)!r} is after {last}, the last to read its tensor; name an "
                "earlier layer, or remove it"
            )
