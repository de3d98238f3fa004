from dataclasses import replace

import pytest
import torch
from torch import nn

from autosched.network.capture.capture import capture
from autosched.network.multiplications import computing_share
from autosched.schedule.outcomes import DeviceOp


def op(layer, code, time_ns):
    return DeviceOp(code, "", (), (), layer=layer, time_ns=time_ns)


@pytest.fixture(scope="module")
def network():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Upsample(scale_factor=2)).eval()
    return capture(module, (torch.zeros(1, 3, 8, 8),), "net")


def test_halos_count_and_changes_of_layout_do_not(network):
    ops = [
        op("input", "InterleavedToShardedDeviceOperation", 100.0),
        op("0", "ReshardDeviceOperation", 200.0),
        op("0", "HaloDeviceOperation", 50.0),
        op("0", "Conv2dDeviceOperation", 550.0),
        op("1", "UpsampleOperation", 100.0),
    ]
    assert computing_share(network, ops) == pytest.approx(0.6)


def test_nothing_is_said_of_times_that_are_missing(network):
    timed = op("0", "Conv2dDeviceOperation", 5.0)
    assert computing_share(network, [timed, replace(timed, time_ns=None)]) is None
    assert computing_share(network, []) is None
