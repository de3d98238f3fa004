import json
import math

import pytest

from autosched.errors import ScheduleError
from autosched.network.graph import Layer, Network, Packing, network_from_plain, network_plain
from autosched.network.operators import (
    Activation,
    Conv2d,
    DeviceInput,
    Gather,
    HostOp,
    HostStep,
    HostView,
    Output,
    Unary,
)
from tests.examples.networks import residual, skipping

ODD = Network(
    "odd",
    (
        Layer("images", DeviceInput("nhwc"), (), (2, 4, 8, 8), "net.py:3"),
        Layer(
            "conv",
            Conv2d(4, 8, (3, 3), padding=(1, 1, 0, 2), activation=Activation("relu")),
            ("images",),
            (2, 8, 7, 8),
        ),
        Layer("most", Unary(Activation("clamp", (0.0, math.inf))), ("conv",), (2, 8, 7, 8)),
        Layer("rolled", Gather((0, 0, 1), (7, 6)), ("most",), (2, 8, 3, 2)),
        Layer(
            "host",
            HostOp((HostStep("aten.prelu.default", "[[],{}]"),), (HostView((2,), (0,), (2,)),)),
            ("rolled",),
            (2, 8, 3, 2),
            reason="ttnn lacks it",
        ),
        Layer("output", Output(), ("host",), (2, 8, 3, 2)),
    ),
    packing=Packing(2, {"images": (4, 2, 8, 8)}, ("conv",)),
)


@pytest.mark.parametrize("network", [residual(), skipping(), ODD], ids=lambda item: item.name)
def test_what_is_read_is_what_was_written(network: Network) -> None:
    read = network_from_plain(json.loads(json.dumps(network_plain(network))))
    assert read == network
    assert read.signature == network.signature
    assert read.batch == network.batch


def test_another_versions_values_are_refused() -> None:
    plain = network_plain(residual())
    for broken in ({}, {**plain, "layers": [{**plain["layers"][0], "op": "Telepathy"}]}):
        with pytest.raises(ScheduleError):
            network_from_plain(broken)
