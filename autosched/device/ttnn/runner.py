"""Runs a whole network by a schedule on an open ttnn device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import ttnn

from autosched.boards import Board
from autosched.device.rejections import classify
from autosched.device.ttnn.calls import Call, Tensor, flattened, upload_shape, zero_weights
from autosched.device.ttnn.convolutions import CONVOLUTION_LOWERINGS
from autosched.device.ttnn.eltwise import _run_binary, _run_unary
from autosched.device.ttnn.host import HOST_LOWERINGS
from autosched.device.ttnn.images import IMAGE_LOWERINGS
from autosched.device.ttnn.inputs_outputs import _run_constant, _run_input, _run_output
from autosched.device.ttnn.norms import _run_group_norm, _run_layer_norm, _run_softmax
from autosched.device.ttnn.pooling import _run_pool
from autosched.device.ttnn.products import _run_attention, _run_linear, _run_matmul
from autosched.device.ttnn.reshaping import REARRANGING_LOWERINGS
from autosched.device.ttnn.ttnn_types import DATA_TYPES, PAGE_LAYOUTS, layout_of, memory_config
from autosched.errors import AutoschedError, ScheduleError
from autosched.network.graph import Layer, Network, Weights, in_execution_order
from autosched.network.operators import (
    Attention,
    Binary,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Crop,
    GlobalAvgPool2d,
    GroupNorm,
    Input,
    LayerNorm,
    Linear,
    Matmul,
    Output,
    Pad,
    PixelShuffle,
    Pool2d,
    Softmax,
    Unary,
    Upsample,
)
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, TensorLayout, move_label

Tensor = Any
Marker = Callable[[str], None]


class LayerFailedError(Exception):
    """A layer or reshard that ttnn rejected: its name and ttnn's text, no traceback."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"{rejection.layer}: {rejection.message}")
        self.rejection = rejection


class LayerRunner:
    """Runs single layers of one network on an open ttnn device.

    Weights are prepared on first use and kept by layer, configuration and input layout: ttnn
    silently accepts weights that were prepared for another layout, and computes nonsense.

    With ``runs_host_layers`` off, host layers move their tensors and hand on zeros.
    """

    def __init__(
        self, device: Any, board: Board, network: Network, *, runs_host_layers: bool = True
    ) -> None:
        self.device = device
        self.board = board
        self.network = network
        self.runs_host_layers = runs_host_layers
        self._prepared: dict[Any, tuple[Tensor, Tensor | None]] = {}
        self._used: set[Any] = set()

    def run(self, layer: Layer, config: LayerConfig, inputs: Sequence[Tensor]) -> Tensor:
        """Run one layer; the output's layout is whatever ttnn left.

        Raises:
            RuntimeError: ttnn's own, when it rejects the configuration.
        """
        if not isinstance(layer.op, _TAKE_IMAGES):
            inputs = [flattened(tensor) for tensor in inputs]
        return CALLS[type(layer.op)](Call(self, layer, config, inputs))

    def reshard(self, tensor: Tensor, target: TensorLayout) -> Tensor:
        """Bring a tensor into another layout: pages, format and memory."""
        tensor = flattened(tensor)
        current = layout_of(tensor)
        if current.page is not target.page:
            tensor = ttnn.to_layout(tensor, PAGE_LAYOUTS[target.page])
        # to_memory_config changes the format only on its way into shards or out of them.
        if current.dtype is not target.dtype and target.is_sharded is current.is_sharded:
            tensor = ttnn.typecast(tensor, DATA_TYPES[target.dtype])
        dtype = DATA_TYPES[target.dtype] if layout_of(tensor).dtype is not target.dtype else None
        return ttnn.to_memory_config(tensor, memory_config(target), dtype=dtype)

    def move(self, tensor: Tensor, target: TensorLayout) -> Tensor:
        """Bring a waiting tensor into another layout, or pack it to the free end of L1."""
        if layout_of(tensor) == target:
            return ttnn.move(tensor)
        return self.reshard(tensor, target)

    def weights(self, layer: Layer) -> Weights:
        """Return the layer's parameters; zeros where the network came without (a probe)."""
        found = self.network.weights.get(layer.name)
        return found if found is not None else zero_weights(layer)

    def recall(self, key: Any) -> tuple[Tensor, Tensor | None] | None:
        """Return the weights prepared under ``key``, or None."""
        self._used.add(key)
        return self._prepared.get(key)

    def remember(self, key: Any, prepared: tuple[Tensor, Tensor | None]) -> None:
        """Keep weights on the device for the next run of the same configuration."""
        self._prepared[key] = prepared

    @contextmanager
    def keeping_weights(self) -> Iterator[None]:
        """Forget what the body prepares: in a dry run it has no memory on the device."""
        prepared = dict(self._prepared)
        try:
            yield
        finally:
            self._prepared = prepared

    def forget_unused_weights(self) -> None:
        """Drop prepared weights that no layer asked for since the last call."""
        self._prepared = {key: value for key, value in self._prepared.items() if key in self._used}
        self._used = set()


class Runner:
    """A network bound to a schedule on an open device; call it with the network's inputs.

    Works on any ttnn device that the caller opened, also outside autosched's own search::

        runner = Runner(network, schedule, device, find_board("n150"))
        (logits,) = runner(images)
    """

    def __init__(
        self,
        network: Network,
        schedule: Schedule,
        device: Any,
        board: Board,
        lowering: LayerRunner | None = None,
    ) -> None:
        missing = [layer.name for layer in network if layer.name not in schedule.layers]
        if missing:
            raise ScheduleError(
                f"the schedule says nothing about layer {missing[0]}; "
                f"it was made for network {schedule.provenance.network}"
            )
        self.network = network
        self.schedule = schedule
        self._ordered = in_execution_order(network, schedule)
        self.lowering = lowering or LayerRunner(device, board, network)
        self._moves: dict[str, list[tuple[str, TensorLayout]]] = {}
        for edge, target in schedule.moves.items():
            self._moves.setdefault(edge.consumer, []).append((edge.producer, target))

    def __call__(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Upload the inputs, run once, and return the outputs as float32 tensors on the host."""
        outputs = self.forward(self.upload(inputs))
        shapes = [layer.shape for layer in self.network if isinstance(layer.op, Output)]
        return [
            ttnn.to_torch(tensor).float().reshape(shape)
            for tensor, shape in zip(outputs, shapes, strict=True)
        ]

    def upload(self, inputs: Sequence[torch.Tensor]) -> list[Tensor]:
        """Put input tensors, in PyTorch's order of elements, into DRAM as bfloat16 rows."""
        return [
            ttnn.from_torch(
                tensor.to(torch.bfloat16).reshape(upload_shape(tuple(tensor.shape))),
                layout=ttnn.ROW_MAJOR_LAYOUT,
                device=self.lowering.device,
                memory_config=ttnn.DRAM_MEMORY_CONFIG,
            )
            for tensor in inputs
        ]

    def forward(
        self,
        inputs: Sequence[Tensor],
        mark: Marker = lambda _name: None,
        layouts: dict[str, TensorLayout] | None = None,
    ) -> list[Tensor]:
        """Run once on tensors that :meth:`upload` returned, and return the outputs on the device.

        ``mark`` is called with the name of every layer and reshard before it runs; ``layouts``
        receives the effective output layout of every layer.

        Raises:
            LayerFailedError: when ttnn rejects a layer.
        """
        names = [layer.name for layer in self.network if isinstance(layer.op, Input)]
        given = dict(zip(names, inputs, strict=True))
        tensors: dict[str, Tensor] = {}
        for layer in self._ordered:
            arguments = [given.pop(layer.name)] if isinstance(layer.op, Input) else []
            arguments += [
                self._argument(layer, index, tensors, mark) for index in range(len(layer.inputs))
            ]
            tensors[layer.name] = self._run(
                layer.name,
                mark,
                lambda: self.lowering.run(layer, self.schedule.layers[layer.name], arguments),  # noqa: B023
            )
            arguments.clear()
            if layouts is not None:
                layouts[layer.name] = layout_of(tensors[layer.name])
            for name in set(layer.inputs):
                if self._ordered.last_uses[name] == layer.name:
                    tensors.pop(name, None)
            self._move(layer, tensors, mark)
        return [tensors[layer.name] for layer in self.network if isinstance(layer.op, Output)]

    def _argument(
        self, layer: Layer, index: int, tensors: dict[str, Tensor], mark: Marker
    ) -> Tensor:
        """Return an input in the layout the schedule wants it in.

        Once it has been copied into another layout for its last reader, the original is freed.
        """
        producer = layer.inputs[index]
        edge = Edge(producer, layer.name, index)
        target = self.schedule.reshards.get(edge)
        if target is None or layout_of(tensors[producer]) == target:
            return tensors[producer]
        is_last = (
            self._ordered.last_uses[producer] == layer.name
            and producer not in layer.inputs[index + 1 :]
        )
        original = [tensors.pop(producer) if is_last else tensors[producer]]
        return self._run(str(edge), mark, lambda: self.lowering.reshard(original.pop(), target))

    def _move(self, layer: Layer, tensors: dict[str, Tensor], mark: Marker) -> None:
        """Bring tensors that wait for a later layer where the schedule wants them meanwhile."""
        for producer, target in self._moves.get(layer.name, ()):
            waiting = [tensors.pop(producer)]
            tensors[producer] = self._run(
                move_label(Edge(producer, layer.name)),
                mark,
                lambda: self.lowering.move(waiting.pop(), target),  # noqa: B023 - called at once
            )

    def _run(self, name: str, mark: Marker, call: Callable[[], Tensor]) -> Tensor:
        # ttnn's exceptions hold a traceback, and with it every tensor of the frames it passed:
        # only the text may leave.
        try:
            mark(name)
            return call()
        except AutoschedError:
            raise
        except Exception as error:  # ttnn asserts and throws whatever it likes
            rejection = classify(error, name)
        raise LayerFailedError(rejection)


Tensor = Any

ELTWISE_LOWERINGS: Mapping[type, Callable[[Call], Tensor]] = {
    Binary: _run_binary,
    Unary: _run_unary,
    Softmax: _run_softmax,
}

LOWERINGS: Mapping[type, Callable[[Call], Tensor]] = {
    Input: _run_input,
    Constant: _run_constant,
    Output: _run_output,
    Linear: _run_linear,
    Pool2d: _run_pool,
    GlobalAvgPool2d: _run_pool,
}

TOKEN_LOWERINGS: Mapping[type, Callable[[Call], Tensor]] = {
    LayerNorm: _run_layer_norm,
    GroupNorm: _run_group_norm,
    Matmul: _run_matmul,
    Attention: _run_attention,
}

CALLS = {
    **LOWERINGS,
    **CONVOLUTION_LOWERINGS,
    **ELTWISE_LOWERINGS,
    **HOST_LOWERINGS,
    **IMAGE_LOWERINGS,
    **REARRANGING_LOWERINGS,
    **TOKEN_LOWERINGS,
}
"""The function that runs a layer, by the type of its operator."""

# These take an image as (N, H, W, C), too.
_TAKE_IMAGES = (
    Input,
    Output,
    Conv2d,
    ConvTranspose2d,
    Pool2d,
    GlobalAvgPool2d,
    Crop,
    Pad,
    PixelShuffle,
    Upsample,
)
