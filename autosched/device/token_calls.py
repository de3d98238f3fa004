"""The ttnn calls of norms, products of two tensors, and attention over pixels."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import ttnn
from ttnn.operations.normalization import dram_group_norm_virtual_columns

from autosched.device.layer_calls import Call, Tensor, rows_in_dram
from autosched.device.ttnn_types import layout_of
from autosched.network.graph import Attention, GroupNorm, LayerNorm, Matmul
from autosched.schedule import DataType, FixedConfig

_TILE = 32
_HEADS_FIRST = (0, 2, 1, 3)


def _run_layer_norm(call: Call) -> Tensor:
    """Normalise in the input's layout; ttnn takes interleaved tensors, block and width shards."""
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    weight, bias = _remembered(call, (call.layer.name,), lambda: _rows_of_tiles(call))
    return ttnn.layer_norm(
        tensor,
        epsilon=call.op(LayerNorm).eps,
        weight=weight,
        bias=bias,
        memory_config=tensor.memory_config(),
    )


def _rows_of_tiles(call: Call) -> tuple[Tensor, Tensor]:
    weights = call.lowering.weights(call.layer)
    assert weights.bias is not None  # noqa: S101 - norms have both

    def upload(values: torch.Tensor) -> Tensor:
        return ttnn.from_torch(
            values.reshape(1, 1, 1, -1),
            dtype=ttnn.bfloat16,
            layout=ttnn.TILE_LAYOUT,
            device=call.lowering.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )

    return upload(weights.weight), upload(weights.bias)


def _run_group_norm(call: Call) -> Tensor:
    """Normalise in DRAM, on the grid that ttnn finds for the number of channels and groups."""
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    op, (batch, channels, height, width) = call.op(GroupNorm), call.input_shape
    if channels % _TILE:
        raise RuntimeError(f"group norm takes multiples of {_TILE} channels, not {channels}")
    device = call.lowering.device
    grid = ttnn.determine_expected_group_norm_dram_grid_size(
        device=device,
        num_channels=channels,
        num_groups=op.groups,
        input_nhw=batch * height * width,
        num_batches=batch,
    )
    columns = dram_group_norm_virtual_columns(grid, channels, op.groups)
    weight, bias = _remembered(call, (call.layer.name,), lambda: _by_columns(call, columns))
    mask, _ = _remembered(
        call,
        (call.layer.name, "mask"),
        lambda: (_group_mask(device, channels, op.groups, columns), None),
    )
    if layout_of(tensor).dtype is DataType.BFLOAT8_B:
        tensor = ttnn.typecast(tensor, ttnn.bfloat16)
    output = ttnn.group_norm(
        _reshaped(tensor, (batch, 1, height * width, channels)),
        num_groups=op.groups,
        epsilon=op.eps,
        input_mask=mask,
        weight=weight,
        bias=bias,
        output_layout=ttnn.TILE_LAYOUT,
        core_grid=grid,
        inplace=False,
    )
    return _reshaped(output, (1, 1, batch * height * width, channels))


def _by_columns(call: Call, columns: int) -> tuple[Tensor, Tensor]:
    """Return scale and shift as group norm takes them, one chunk for each column of cores."""
    weights = call.lowering.weights(call.layer)
    assert weights.bias is not None  # noqa: S101 - norms have both

    def upload(values: torch.Tensor) -> Tensor:
        rows = ttnn.create_group_norm_weight_bias_rm(values, len(values), columns)
        # Converted here rather than on the device, where it would be an op of the first run.
        return ttnn.from_torch(rows.to(torch.bfloat16), device=call.lowering.device)

    return upload(weights.weight), upload(weights.bias)


def _group_mask(device: Any, channels: int, groups: int, columns: int) -> Tensor:
    mask = ttnn.create_group_norm_input_mask(channels, groups, columns, ttnn.bfloat16)
    return ttnn.to_device(mask, device)


def _remembered(
    call: Call, key: tuple[str, ...], make: Callable[[], tuple[Tensor, Tensor | None]]
) -> tuple[Tensor, Tensor]:
    found = call.lowering.recall(key)
    if found is None:
        found = make()
        call.lowering.remember(key, found)
    first, second = found
    return first, second


def _run_matmul(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    shapes = [call.lowering.network.by_name[name].shape for name in call.layer.inputs]
    left, right = (
        _reshaped(tensor, (1, *shape)) for tensor, shape in zip(call.inputs, shapes, strict=True)
    )
    output = ttnn.matmul(left, right, transpose_b=call.op(Matmul).transposed)
    batch, rows, columns = call.layer.shape
    return _reshaped(output, (1, 1, batch * rows, columns))


def _run_attention(call: Call) -> Tensor:
    """Multiply, take the softmax, and multiply again: three ops whose times are known.

    The queries are scaled rather than the scores, which are many times as large.
    """
    call.config_of(FixedConfig)
    op = call.op(Attention)
    shapes = [call.lowering.network.by_name[name].shape for name in call.layer.inputs]
    queries, keys, values = (
        _split_heads(tensor, shape, op.heads)
        for tensor, shape in zip(call.inputs[:3], shapes[:3], strict=True)
    )
    scores = ttnn.matmul(ttnn.multiply(queries, op.scale), keys, transpose_b=True)
    for mask, (count, *sides) in zip(call.inputs[3:], shapes[3:], strict=True):
        leading = (1, 1) if count == 1 else tuple(scores.shape)[:2]
        scores = ttnn.add(scores, _reshaped(mask, (*leading, *sides)))
    output = _merge_heads(ttnn.matmul(ttnn.softmax(scores, dim=-1), values))
    channels = call.layer.shape[1]
    return _reshaped(output, (1, 1, math.prod(call.layer.shape) // channels, channels))


def _split_heads(tensor: Tensor, shape: Sequence[int], heads: int) -> Tensor:
    """Return (N, heads, pixels, channels of a head): of whole tiles by cutting channels apart."""
    batch, channels, *sides = shape
    pixels, width = math.prod(sides), channels // heads
    if width % _TILE:
        parts = (batch, pixels, heads, width)
        tensor = ttnn.permute(ttnn.reshape(rows_in_dram(tensor), parts), _HEADS_FIRST)
        return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)
    tensor = _reshaped(tensor, (batch, 1, pixels, channels))
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
    if width % _TILE:
        return ttnn.permute(rows_in_dram(tensor), _HEADS_FIRST)
    return ttnn.experimental.nlp_concat_heads(tensor)


def _reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return tiles of another shape, by way of DRAM where shards are in between."""
    if layout_of(tensor).is_sharded:
        tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
    return ttnn.to_layout(ttnn.reshape(tensor, shape), ttnn.TILE_LAYOUT)


TOKEN_LOWERINGS: Mapping[type, Callable[[Call], Tensor]] = {
    LayerNorm: _run_layer_norm,
    GroupNorm: _run_group_norm,
    Matmul: _run_matmul,
    Attention: _run_attention,
}
