"""Layers that run on the host: inputs read back, PyTorch's operators; results go up, or stay."""

import math
from collections.abc import Callable, Mapping

import torch
import ttnn

from autosched.boards import Board
from autosched.device.ttnn.calls import Call, Tensor
from autosched.device.ttnn.graph_capture import transfer_name
from autosched.device.ttnn.ttnn_types import layout_of
from autosched.network.host_ops import run_on_host
from autosched.network.left_layouts import is_image
from autosched.network.operators import HostOp, HostOutput
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.outcomes import HOST_READ, HOST_WRITE
from autosched.schedule.tensors import TensorInfo


def _run_host(call: Call) -> Tensor:
    return _write(_computed(call, torch.float32), call)


def _run_host_output(call: Call) -> torch.Tensor:
    """Return what the caller gets as it is: it was never on the device."""
    return _computed(call, getattr(torch, call.op(HostOutput).dtype))


def _computed(call: Call, dtype: torch.dtype) -> torch.Tensor:
    call.config_of(FixedConfig)
    op, context = call.op(HostOp), call.context
    shapes = [context.network.by_name[name].shape for name in call.layer.inputs]
    sources = [
        _read(tensor, shape, context.board)
        for tensor, shape in zip(call.inputs, shapes, strict=True)
    ]
    # Without the values that a card would have computed, an operator may find no result at all.
    if not context.runs_host_layers:
        return torch.zeros(call.layer.shape, dtype=dtype)
    return run_on_host(op, sources, context.network.weights.get(call.layer.name))


def _read(tensor: Tensor, shape: tuple[int, ...], board: Board) -> torch.Tensor:
    """Return a tensor of PyTorch's ``shape`` in float32, on the host."""
    _note(HOST_READ, tensor, board)
    values: torch.Tensor = ttnn.to_torch(tensor).float()
    columns = shape[1] if is_image(shape) else shape[-1]
    # Channels may have been padded to what the network-on-chip takes at once.
    values = values.reshape(-1, values.shape[-1])[: math.prod(shape) // columns, :columns]
    if not is_image(shape):
        return values.reshape(shape)
    batch, channels, height, width = shape
    return values.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def _write(values: torch.Tensor, call: Call) -> Tensor:
    """Upload a result as tiles of bfloat16, tilized on the host."""
    if is_image(call.layer.shape):
        values = values.permute(0, 2, 3, 1)
    rows = values.reshape(1, 1, -1, values.shape[-1]).to(torch.bfloat16)
    uploaded = ttnn.to_device(
        ttnn.from_torch(rows, layout=ttnn.TILE_LAYOUT),
        call.context.device,
        memory_config=ttnn.DRAM_MEMORY_CONFIG,
    )
    _note(HOST_WRITE, uploaded, call.context.board)
    return uploaded


def _note(code: str, tensor: Tensor, board: Board) -> None:
    """Say in a capture, if there is one, that a tensor was moved."""
    moved = TensorInfo(tuple(int(size) for size in tensor.shape), layout_of(tensor))
    ttnn._ttnn.graph.track_function_start(transfer_name(code, moved, board))
    ttnn._ttnn.graph.track_function_end()


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    HostOp: _run_host,
    HostOutput: _run_host_output,
}
