from dataclasses import replace

import pytest

from autosched.errors import ScheduleError
from autosched.network.graph import in_execution_order
from autosched.schedule.schedule import Schedule
from tests.examples.device_layers import ttnn_default
from tests.examples.networks import small


def listed(schedule: Schedule, names: list[str]) -> Schedule:
    return replace(schedule, layers={name: schedule.layers[name] for name in names})


def test_the_captured_order_leaves_the_network_as_it_is() -> None:
    network = small()
    assert in_execution_order(network, ttnn_default(network)) is network


def test_a_layer_before_its_producer_is_named() -> None:
    network = small()
    names = [layer.name for layer in network]
    first, second = names[1], names[2]
    names[1], names[2] = second, first
    with pytest.raises(ScheduleError, match=f"runs layer {second} before {first}, whose output"):
        in_execution_order(network, listed(ttnn_default(network), names))
