"""Runs a whole network by a schedule on an open ttnn device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import ttnn

from autosched.boards import Board, find_board
from autosched.device.asked_layouts import asked_layout, check_left, is_as_asked
from autosched.device.rejections import RefusedError, classify
from autosched.device.ttnn import (
    convolutions,
    eltwise,
    host,
    images,
    inputs_outputs,
    norms,
    pooling,
    products,
    reshaping,
)
from autosched.device.ttnn.calls import (
    Call,
    Context,
    Tensor,
    flattened,
    move,
    reshard,
)
from autosched.device.ttnn.ttnn_types import layout_of
from autosched.errors import AutoschedError, BoardError, ScheduleError
from autosched.network.ends import with_ends_of
from autosched.network.graph import Layer, Network, in_execution_order
from autosched.network.left_layouts import is_image
from autosched.network.legal_values import config_type, layer_faults
from autosched.network.operators import DeviceOutput, HostOutput, Input, Output
from autosched.network.read_layouts import uploaded
from autosched.network.rewrites.packed_images import pack_images
from autosched.schedule.configurations import EltwiseConfig, FixedConfig, LayerConfig
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DRAM_TILE, Edge, TensorLayout, move_label

_FAMILIES = (
    convolutions,
    eltwise,
    host,
    images,
    inputs_outputs,
    norms,
    pooling,
    products,
    reshaping,
)
CALLS: dict[type, Callable[[Call], Tensor]] = {
    operator: call for family in _FAMILIES for operator, call in family.CALLS.items()
}
"""The function that runs a layer, by the type of its operator."""

Upload = tuple[tuple[int, ...], TensorLayout]
"""The shape of an input on the device, and how it lies there."""
Marker = Callable[[str], None]
OutputWatcher = Callable[[Layer, Tensor], None]
"""Is handed each layer with its output on the device, before the next one runs."""


class LayerFailedError(Exception):
    """A layer or reshard that ttnn rejected: its name and ttnn's text, no traceback."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(f"{rejection.layer}: {rejection.message}")
        self.rejection = rejection


def run_layer(
    context: Context, layer: Layer, config: LayerConfig, inputs: Sequence[Tensor], *, frees: bool
) -> Tensor:
    """Run one layer by its configuration; a convolution or pool ``frees`` its first input or not.

    Raises:
        RuntimeError: ttnn's own, when it rejects the configuration; with the legal values where
            the layer has not what it says.
        LayoutMismatchError: if ttnn leaves the output otherwise than it was asked.
    """
    config = checked(layer, config)
    if not layer.op.takes_images:
        inputs = [flattened(tensor) for tensor in inputs]
    output = CALLS[type(layer.op)](Call(context, layer, config, inputs, frees))
    if is_handed_back(layer):
        return output
    if isinstance(config, FixedConfig | EltwiseConfig):
        output = placed(output, asked_layout(config))
    check_left(config, layout_of(output))
    return output


def placed(tensor: Tensor, target: TensorLayout) -> Tensor:
    """Return a tensor where the schedule wants it; nothing runs where it is there already."""
    return tensor if is_as_asked(target, layout_of(tensor)) else reshard(tensor, target)


def checked(layer: Layer, config: LayerConfig) -> LayerConfig:
    """Return a layer's configuration if its operator has every value of it.

    Raises:
        RefusedError: naming the field and its legal values.
    """
    if isinstance(config, config_type(layer)):
        for fault in layer_faults(layer, config):
            raise RefusedError(str(fault))
    return config


def is_handed_back(layer: Layer) -> bool:
    """Return whether a layer's output is in PyTorch's order, as none else is.

    That are images handed back, and what the host makes for the caller.
    """
    on_host = isinstance(layer.op, HostOutput)
    is_turned = isinstance(layer.op, Output) and not isinstance(layer.op, DeviceOutput)
    return on_host or (is_turned and is_image(layer.shape))


def left_by(output: Tensor) -> TensorLayout:
    """Return where a layer left its output; of what stays on the host nothing is said."""
    return DRAM_TILE if isinstance(output, torch.Tensor) else layout_of(output)


def read_back(layer: Layer, output: Tensor) -> torch.Tensor:
    """Return a layer's output as PyTorch has it: float32, in its order of elements.

    What the host made for the caller is that already, and has a type of its own.
    """
    if isinstance(output, torch.Tensor):
        return output
    values: torch.Tensor = ttnn.to_torch(output).float()
    if is_handed_back(layer):
        return inputs_outputs.channels_first(values, layer.shape)
    return inputs_outputs.in_torch_order(values, layer.shape)


def check_grid(device: Any, board: Board) -> None:
    """Refuse a device that has other cores than the board.

    Raises:
        BoardError: saying how the board is opened.
    """
    grid = device.compute_with_storage_grid_size()
    if (grid.x, grid.y) != board.grid:
        raise BoardError(
            f"the device has a grid of {grid.x}x{grid.y} cores, but {board.name} has "
            f"{board.grid[0]}x{board.grid[1]}: name the board that is there, or open that one "
            f"with {board.opening}"
        )


class Runner:
    """A network bound to a schedule on an open device; call it with the network's inputs.

    Works on any ttnn device that the caller opened, also outside autosched's own search::

        runner = Runner(network, schedule, device, "n150")
        (logits,) = runner(images)

    Where the schedule was made for images packed into channels, so is the network; the inputs are
    (N, C, H, W) all the same.

    Raises:
        BoardError: if the device has other cores than the board.
        ScheduleError: if the schedule lacks a layer.
        NetworkFileError: if the network cannot be packed as the schedule's was.
    """

    def __init__(
        self,
        network: Network,
        schedule: Schedule,
        device: Any,
        board: Board | str,
        context: Context | None = None,
    ) -> None:
        if context is None:
            network = pack_images(network, schedule.provenance.pack_images)
        missing = [layer.name for layer in network if layer.name not in schedule.layers]
        if missing:
            raise ScheduleError(
                f"the schedule says nothing about layer {missing[0]}; "
                f"it was made for network {schedule.provenance.network}"
            )
        self.network = network = with_ends_of(network, schedule)
        self.schedule = schedule
        self._ordered = in_execution_order(network, schedule)
        known = find_board(board) if isinstance(board, str) else board
        check_grid(device, known)
        self.context = context or Context(device, known, network)
        self._moves: dict[str, list[tuple[str, TensorLayout]]] = {}
        for edge, target in schedule.moves.items():
            self._moves.setdefault(edge.consumer, []).append((edge.producer, target))

    def __call__(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Upload the inputs, run once, and return the outputs on the host.

        They are float32, and what host layers make for the caller of its own type.
        """
        outputs = self.forward(self.upload(inputs))
        layers = [layer for layer in self.network if isinstance(layer.op, Output)]
        return [
            read_back(layer, tensor).reshape(self.network.caller_shape(layer))
            for layer, tensor in zip(layers, outputs, strict=True)
        ]

    def upload(self, inputs: Sequence[torch.Tensor]) -> list[Tensor]:
        """Put input tensors, in PyTorch's order of elements, on the device.

        As bfloat16 rows in DRAM, unless the schedule takes one in the device's own order.
        """
        return [
            inputs_outputs.put_input(self.context.device, tensor.reshape(layer.shape), op, config)
            for tensor, (layer, op, config) in zip(inputs, self._inputs(), strict=True)
        ]

    def uploads(self) -> list[Upload]:
        """Return how :meth:`upload` puts the inputs on the device."""
        return [
            (inputs_outputs.upload_shape(layer.shape, op, config), uploaded(op, config))
            for layer, op, config in self._inputs()
        ]

    def _inputs(self) -> list[tuple[Layer, Input, LayerConfig]]:
        return [
            (layer, layer.op, self.schedule.layers[layer.name])
            for layer in self.network
            if isinstance(layer.op, Input)
        ]

    def forward(
        self,
        inputs: Sequence[Tensor],
        mark: Marker = lambda _name: None,
        layouts: dict[str, TensorLayout] | None = None,
        watch: OutputWatcher = lambda _layer, _tensor: None,
    ) -> list[Tensor]:
        """Run once on tensors that :meth:`upload` returned, and return the outputs on the device.

        What host layers make for the caller is on the host.
        ``mark`` is called with the name of every layer and reshard before it runs; ``layouts``
        receives the effective output layout of every layer; ``watch`` is handed its output.

        Raises:
            LayerFailedError: when ttnn rejects a layer.
        """
        names = [layer.name for layer, *_ in self._inputs()]
        given = dict(zip(names, inputs, strict=True))
        del inputs  # or what lies in L1 stays there after its last reader
        tensors: dict[str, Tensor] = {}
        for layer in self._ordered:
            arguments = [given.pop(layer.name)] if isinstance(layer.op, Input) else []
            arguments += [
                self._argument(layer, index, tensors, mark) for index in range(len(layer.inputs))
            ]
            tensors[layer.name] = self._run(
                layer.name,
                mark,
                lambda: run_layer(  # called at once
                    self.context,
                    layer,  # noqa: B023
                    self.schedule.layers[layer.name],  # noqa: B023
                    arguments,  # noqa: B023
                    frees=layer.name in self.schedule.frees,  # noqa: B023
                ),
            )
            arguments.clear()
            if layouts is not None:
                layouts[layer.name] = left_by(tensors[layer.name])
            watch(layer, tensors[layer.name])
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
        return self._run(str(edge), mark, lambda: reshard(original.pop(), target))

    def _move(self, layer: Layer, tensors: dict[str, Tensor], mark: Marker) -> None:
        """Bring tensors that wait for a later layer where the schedule wants them meanwhile."""
        for producer, target in self._moves.get(layer.name, ()):
            waiting = [tensors.pop(producer)]
            tensors[producer] = self._run(
                move_label(Edge(producer, layer.name)),
                mark,
                lambda: move(waiting.pop(), target),  # noqa: B023 - called at once
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
