from types import SimpleNamespace

import pytest

from autosched.boards import BOARDS
from autosched.device.ttnn.runner import Runner
from autosched.errors import BoardError
from autosched.network.graph import Network
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule


def test_a_device_that_was_opened_otherwise_is_refused_with_the_right_way(network: Network) -> None:
    grid = SimpleNamespace(x=8, y=7)
    device = SimpleNamespace(compute_with_storage_grid_size=lambda: grid)
    schedule = default_schedule(network, "n300", "", Formats())
    with pytest.raises(BoardError, match=r"8x7 cores, but n300 has 8x8.*DispatchCoreType\.ETH"):
        Runner(network, schedule, device, "n300")
    Runner(network, schedule, device, BOARDS["n300-worker"])
