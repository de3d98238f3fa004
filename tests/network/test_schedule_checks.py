from dataclasses import replace

import pytest

from autosched.errors import ScheduleError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input, Softmax
from autosched.network.schedule_checks import check_layers
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DRAM_TILE, Edge
from tests.examples.schedules import small_schedule

SHAPE = (1, 64, 8, 8)
NETWORK = Network("net", (Layer("x", Input(), (), SHAPE), Layer("soft", Softmax(1), ("x",), SHAPE)))
CONFIGS = {"x": FixedConfig(), "soft": FixedConfig()}
SCHEDULE: Schedule = replace(small_schedule(), layers=CONFIGS, reshards={}, moves={})


def test_a_schedule_of_the_network_passes() -> None:
    check_layers(SCHEDULE, "file.py", NETWORK)


@pytest.mark.parametrize("edge", [Edge("x", "x"), Edge("soft", "soft")])
def test_a_tensor_may_move_as_long_as_it_is_there(edge: Edge) -> None:
    check_layers(replace(SCHEDULE, moves={edge: DRAM_TILE}), "file.py", NETWORK)


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        (
            replace(SCHEDULE, layers={**CONFIGS, "soft": FixedConfig(method="permute")}),
            "layer 'soft': method is 'permute'; legal is '' for a Softmax. Correct it, or",
        ),
        (replace(SCHEDULE, layers={**CONFIGS, "y": FixedConfig()}), "layer 'y' is not in network"),
        (replace(SCHEDULE, layers={"x": FixedConfig()}), "layer 'soft' is missing"),
        (
            replace(SCHEDULE, layers={"soft": FixedConfig(), "x": FixedConfig()}),
            "the schedule runs layer soft before x, whose output it reads",
        ),
        (
            replace(SCHEDULE, reshards={Edge("soft", "x"): DRAM_TILE}),
            "reshard 'soft -> x' is of no",
        ),
        (replace(SCHEDULE, moves={Edge("soft", "x"): DRAM_TILE}), "move 'soft -> x' is before its"),
        (
            replace(SCHEDULE, moves={Edge("x", "soft"): DRAM_TILE}),
            "move 'x -> soft' is after soft, the last to read its tensor; name an earlier layer",
        ),
    ],
)
def test_what_is_not_of_the_network_is_named(edited: Schedule, words: str) -> None:
    with pytest.raises(ScheduleError, match=f"^file.py: {words}"):
        check_layers(edited, "file.py", NETWORK)
