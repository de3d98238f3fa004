"""Experiments that look inside a device, run in a process of their own.

ttnn can end a process, and one process can hold one kind of mock board, so they cannot run in
pytest's. Each experiment returns what it found as JSON; an exception is a finding too.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import ttnn

from autosched.device.interface import ProbeRequest
from autosched.device.machine import open_local_device
from autosched.device.ttnn import convolutions as convolution_calls
from autosched.device.ttnn.calls import Context, PreparedShapes
from autosched.device.ttnn.graph_capture import (
    dataflow_buffers,
    lacks_buffers,
    peak_l1_bytes,
    read_device_ops,
)
from autosched.device.ttnn.local_device import LocalDevice, _capture
from autosched.device.ttnn.runner import CALLS, Runner, run_layer
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import Conv2d, Input, Output, Softmax
from autosched.network.rewrites.packed_images import pack_images
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import CoreRange, DataType, TensorLayout
from tests.device.open_board import sizes
from tests.examples import device_layers as examples
from tests.examples.device_layers import (
    conv3x3,
    depthwise,
    pointwise,
    sharded_schedule,
    ttnn_default,
)
from tests.examples.layouts import ONE_ROW, ROWS_IN_DRAM, height
from tests.examples.networks import BOARD, small

Finding = dict[str, Any]
EXPERIMENTS: list[Callable[[LocalDevice], Finding]] = []


def experiment(function: Callable[[LocalDevice], Finding]) -> Callable[[LocalDevice], Finding]:
    EXPERIMENTS.append(function)
    return function


def allocated(device: LocalDevice, place: str) -> int:
    """Bytes a bank that tensors take now."""
    view = ttnn.get_memory_view(device.device, getattr(ttnn.BufferType, place))
    return int(view.total_bytes_allocated_per_bank)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def word(outcome: object) -> str:
    return outcome.kind.name if isinstance(outcome, Rejection) else "ok"


def failing_half_way(network: Network) -> Schedule:
    """The sharded schedule with a sum into one shard, while its inputs are in shards of L1."""
    schedule = sharded_schedule(network)
    one_core = height(32, 64, (CoreRange(0, 0, 0, 0),))
    broken = replace(schedule.layers["sum"], layout=one_core)
    return replace(schedule, layers={**schedule.layers, "sum": broken})


@experiment
def sizes_of_the_board(device: LocalDevice) -> Finding:
    return sizes(device)


@experiment
def a_network_called_outside_the_search(device: LocalDevice) -> Finding:
    network = small()
    images = torch.randn(network.by_name["x"].shape)
    found = {}
    for name, schedule in (
        ("default", ttnn_default(network)),
        ("sharded", sharded_schedule(network)),
    ):
        outputs = Runner(network, schedule, device.device, BOARD)(images)
        found[name] = [[list(output.shape), str(output.dtype)] for output in outputs]
    return found


@experiment
def images_packed_as_the_schedule_says(device: LocalDevice) -> Finding:
    op, shape = Conv2d(4, 8, (3, 3), has_bias=False), (2, 8, 30, 30)
    layers = (
        Layer("x", Input(), (), (2, 4, 32, 32)),
        Layer("conv", op, ("x",), shape),
        Layer("y", Output(), ("conv",), shape),
    )
    network = Network("narrow", layers, {"conv": Weights(torch.ones(8, 4, 3, 3))})
    schedule = ttnn_default(pack_images(network, 2))
    runner = Runner(network, schedule, device.device, BOARD)
    (output,) = runner(torch.randn(layers[0].shape))
    return {
        "uploaded": [list(shape) for shape, _ in runner.uploads()],
        "output": list(output.shape),
    }


@contextmanager
def counted_preparations() -> Iterator[list[object]]:
    """Collect every set of weights that a convolution takes from the host."""
    taken: list[object] = []
    original = convolution_calls.host_weights

    def counting(weights: Any) -> Any:
        taken.append(weights)
        return original(weights)

    convolution_calls.host_weights = counting
    try:
        yield taken
    finally:
        convolution_calls.host_weights = original


@experiment
def prepared_weights(device: LocalDevice) -> Finding:
    """How often weights are taken from the host, and what is left of them on the device."""
    network = small()
    default, sharded = ttnn_default(network), sharded_schedule(network)
    device.load(network)
    found: Finding = {}
    for name, schedule in (
        ("first", default),
        ("again", default),
        ("other", sharded),
        ("back", default),
    ):
        with counted_preparations() as taken:
            answer = word(device.run(schedule))
        found[name] = [answer, len(taken), allocated(device, "DRAM")]
    return found


@experiment
def one_layer_in_two_layouts(device: LocalDevice) -> Finding:
    """The same layer under other input layouts and configurations."""
    network = Network("one", conv_layers())
    context = Context(device.device, BOARD, network)
    layer = network.by_name["conv"]
    rows = ROWS_IN_DRAM
    tiles = TensorLayout()
    counts = []
    for config, layout in (
        (examples.HEIGHT, rows),
        (examples.HEIGHT, rows),
        (examples.HEIGHT, tiles),
        (examples.BLOCK, tiles),
        (examples.HEIGHT, rows),
    ):
        with counted_preparations() as taken:
            tensors = device._allocated([(1, 1, 28 * 28, 64)], [layout])
            run_layer(context, layer, config, tensors, frees=True)
        counts.append(len(taken))
    return {"counts": counts}


@experiment
def weights_in_other_formats(device: LocalDevice) -> Finding:
    """Convolutions with weights in three formats: allocated as known, and prepared anew for each.

    With how often weights were taken from the host, and the first of what differs.
    """
    formats = (DataType.BFLOAT8_B, DataType.BFLOAT16, DataType.BFLOAT4_B)
    asked = [
        replace(request, config=replace(request.config, weights_dtype=dtype))
        for request in (
            conv3x3(48, 28, examples.HEIGHT),
            conv3x3(40, 14, examples.BLOCK),
            conv3x3(96, 14, examples.WIDTH),
            pointwise(48, 28, examples.HEIGHT),
            depthwise(48, 28, examples.HEIGHT),
        )
        for dtype in formats
    ]
    found: Finding = {}
    known, prepared = [], []
    with counted_preparations() as taken:
        known += [device.probe(request) for request in asked]
        found["allocated"] = len(taken)
    with counted_preparations() as taken:
        for request in asked:
            device._shapes, device._probe_context = PreparedShapes(), None
            prepared.append(device.probe(request))
        found["prepared"] = len(taken)
    pairs = zip(known, prepared, strict=True)
    found["differing"] = [str(pair) for pair in pairs if pair[0] != pair[1]][:1]
    found["words"] = sorted({word(outcome) for outcome in known})
    return found


def conv_layers() -> tuple[Layer, ...]:
    request = examples.FITS
    return (
        Layer("x", Input(), (), request.shape),
        Layer("conv", request.op, ("x",), request.shape),
    )


@experiment
def rejections_leave_nothing_behind(device: LocalDevice) -> Finding:
    before = allocated(device, "L1"), allocated(device, "DRAM")
    bad = [
        examples.CIRCULAR_BUFFER_CLASH,
        examples.CIRCULAR_BUFFER_OVERFLOW,
        examples.L1_OVERFLOW,
        examples.BAD_BLOCK,
    ]
    kinds = [word(device.probe(bad[index % len(bad)])) for index in range(52)]
    after = allocated(device, "L1"), allocated(device, "DRAM")
    return {
        "kinds": sorted(set(kinds)),
        "l1": [before[0], after[0]],
        "dram": [before[1], after[1]],
        "large": word(device.probe(examples.LARGE)),
    }


@experiment
def a_run_rejected_half_way_leaves_nothing_behind(device: LocalDevice) -> Finding:
    network = small()
    device.load(network)
    first = device.run(ttnn_default(network))
    before = allocated(device, "L1")
    broken = device.run(failing_half_way(network))
    return {
        "first": word(first),
        "broken": word(broken),
        "layer": getattr(broken, "layer", ""),
        "l1": [before, allocated(device, "L1")],
        "after": word(device.run(ttnn_default(network))),
        "sharded": word(device.run(sharded_schedule(network))),
    }


@experiment
def memory_over_many_probes(device: LocalDevice) -> Finding:
    taken = height(32, 64, ONE_ROW, dtype=DataType.BFLOAT16)
    requests = [
        conv3x3(
            64,
            16,
            replace(examples.HEIGHT, act_block_h_override=block, enable_act_double_buffer=double),
            input_layouts=(taken,),
        )
        for block in (0, 32, 48)
        for double in (False, True)
    ]
    for request in requests * 5:
        device.probe(request)
    resident, l1, dram = resident_bytes(), allocated(device, "L1"), allocated(device, "DRAM")
    for request in requests * 50:
        device.probe(request)
    return {
        "probes": len(requests) * 50,
        "resident": [resident, resident_bytes()],
        "l1": [l1, allocated(device, "L1")],
        "dram": [dram, allocated(device, "DRAM")],
    }


@experiment
def defects_are_crashes(device: LocalDevice) -> Finding:
    """What is no refusal of ttnn's comes back as a crash with its text."""
    found = {}
    for error in (
        AttributeError("no such thing"),
        AssertionError("impossible"),
        RuntimeError("no"),
    ):

        def fail(_call: object, error: Exception = error) -> None:
            raise error

        CALLS[Softmax] = fail
        request = ProbeRequest(Softmax(1), ((1, 64),), (1, 64), FixedConfig())
        probe = device.probe(request)
        network = small()
        head, tail = network.layers[:-1], network.layers[-1]
        soft = Layer("soft", Softmax(1), ("fc",), (1, 10))
        network = replace(network, layers=(*head, soft, replace(tail, inputs=("soft",))))
        device.load(network)
        run = device.run(ttnn_default(network))
        found[type(error).__name__] = [
            [word(item), getattr(item, "message", ""), getattr(item, "layer", "")]
            for item in (probe, run)
        ]
    return found


@experiment
def peaks_against_ttnn(device: LocalDevice) -> Finding:
    """Our peak of a capture beside the one ttnn computes, without and with a dry run."""
    found = {}
    for name, request in (
        ("conv3x3", conv3x3(64, 56, examples.HEIGHT)),
        ("block", conv3x3(64, 28, examples.BLOCK)),
        ("pointwise", examples.pointwise(256, 14, examples.HEIGHT)),
    ):
        context, layer = device._context_of(request)
        graphs = []
        for mode in (ttnn.graph.RunMode.NORMAL, ttnn.graph.RunMode.NO_DISPATCH):
            device.device.disable_and_clear_program_cache()
            with context.keeping_weights(), _capture(mode) as graph:
                tensors = device._allocated(
                    [(1, 1, request.shape[2] * request.shape[3], request.shape[1])],
                    request.sources,
                )
                run_layer(context, layer, request.config, tensors, frees=True)
                tensors.clear()
            graphs.append(graph)
        real, dry = graphs
        usage = ttnn.graph.extract_resource_usage_per_core(real)
        buffers = dataflow_buffers(real, dry)
        found[name] = {
            "ours": peak_l1_bytes(real),
            "theirs": usage.peak_total,
            "with_dataflow": peak_l1_bytes(real, buffers=buffers),
            "kept": peak_l1_bytes(real, 1000) - peak_l1_bytes(real),
            "dry_dataflow": ttnn.graph.extract_resource_usage_per_core(dry).peak_dataflow_buffer,
            "lacks": lacks_buffers(real),
            "codes": [op.code for op in read_device_ops(real)],
            "cores": [op.cores for op in read_device_ops(real, buffers)],
            "circular": [op.circular_buffer_bytes for op in read_device_ops(real, buffers)],
        }
    return found


@experiment
def zeros_of_probes(device: LocalDevice) -> Finding:
    """Whether a layer without weights is given the same zeros for each of its candidates."""
    network = small()
    context = Context(device.device, BOARD, replace(network, weights={}))
    layer = network.by_name["fc"]
    return {"same": context.weights(layer) is context.weights(layer)}


@experiment
def a_closed_device(device: LocalDevice) -> Finding:
    """Last: nothing can run after it."""
    device.close()
    device.close()
    try:
        LocalDevice(replace(BOARD, grid=(1, 1)), "mock", device.timing)
    except Exception as error:
        return {"closed": device.device is None, "error": [type(error).__name__, str(error)]}
    return {}


def conduct(function: Callable[[LocalDevice], Finding], device: LocalDevice) -> Finding:
    try:
        return function(device)
    except Exception:
        return {"exception": traceback.format_exc()}


def main() -> None:
    before = dict(os.environ)
    device = open_local_device(BOARD)
    findings: dict[str, Any] = {"environment": {"same": dict(os.environ) == before}}
    findings |= {function.__name__: conduct(function, device) for function in EXPERIMENTS}
    sys.stdout.write(json.dumps(findings))


if __name__ == "__main__":
    main()
