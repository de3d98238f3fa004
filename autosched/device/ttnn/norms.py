"""The ttnn calls of norms and softmax."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import ttnn
from ttnn.operations.normalization import dram_group_norm_virtual_columns

from autosched.device.rejections import RefusedError
from autosched.device.ttnn.calls import Call, Tensor, remembered, reshaped
from autosched.device.ttnn.ttnn_types import layout_of
from autosched.network.operators import GroupNorm, LayerNorm, Softmax
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.tensors import TILE, DataType


def _run_softmax(call: Call) -> Tensor:
    """Channels of images and features of vectors alike are the device's last dimension."""
    call.config_of(FixedConfig)
    if call.op(Softmax).dim != 1:
        raise RefusedError("softmax runs along channels or features only")
    return ttnn.softmax(call.inputs[0], dim=-1)


def _run_layer_norm(call: Call) -> Tensor:
    """Normalise in the input's layout; ttnn takes interleaved tensors, block and width shards."""
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    weight, bias = remembered(call, (call.layer.name,), lambda: _rows_of_tiles(call))
    return ttnn.layer_norm(
        tensor,
        epsilon=call.op(LayerNorm).eps,
        weight=weight,
        bias=bias,
        memory_config=tensor.memory_config(),
    )


def _rows_of_tiles(call: Call) -> tuple[Tensor, Tensor]:
    weights = call.context.weights(call.layer)
    assert weights.bias is not None  # noqa: S101 - norms have both

    def upload(values: torch.Tensor) -> Tensor:
        return ttnn.from_torch(
            values.reshape(1, 1, 1, -1),
            dtype=ttnn.bfloat16,
            layout=ttnn.TILE_LAYOUT,
            device=call.context.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )

    return upload(weights.weight), upload(weights.bias)


def _run_group_norm(call: Call) -> Tensor:
    """Normalise in DRAM, on the grid that ttnn finds for the number of channels and groups."""
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    op, (batch, channels, height, width) = call.op(GroupNorm), call.input_shape
    if channels % TILE:
        raise RefusedError(f"group norm takes multiples of {TILE} channels, not {channels}")
    device = call.context.device
    grid = ttnn.determine_expected_group_norm_dram_grid_size(
        device=device,
        num_channels=channels,
        num_groups=op.groups,
        input_nhw=batch * height * width,
        num_batches=batch,
    )
    columns = dram_group_norm_virtual_columns(grid, channels, op.groups)
    weight, bias = remembered(call, (call.layer.name,), lambda: _by_columns(call, columns))
    mask, _ = remembered(
        call,
        (call.layer.name, "mask"),
        lambda: (_group_mask(device, channels, op.groups, columns), None),
    )
    if layout_of(tensor).dtype is DataType.BFLOAT8_B:
        tensor = ttnn.typecast(tensor, ttnn.bfloat16)
    output = ttnn.group_norm(
        reshaped(tensor, (batch, 1, height * width, channels)),
        num_groups=op.groups,
        epsilon=op.eps,
        input_mask=mask,
        weight=weight,
        bias=bias,
        output_layout=ttnn.TILE_LAYOUT,
        core_grid=grid,
        inplace=False,
    )
    return reshaped(output, (1, 1, batch * height * width, channels))


def _by_columns(call: Call, columns: int) -> tuple[Tensor, Tensor]:
    """Return scale and shift as group norm takes them, one chunk for each column of cores."""
    weights = call.context.weights(call.layer)
    assert weights.bias is not None  # noqa: S101 - norms have both

    def upload(values: torch.Tensor) -> Tensor:
        rows = ttnn.create_group_norm_weight_bias_rm(values, len(values), columns)
        # Converted here rather than on the device, where it would be an op of the first run.
        return ttnn.from_torch(rows.to(torch.bfloat16), device=call.context.device)

    return upload(weights.weight), upload(weights.bias)


def _group_mask(device: Any, channels: int, groups: int, columns: int) -> Tensor:
    mask = ttnn.create_group_norm_input_mask(channels, groups, columns, ttnn.bfloat16)
    return ttnn.to_device(mask, device)


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Softmax: _run_softmax,
    LayerNorm: _run_layer_norm,
    GroupNorm: _run_group_norm,
}
