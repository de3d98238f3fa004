"""The order in which a schedule runs the layers of a network."""

from dataclasses import replace

from autosched.errors import ScheduleError
from autosched.network.graph import Network
from autosched.schedule import Schedule


def in_execution_order(network: Network, schedule: Schedule) -> Network:
    """Return the network with its layers in the order in which a schedule lists them.

    Raises:
        ScheduleError: if the schedule runs a layer before one whose output it reads.
    """
    place = {name: number for number, name in enumerate(schedule.layers)}
    for edge in network.edges:
        if place[edge.producer] > place[edge.consumer]:
            raise ScheduleError(
                f"the schedule runs layer {edge.consumer} before {edge.producer}, whose output it "
                "reads; list the layers in the order in which they run"
            )
    ordered = tuple(sorted(network.layers, key=lambda layer: place[layer.name]))
    return network if ordered == network.layers else replace(network, layers=ordered)
