"""Executed kernels beside PyTorch: a whole network layer by layer, or one layer alone.

Only where kernels execute, on a card and on the simulator: the mock device's tensors hold nothing.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import ttnn

from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import LayerTest, ProbeRequest, Request, ask, check_time
from autosched.device.rejections import classify
from autosched.device.ttnn.calls import Context, Tensor, reshard
from autosched.device.ttnn.inputs_outputs import put, put_input, upload_shape
from autosched.device.ttnn.local_device import (
    LocalDevice,
    device_shape,
    network_of,
)
from autosched.device.ttnn.runner import (
    LayerFailedError,
    Runner,
    read_back,
    run_layer,
)
from autosched.device.ttnn.timing import Forward, alone_us, profiled, wall_us
from autosched.device.ttnn.ttnn_types import core_range_set
from autosched.errors import AutoschedError, DeviceError
from autosched.network.graph import Layer, Network, in_execution_order
from autosched.network.operators import HostOutput, Input, Output
from autosched.network.reference import evaluate_layer, evaluate_output
from autosched.numerics.comparison import (
    agreement,
    equal_share,
    is_discrete,
    sample_inputs,
    sample_weights,
)
from autosched.schedule.outcomes import (
    Agreement,
    AloneTime,
    ExecutedLayer,
    Execution,
    LayerExecution,
    ProbeOutcome,
    Rejection,
    RunOutcome,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import CoreRange, TensorLayout

Report = Callable[[ExecutedLayer], None]

GARBAGE = (1000.0, -7.0)
"""What memory holds before a layer runs alone, once each."""
_GARBAGE_ROWS, _GARBAGE_COLUMNS = 512, 1024
_GARBAGE_DRAM_ROWS = 4096


class ExecutingDevice(LocalDevice):
    """A device whose kernels execute: results are compared with PyTorch's.

    On the simulator (``kind`` "simulator") nothing is ever timed.
    """

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run and time the loaded network once by ``schedule``, on a card.

        Raises:
            DeviceError: on the simulator, whose clock means nothing.
        """
        if self.kind == "simulator":
            raise DeviceError("the simulator knows no time: execute a schedule instead")
        return super().run(schedule, budget)

    def execute(
        self,
        schedule: Schedule,
        inputs: Sequence[torch.Tensor],
        report: Report,
        budget: Budget = UNLIMITED,
    ) -> Execution | Rejection:
        """Run the loaded network on ``inputs`` (in PyTorch's order), and compare every layer.

        ``report`` is handed each layer as soon as it has been compared.
        """
        check_time(budget)
        if self._context is None:
            raise DeviceError("no network is loaded: call load() before execute()")
        network = self._context.network
        runner = Runner(network, schedule, self.device, self.board, self._context)
        compared = LayerComparison(in_execution_order(network, schedule), inputs, report)
        layouts: dict[str, TensorLayout] = {}
        try:
            runner.forward(runner.upload(inputs), layouts=layouts, watch=compared.see)
        except LayerFailedError as error:
            return error.rejection
        except AutoschedError:
            raise
        except Exception as error:  # reading a tensor back, for one
            return classify(error)
        finally:
            self._context.forget_unused_weights()
        return Execution(compared.outputs, tuple(compared.layers), layouts)

    def execute_layer(
        self, test: LayerTest, budget: Budget = UNLIMITED
    ) -> LayerExecution | Rejection:
        """Execute a layer or reshard alone, and compare it with PyTorch."""
        check_time(budget)
        try:
            return self._executed_alone(test)
        except AutoschedError:
            raise
        except Exception as error:  # ttnn asserts and throws whatever it likes
            return classify(error)

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        """Time a layer or reshard alone on a card, on whatever its memory holds.

        Raises:
            DeviceError: on the simulator, whose clock means nothing.
        """
        if self.kind != "silicon":
            raise DeviceError("only a card's time means something: the simulator knows none")
        found = ask(self, request, budget)
        if isinstance(found, Rejection):
            return found
        try:
            return self._timed_alone(request, found)
        except AutoschedError:
            raise
        except Exception as error:  # a trace that outgrows its region, for one
            return classify(error)

    def _timed_alone(self, request: Request, found: ProbeOutcome) -> AloneTime:
        forward = self._alone(request, found.input_layouts)
        self.device.enable_program_cache()
        for _ in range(self.timing.warm_ups):
            wall_us(self.device, forward)
        times_us = alone_us(self.device, forward, self.timing.replays)
        return AloneTime(
            ops=profiled(self.device, forward, found.ops),
            time_us=statistics.fmean(times_us),
            error_us=statistics.pstdev(times_us) / math.sqrt(len(times_us)),
        )

    def _alone(self, request: Request, layouts: Sequence[TensorLayout]) -> Forward:
        """Return a forward pass of a layer or reshard alone, each with inputs of its own."""
        if not isinstance(request, ProbeRequest):
            shape = device_shape(request.shape)
            return lambda: reshard(self._allocated([shape], [request.source]).pop(), request.target)
        context, layer = self._context_of(request)
        shapes = [
            upload_shape(shape, request.op, request.config)
            if isinstance(request.op, Input)
            else device_shape(shape)
            for shape in request.input_shapes
        ]
        return lambda: run_layer(
            context, layer, request.config, self._allocated(shapes, layouts), frees=True
        )

    def _executed_alone(self, test: LayerTest) -> LayerExecution:
        network = network_of_test(test)
        context = Context(self.device, self.board, network)
        layer = network.layers[-1]
        values = values_of(test)
        truth = evaluated(network, layer, list(values))
        results = []
        for garbage in GARBAGE:
            leave_garbage(context, garbage)
            output = run_test(context, layer, test, put_inputs(self.device, test, values))
            results.append(read_back(layer, output))
            del output
        agreements = [agreement(result, truth) for result in results]
        worse = min(agreements, key=lambda found: found.concordance)
        return LayerExecution(worse, varies=not torch.equal(*results))


def network_of_test(test: LayerTest) -> Network:
    """Return the network of the layer alone, with its weights; of a reshard, that of its tensor."""
    request = test.request
    if not isinstance(request, ProbeRequest):
        return network_of(Input(), (), request.shape)
    network = network_of(request.op, request.input_shapes, request.shape)
    layer = network.layers[-1]
    weights = test.weights or sample_weights(layer, test.seed)
    return network if weights is None else replace(network, weights={layer.name: weights})


def values_of(test: LayerTest) -> tuple[torch.Tensor, ...]:
    """Return the inputs of a layer alone, in PyTorch's order."""
    if test.inputs is not None:
        return test.inputs
    request = test.request
    if isinstance(request, ProbeRequest):
        return sample_inputs(request.op, request.input_shapes, test.seed)
    return sample_inputs(Input(), (request.shape,), test.seed)


def run_test(context: Context, layer: Layer, test: LayerTest, tensors: list[Tensor]) -> Tensor:
    """Run a layer or reshard on tensors that are on the device."""
    request = test.request
    if not isinstance(request, ProbeRequest):
        return reshard(tensors.pop(), request.target)
    return run_layer(context, layer, request.config, tensors, frees=True)


class LayerComparison:
    """Compares each layer of a forward pass, as it runs, and reports it.

    ``inputs`` are the network's, in PyTorch's order. Tensors are dropped after their last reader.
    """

    def __init__(self, network: Network, inputs: Sequence[torch.Tensor], report: Report) -> None:
        self._network = network
        self._waiting = list(inputs)
        self._report = report
        self._truth: dict[str, torch.Tensor] = {}
        self._seen: dict[str, torch.Tensor] = {}
        self._judged: dict[str, Agreement] = {}
        self.layers: list[ExecutedLayer] = []
        self.outputs: dict[str, Agreement] = {}

    def see(self, layer: Layer, tensor: Tensor) -> None:
        """Read a layer's output back from the device and compare it."""
        result = read_back(layer, tensor)
        given = [self._waiting.pop(0)] if isinstance(layer.op, Input) else []
        truth = evaluated(self._network, layer, given or self._of(self._truth, layer))
        alone = evaluated(self._network, layer, given or self._of(self._seen, layer))
        overall = self._overall(layer, result, truth)
        executed = ExecutedLayer(layer.name, agreement(result, alone), overall)
        self._judged[layer.name] = self._by_its_inputs(layer, overall, truth)
        self._truth[layer.name], self._seen[layer.name] = truth, result
        self.layers.append(executed)
        if isinstance(layer.op, Output):
            self.outputs[layer.name] = executed.overall
        self._forget(layer)
        self._report(executed)

    def _overall(self, layer: Layer, result: torch.Tensor, truth: torch.Tensor) -> Agreement:
        """Compare with the whole network; indices of the host's are judged by what it read."""
        found = agreement(result, truth)
        if not isinstance(layer.op, HostOutput) or not is_discrete(truth):
            return found
        return replace(self._by_its_inputs(layer, found, truth), equal=equal_share(result, truth))

    def _by_its_inputs(self, layer: Layer, own: Agreement, truth: torch.Tensor) -> Agreement:
        """Return what a layer is judged by: of masks and indices, the worst of what it reads."""
        read = [self._judged[name] for name in layer.inputs]
        return min(read, key=lambda found: found.pcc) if read and is_discrete(truth) else own

    def _of(self, values: dict[str, torch.Tensor], layer: Layer) -> list[torch.Tensor]:
        return [values[name] for name in layer.inputs]

    def _forget(self, layer: Layer) -> None:
        for name in set(layer.inputs):
            if self._network.last_uses[name] == layer.name:
                del self._truth[name], self._seen[name]


def evaluated(network: Network, layer: Layer, sources: list[torch.Tensor]) -> torch.Tensor:
    """Return what a layer computes in PyTorch; an input or output hands on what it is given."""
    if isinstance(layer.op, Input):
        return sources[0].reshape(layer.shape)
    evaluate = evaluate_output if isinstance(layer.op, Output) else evaluate_layer
    with torch.no_grad():
        return evaluate(layer, sources, network.weights.get(layer.name))


def put_inputs(device: Any, test: LayerTest, values: Sequence[torch.Tensor]) -> list[Tensor]:
    """Put what a layer reads on the device, each tensor in its layout."""
    request = test.request
    if not isinstance(request, ProbeRequest):
        return [put(device, values[0], request.source)]
    if isinstance(request.op, Input):
        return [put_input(device, values[0], request.op, request.config)]
    layouts = request.input_layouts or request.sources
    return [put(device, one, layout) for one, layout in zip(values, layouts, strict=True)]


def leave_garbage(context: Context, value: float) -> None:
    """Fill free L1 of every core, and some of DRAM, with a value, and free it again.

    Whoever reads what nobody wrote then shows: in a fresh simulator it would read zeros.
    """
    columns, rows = context.board.grid
    grid = core_range_set([CoreRange(0, 0, columns - 1, rows - 1)])
    spec = ttnn.ShardSpec(grid, [_GARBAGE_ROWS, _GARBAGE_COLUMNS], ttnn.ShardOrientation.ROW_MAJOR)
    height = ttnn.TensorMemoryLayout.HEIGHT_SHARDED
    in_l1 = ttnn.MemoryConfig(height, ttnn.BufferType.L1, spec)
    for count, memory in (
        (_GARBAGE_ROWS * context.board.cores, in_l1),
        (_GARBAGE_DRAM_ROWS, ttnn.DRAM_MEMORY_CONFIG),
    ):
        tensor = ttnn.from_torch(
            torch.full((1, 1, count, _GARBAGE_COLUMNS), value, dtype=torch.bfloat16),
            layout=ttnn.ROW_MAJOR_LAYOUT,
            device=context.device,
            memory_config=memory,
        )
        ttnn.deallocate(tensor)
