"""Notes the calls of a whole network by its schedule, on the mock device, in a process of its own.

The first run prepares what stays on the device; the second one is the model. Unlike in
:mod:`autosched.reproduction.recorder`, tensors are given up as they are in a search: all of them
together have no room.
"""

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autosched.boards import Board, find_board
from autosched.device.machine import open_local_device
from autosched.errors import ScheduleError
from autosched.export.model_module import NotedStep, RecordedModel
from autosched.network.graph import Network
from autosched.network.operators import HostOp, HostOutput, Input, Output
from autosched.network.read_layouts import uploaded
from autosched.reproduction.noted_lines import NotedLines
from autosched.reproduction.recorder import recorded_apart
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, Memory, move_label

_LIMIT_S = 900


def recorded_model(network: Network, schedule: Schedule) -> tuple[RecordedModel, bytes]:
    """Run a network by its schedule, and return its calls and its weights as PyTorch saves them.

    Raises:
        ScheduleError: for a layer that no program of ttnn alone can run; it names it.
        DeviceError: if the mock device fails, or a call cannot be written, with what is in the way.
    """
    check_exportable(network, schedule)
    board = find_board(schedule.provenance.board)
    given = (board, network, schedule)
    written = recorded_apart(__name__, given, f"a model of {network.name}", _LIMIT_S)
    found: tuple[RecordedModel, bytes] = pickle.loads(written)  # noqa: S301 - ours
    return found


def check_exportable(network: Network, schedule: Schedule) -> None:
    """Refuse what a program of ttnn alone cannot run, or not again and again from a trace.

    Raises:
        ScheduleError: naming the layer and its operator.
    """
    for layer in network:
        config = schedule.layers[layer.name]
        if isinstance(layer.op, Input) and uploaded(layer.op, config).memory is not Memory.DRAM:
            raise ScheduleError(
                f"layer {layer.name} (Input) comes in L1, where its first reader frees it, which "
                "a model does not support; search with inputs in DRAM (--io nchw)"
            )
        if isinstance(layer.op, HostOp | HostOutput):
            raise ScheduleError(
                f"layer {layer.name} ({layer.op.steps[-1].operator}) runs on the host, which a "
                "model does not support; export a module, and run it with autosched.Runner"
            )


_MAY_RUN_NOTHING = ("ttnn.reshape(", "ttnn.to_layout(", "ttnn.to_memory_config(")


class PassingLines(NotedLines):
    """Lines that keep no tensor of ttnn's: its name is that of the one that lives there last."""

    def __init__(
        self,
        is_tensor: Callable[[Any], bool],
        is_same: Callable[[Any, Any], bool],
        special: Callable[[Any], str | None],
    ) -> None:
        super().__init__(special)
        self._is_tensor = is_tensor
        self._is_same = is_same
        self._tensors: dict[int, str] = {}

    def note(self, result: Any, call: str, given: Sequence[Any] = ()) -> None:
        """Note a call; one that left its first tensor as it lay ran nothing, and is none."""
        is_own = self._is_tensor(result)
        if (not is_own or call.startswith(_MAY_RUN_NOTHING)) and self._is_same(given[0], result):
            self.name(result, self.text(given[0]))
            return
        super().note(result, call, given)

    def name(self, value: Any, name: str) -> None:
        """Have a value stand in the text as ``name``; of a sequence, each of its items."""
        if self._is_tensor(value):
            self._tensors[id(value)] = name
        elif not isinstance(value, list | tuple):
            super().name(value, name)

    def text(self, value: Any) -> str:
        """Return a value as Python.

        Raises:
            LookupError: if it cannot be written, with its type.
        """
        if not self._is_tensor(value):
            return super().text(value)
        try:
            return self._tensors[id(value)]
        except KeyError:
            raise LookupError("a tensor that no noted call made") from None


class _Recording:
    """The calls of each layer and change of layout, and the weights that they take."""

    def __init__(self, network: Network, schedule: Schedule) -> None:
        # They load ttnn, which reads the environment of the mock device.
        from ttnn import Tensor  # noqa: PLC0415

        from autosched.reproduction.calls import memory_argument  # noqa: PLC0415

        self._memory_argument = memory_argument
        self._reshards = {str(edge): edge.consumer for edge in schedule.reshards}
        self._moves = {
            move_label(Edge(edge.producer, edge.consumer)): edge.producer for edge in schedule.moves
        }
        self._layers = network.by_name
        self._place = ""
        self._kept: list[Any] = []
        self.lines = PassingLines(lambda value: isinstance(value, Tensor), _is_same, self._special)
        self.weights: dict[str, Any] = {}
        self.steps: list[NotedStep] = []

    def mark(self, name: str) -> None:
        """Begin the step of a layer, reshard or move."""
        self.finish()
        self._place = name
        if name in self._layers:
            self.steps.append(NotedStep(name, "layer"))
        elif name in self._reshards:
            self.steps.append(NotedStep(self._reshards[name], "reshard"))
        else:
            self.steps.append(NotedStep(self._moves[name], "move"))

    def watch(self, _layer: Any, output: Any) -> None:
        """Note what the layer of this step left."""
        self.steps[-1] = replace(self.steps[-1], output=self.lines.text(output))

    def finish(self) -> None:
        """End the step that there is."""
        found = tuple(self.lines.cut())
        if self.steps:
            self.steps[-1] = replace(self.steps[-1], lines=found)

    def _special(self, value: Any) -> str | None:
        import torch  # noqa: PLC0415

        if not isinstance(value, torch.Tensor):
            return self._memory_argument(value)
        names = (f"{self._place}.{kind}" for kind in ("weight", "bias", *map(str, range(2, 99))))
        name = next(name for name in names if name not in self.weights)
        self.weights[name] = value.detach().clone().contiguous()
        self._kept.append(value)  # or another tensor might be taken for it
        text = f'weights["{name}"]'
        self.lines.name(value, text)
        return text


def _recorded(board: Board, network: Network, schedule: Schedule) -> tuple[RecordedModel, bytes]:
    with open_local_device(board) as local:
        import torch  # noqa: PLC0415

        from autosched.device.ttnn.calls import Context  # noqa: PLC0415
        from autosched.device.ttnn.runner import Runner, read_back  # noqa: PLC0415
        from autosched.reproduction.calls import TorchNotes, noting_ttnn  # noqa: PLC0415

        recording = _Recording(network, schedule)
        lines = recording.lines
        lines.name(local.device, "device")
        context = Context(local.device, board, network)
        runner = Runner(network, schedule, local.device, board, context)
        images = [torch.zeros(layer.shape) for layer in network if isinstance(layer.op, Input)]
        _name_all(lines, images, "images")
        with noting_ttnn(lines):
            with TorchNotes(lines):
                inputs = runner.upload(images)
            on_device, upload = _texts(lines, inputs), lines.cut()
            _name_all(lines, inputs, "inputs")
            runner.forward(list(inputs), recording.mark, None, recording.watch)
            recording.finish()
            first = [line for step in recording.steps for line in step.lines]
            recording.steps = []
            outputs = runner.forward(list(inputs), recording.mark, None, recording.watch)
            recording.finish()
            returned = _texts(lines, outputs)
            _name_all(lines, outputs, "outputs")
            ends = [layer for layer in network if isinstance(layer.op, Output)]
            with TorchNotes(lines):
                results = [
                    read_back(layer, output).reshape(network.caller_shape(layer))
                    for layer, output in zip(ends, outputs, strict=True)
                ]
        recorded = RecordedModel(
            input_shapes=tuple(tuple(image.shape) for image in images),
            upload=tuple(upload),
            uploaded=on_device,
            first=tuple(first),
            steps=tuple(recording.steps),
            returned=returned,
            read=tuple(lines.cut()),
            seen=_texts(lines, results),
        )
        used, buffer = recorded.parameters(), io.BytesIO()
        torch.save({key: value for key, value in recording.weights.items() if key in used}, buffer)
        return recorded, buffer.getvalue()


def _name_all(lines: NotedLines, values: Sequence[Any], name: str) -> None:
    for number, value in enumerate(values):
        lines.name(value, f"{name}[{number}]")


def _texts(lines: NotedLines, values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(lines.text(value) for value in values)


def _is_same(before: Any, after: Any) -> bool:
    """Return whether two tensors are one: in the same place, of the same shape and form."""
    if type(before) is not type(after):
        return False
    if hasattr(after, "data_ptr"):
        same = (before.shape, before.stride(), before.dtype) == (
            after.shape,
            after.stride(),
            after.dtype,
        )
        return bool(same and before.data_ptr() == after.data_ptr())
    return bool(
        before.is_allocated()
        and before.buffer_address() == after.buffer_address()
        and before.spec == after.spec
    )


if __name__ == "__main__":
    answer = _recorded(*pickle.load(sys.stdin.buffer))  # noqa: S301 - from the parent
    Path(sys.argv[1]).write_bytes(pickle.dumps(answer))
