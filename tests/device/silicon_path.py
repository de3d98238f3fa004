"""The code path of a card, run on the simulator in fast dispatch, in a process of its own.

Its environment says which simulator; prints as JSON what came of each run. The simulator's clock
means nothing: only that there is a time is told.
"""

import json
import math
import sys
from dataclasses import replace
from typing import Any

from autosched.device.interface import ProbeRequest, Request, ReshardRequest, TimingSettings
from autosched.device.ttnn import runner
from autosched.device.ttnn.execution import ExecutingDevice
from autosched.network.graph import Network
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.outcomes import Rejection, RunOutcome
from autosched.schedule.tensors import DRAM_TILE, CoreRange, PageLayout, TensorLayout
from tests.device.ttnn.test_host import cosine_network
from tests.examples.device_layers import ttnn_default
from tests.examples.networks import BOARD, small

_TIMING = TimingSettings(warm_ups=1, replays=2)
_CAPTURING = 3
"""Which forward pass is the one inside the trace: one is captured as a graph, one warms up."""


def told(outcome: RunOutcome | Rejection) -> dict[str, Any]:
    if isinstance(outcome, Rejection):
        return {"rejected": str(outcome.kind), "layer": outcome.layer, "words": outcome.message}
    return {
        "is_timed": (outcome.latency_us or 0.0) > 0.0 and outcome.latency_std_us is not None,
        "op_times": sum(op.time_ns is not None for op in outcome.ops),
        "ops": [op.code for op in outcome.ops],
        "layouts": {name: str(layout) for name, layout in outcome.output_layouts.items()},
    }


class Failing:
    """A forward pass that fails the so-many-th time."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.forward = runner.Runner.forward

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise RuntimeError("inside the trace")
        return self.forward(*arguments, **keywords)


def failed_in_a_trace(device: ExecutingDevice, network: Network) -> dict[str, Any]:
    failing = Failing(_CAPTURING)

    def forward(*given: Any, **named: Any) -> Any:  # bound to its runner, as a method is
        return failing(*given, **named)

    runner.Runner.forward = forward  # type: ignore[method-assign]
    try:
        return told(device.run(ttnn_default(network)))
    finally:
        runner.Runner.forward = failing.forward  # type: ignore[method-assign]


def alone(device: ExecutingDevice, network: Network) -> dict[str, Any]:
    """Every layer of ttnn's default alone, as it takes its inputs from DRAM."""
    default = ttnn_default(network)
    requests: dict[str, Request] = {
        layer.name: ProbeRequest(
            layer.op,
            network.input_shapes(layer),
            layer.shape,
            default.layers[layer.name],
            source_layouts=(source_of(default.layers[layer.name]),),
        )
        for layer in network
        if layer.inputs
    }
    requests["reshard"] = ReshardRequest(
        (1, 32, 32, 32), DRAM_TILE, replace(DRAM_TILE, page=PageLayout.ROW_MAJOR)
    )
    found = {}
    for name, request in requests.items():
        answer = device.time_alone(request)
        found[name] = (
            {"rejected": answer.message}
            if isinstance(answer, Rejection)
            else {"ops": len(answer.ops), "has_time": math.isfinite(answer.time_us)}
        )
    return found


def source_of(config: LayerConfig) -> TensorLayout:
    """Tiles in DRAM, in the format that a pool is asked for: a mean leaves that of its input."""
    dtype = config.output_dtype if isinstance(config, PoolConfig) else None
    return replace(DRAM_TILE, dtype=dtype or DRAM_TILE.dtype)


def runs() -> dict[str, Any]:
    found: dict[str, Any] = {}
    network, default = small(), ttnn_default(small())
    with ExecutingDevice(BOARD, "silicon", _TIMING) as device:
        device.load(network)
        found["first"] = told(device.run(default))
        found["failed in its trace"] = failed_in_a_trace(device, network)
        found["after that"] = told(device.run(default))
        stem = default.layers["stem"]
        assert isinstance(stem, Conv2dConfig)
        beyond = replace(stem, core_grid=(CoreRange(0, 0, 30, 30),))
        found["alone"] = alone(device, network)
        found["refused"] = told(
            device.run(replace(default, layers={**default.layers, "stem": beyond}))
        )
        host = cosine_network()
        device.load(host)
        found["with a host layer"] = told(device.run(ttnn_default(host)))
    return found


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(runs())}\n")
