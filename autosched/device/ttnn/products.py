"""The ttnn calls of norms, products of two tensors, and attention over pixels."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import ttnn

from autosched.device.ttnn.calls import (
    Call,
    Tensor,
    fixed_compute,
    fusing,
    reshaped,
    rows_in_dram,
    track,
)
from autosched.device.ttnn.graph_capture import STATED_PREFIX
from autosched.device.ttnn.ttnn_types import DATA_TYPES, compute_config, program_config, unary
from autosched.network.operators import Attention, Linear, Matmul
from autosched.schedule.configurations import MatmulConfig, MatmulProgram
from autosched.schedule.tensors import TILE

_HEADS_FIRST = (0, 2, 1, 3)


def _run_matmul(call: Call) -> Tensor:
    shapes = [call.context.network.by_name[name].shape for name in call.layer.inputs]
    left, right = (
        reshaped(tensor, (1, *shape)) for tensor, shape in zip(call.inputs, shapes, strict=True)
    )
    output = ttnn.matmul(
        left,
        right,
        transpose_b=call.op(Matmul).transposed,
        compute_kernel_config=fixed_compute(call),
    )
    batch, rows, columns = call.layer.shape
    return reshaped(output, (1, 1, batch * rows, columns))


def _run_attention(call: Call) -> Tensor:
    """Multiply, take the softmax, and multiply again: three ops whose times are known.

    The queries are scaled rather than the scores, which are many times as large.
    """
    op = call.op(Attention)
    shapes = [call.context.network.by_name[name].shape for name in call.layer.inputs]
    queries, keys, values = (
        _split_heads(tensor, shape, op.heads)
        for tensor, shape in zip(call.inputs[:3], shapes[:3], strict=True)
    )
    compute = fixed_compute(call)
    scores = ttnn.matmul(
        ttnn.multiply(queries, op.scale), keys, transpose_b=True, compute_kernel_config=compute
    )
    for mask, (count, *sides) in zip(call.inputs[3:], shapes[3:], strict=True):
        leading = (1, 1) if count == 1 else tuple(scores.shape)[:2]
        scores = ttnn.add(scores, reshaped(mask, (*leading, *sides)))
    shares = ttnn.softmax(scores, dim=-1, compute_kernel_config=compute)
    output = _merge_heads(ttnn.matmul(shares, values, compute_kernel_config=compute))
    channels = call.layer.shape[1]
    return reshaped(output, (1, 1, math.prod(call.layer.shape) // channels, channels))


def _split_heads(tensor: Tensor, shape: Sequence[int], heads: int) -> Tensor:
    """Return (N, heads, pixels, channels of a head): of whole tiles by cutting channels apart."""
    batch, channels, *sides = shape
    pixels, width = math.prod(sides), channels // heads
    if width % TILE:
        parts = (batch, pixels, heads, width)
        tensor = ttnn.permute(ttnn.reshape(rows_in_dram(tensor), parts), _HEADS_FIRST)
        return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)
    tensor = reshaped(tensor, (batch, 1, pixels, channels))
    if heads == 1:
        return tensor
    cuts = [
        ttnn.slice(tensor, [0, 0, 0, start], [batch, 1, pixels, start + width])
        for start in range(0, channels, width)
    ]
    return ttnn.concat(cuts, dim=1)


def _merge_heads(tensor: Tensor) -> Tensor:
    """Return (N, heads, pixels, channels of a head) with all heads' channels in each pixel."""
    _, heads, _, width = tensor.shape
    if heads == 1:
        return tensor
    if width % TILE:
        return ttnn.permute(rows_in_dram(tensor), _HEADS_FIRST)
    return ttnn.experimental.nlp_concat_heads(tensor)


_MATMUL_OUTPUTS = {
    "dram": ttnn.DRAM_MEMORY_CONFIG,
    "l1": ttnn.L1_MEMORY_CONFIG,
    "width": ttnn.L1_WIDTH_SHARDED_MEMORY_CONFIG,
    "height": ttnn.L1_HEIGHT_SHARDED_MEMORY_CONFIG,
    "block": ttnn.L1_BLOCK_SHARDED_MEMORY_CONFIG,
}


def _run_linear(call: Call) -> Tensor:
    config = call.config_of(MatmulConfig)
    (tensor,) = call.inputs
    op = call.op(Linear)
    key = (call.layer.name, config.weights_dtype)
    prepared = call.context.recall(key)
    if prepared is None:
        prepared = _device_weights(call, config)
        call.context.remember(key, prepared)
    weight, bias = prepared
    common = {
        "bias": bias,
        "memory_config": _MATMUL_OUTPUTS[config.output],
        "dtype": DATA_TYPES[config.output_dtype],
        "compute_kernel_config": compute_config(config.compute, call.context.board),
    }
    if config.program is not None:
        # An explicit program is run as it is.
        track(stated_mark(config.program))
        program = program_config(config.program, op.activation)
        with fusing(program.fused_activation):
            return ttnn.linear(tensor, weight, program_config=program, **common)
    grid = None
    if config.core_grid is not None:
        grid = ttnn.CoreGrid(x=config.core_grid[0], y=config.core_grid[1])
    activation = None if op.activation is None else unary(op.activation)
    with fusing(activation):
        return ttnn.linear(tensor, weight, activation=activation, core_grid=grid, **common)


def stated_mark(program: MatmulProgram) -> str:
    """Return the name of the tracked function that says a program in a captured graph."""
    words = {
        "program": program.kind,
        "in0_block_w": program.in0_block_w,
        "out_subblock_h": program.out_subblock_h,
        "out_subblock_w": program.out_subblock_w,
        "per_core_M": program.per_core_m,
        "per_core_N": program.per_core_n,
    }
    return STATED_PREFIX + ";".join(f"{name}={value}" for name, value in words.items())


def _device_weights(call: Call, config: MatmulConfig) -> tuple[Tensor, Tensor | None]:
    weights = call.context.weights(call.layer)

    def upload(values: torch.Tensor) -> Tensor:
        return ttnn.from_torch(
            values,
            dtype=DATA_TYPES[config.weights_dtype],
            layout=ttnn.TILE_LAYOUT,
            device=call.context.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )

    bias = weights.bias
    return (
        upload(weights.weight.T.contiguous()[None, None]),
        None if bias is None else upload(bias.reshape(1, 1, 1, -1)),
    )


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Linear: _run_linear,
    Matmul: _run_matmul,
    Attention: _run_attention,
}
