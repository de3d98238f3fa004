"""A schedule that is right, and ones that compute wrong, executed on the simulator.

Run in a process of its own; prints as JSON which layer of each agrees least with PyTorch.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from autosched.device.machine import open_local_device
from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary
from autosched.numerics.comparison import sample_inputs
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import Execution, Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import ShardLayout
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from tests.device.ttnn.test_host import classes_network
from tests.examples.device_layers import sharded_schedule, ttnn_default
from tests.examples.networks import BOARD, small

Finding = dict[str, Any]


def subtracting() -> Network:
    """The small network, with a difference in place of its sum."""
    network = small()
    layers = [
        replace(layer, op=Binary("sub")) if layer.name == "sum" else layer for layer in network
    ]
    return replace(network, layers=tuple(layers))


def worst(answer: Execution | Rejection) -> Finding:
    if isinstance(answer, Rejection):
        return {"rejected": answer.message}
    layer = min(answer.layers, key=lambda item: item.alone.concordance)
    others = [item.alone.concordance for item in answer.layers if item.name != layer.name]
    return {
        "layer": layer.name,
        "concordance": layer.alone.concordance,
        "pcc": layer.alone.pcc,
        "others": min(others),
    }


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def faults() -> Finding:
    """What is executed wrong, and which layer is found to be."""
    with open_local_device(BOARD, "simulator") as device:
        from autosched.device.ttnn import convolutions, runner  # noqa: PLC0415 - load ttnn
        from autosched.device.ttnn.execution import ExecutingDevice  # noqa: PLC0415

        assert isinstance(device, ExecutingDevice)
        network = small()
        images = sample_inputs(network.layers[0].op, [network.layers[0].shape], 0)

        def executed(network: Network, schedule: Schedule) -> Finding:
            device.load(network)
            return worst(device.execute(schedule, images, lambda _layer: None))

        found = {"right": executed(network, sharded_schedule(network))}
        call: Callable[[Any], Any] = runner.CALLS[Binary]
        swapped = {**runner.CALLS, Binary: lambda it: call(replace(it, inputs=it.inputs[::-1]))}
        with replaced(runner, "CALLS", swapped):
            found["swapped inputs"] = executed(subtracting(), ttnn_default(network))
        with replaced(convolutions, "_split_activation", lambda *_: (None, None)):
            found["lost activation"] = executed(network, ttnn_default(network))
        found["weights of another layout"] = _stale_weights(device, network, images, convolutions)
        found["whole numbers"] = _whole_numbers(device)
    return found


def _whole_numbers(device: Any) -> Finding:
    """Run what ends in indices, a mask and a number that the host makes."""
    network = classes_network()
    first = network.layers[0]
    device.load(network)
    schedule = default_schedule(network, BOARD.name, "", Formats())
    answer = device.execute(schedule, sample_inputs(first.op, [first.shape], 0), lambda _: None)
    return {name: [found.pcc, found.equal] for name, found in answer.outputs.items()}


def _stale_weights(device: Any, network: Network, images: Any, convolutions: Any) -> Finding:
    """Run a convolution on block shards with the weights that height shards have left."""
    device.load(network)

    def by_name(layer: Layer, *_others: object) -> tuple[str, ...]:
        return (layer.name,)

    base = ttnn_default(network)
    with replaced(convolutions, "weights_key", by_name):
        for layout in (ShardLayout.HEIGHT, ShardLayout.BLOCK):
            config = Conv2dConfig(shard_layout=layout, full_inner_dim=layout is ShardLayout.BLOCK)
            schedule = replace(base, layers={**base.layers, "stem": config})
            answer = device.execute(schedule, images, lambda _layer: None)
    return worst(answer)


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(faults()) + "\n")
