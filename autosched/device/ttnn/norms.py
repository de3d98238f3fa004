"""The ttnn calls of norms and softmax."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import ttnn
from ttnn.operations.normalization import dram_group_norm_virtual_columns

from autosched.device.rejections import RefusedError
from autosched.device.ttnn.calls import (
    Call,
    Tensor,
    fixed_compute,
    remembered,
    reshaped,
    rows_in_dram,
)
from autosched.device.ttnn.ttnn_types import layout_of
from autosched.network.operators import GroupNorm, LayerNorm, Softmax
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.tensors import TILE, DataType

# What group norm holds of each tile at once takes 15 KB in the worst case, of 1.4 MB.
_TILES_AT_ONCE = 80


def _run_softmax(call: Call) -> Tensor:
    """Channels of images and features of vectors alike are the device's last dimension."""
    if call.op(Softmax).dim != 1:
        raise RefusedError("softmax runs along channels or features only")
    return ttnn.softmax(call.inputs[0], dim=-1, compute_kernel_config=fixed_compute(call))


def _run_layer_norm(call: Call) -> Tensor:
    """Normalise in the input's layout; ttnn takes interleaved tensors, block and width shards."""
    (tensor,) = call.inputs
    weight, bias = remembered(call, (call.layer.name,), lambda: _rows_of_tiles(call))
    return ttnn.layer_norm(
        tensor,
        epsilon=call.op(LayerNorm).eps,
        weight=weight,
        bias=bias,
        memory_config=tensor.memory_config(),
        compute_kernel_config=fixed_compute(call),
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
    """Normalise in DRAM, on the grid that ttnn finds for the number of channels and groups.

    It takes multiples of 32 channels: groups of zeros are added, which change no other group.
    """
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    batch, channels, height, width = call.input_shape
    device, pixels = call.context.device, height * width
    whole, groups = whole_groups(channels, call.op(GroupNorm).groups)
    grid = ttnn.determine_expected_group_norm_dram_grid_size(
        device=device,
        num_channels=whole,
        num_groups=groups,
        # The rows of an image end with a tile.
        input_nhw=batch * -(-pixels // TILE) * TILE,
        num_batches=batch,
    )
    columns = dram_group_norm_virtual_columns(grid, whole, groups)
    weight, bias = remembered(call, (call.layer.name,), lambda: _by_columns(call, whole, columns))
    mask, _ = remembered(
        call,
        (call.layer.name, "mask"),
        lambda: (_group_mask(device, whole, groups, columns), None),
    )
    if whole > channels:
        tensor = ttnn.pad(rows_in_dram(tensor), [*[(0, 0)] * 3, (0, whole - channels)], 0.0)
    elif layout_of(tensor).dtype is DataType.BFLOAT8_B:
        tensor = ttnn.typecast(tensor, ttnn.bfloat16)
    output = ttnn.group_norm(
        reshaped(tensor, (batch, 1, pixels, whole)),
        num_groups=groups,
        epsilon=call.op(GroupNorm).eps,
        input_mask=mask,
        weight=weight,
        bias=bias,
        output_layout=ttnn.TILE_LAYOUT,
        core_grid=grid,
        inplace=False,
        num_out_blocks=_parts(batch, pixels, whole // columns, grid.y * (grid.x // columns)),
    )
    if whole > channels:
        output = ttnn.slice(output, [0, 0, 0, 0], [batch, 1, pixels, channels])
    return reshaped(output, (1, 1, batch * pixels, channels))


def whole_groups(channels: int, groups: int) -> tuple[int, int]:
    """Return the channels and groups, of the same size, that fill up tiles."""
    size = channels // groups
    whole = -(-channels // math.lcm(size, TILE)) * math.lcm(size, TILE)
    return whole, whole // size


def _parts(batch: int, pixels: int, channels: int, rows_of_cores: int) -> int:
    """Return in how many parts each core takes its rows, so that they fit into L1.

    A core has the rows of an image, or what several cores share of it, and ``channels`` of them.
    """
    tiles = -(-pixels // TILE)
    per_core = tiles if batch >= rows_of_cores else -(-batch * tiles // rows_of_cores)
    return -(-per_core // max(1, _TILES_AT_ONCE // -(-channels // TILE)))


def _by_columns(call: Call, whole: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return scale and shift as group norm takes them, one chunk for each column of cores."""
    weights = call.context.weights(call.layer)
    assert weights.bias is not None  # noqa: S101 - norms have both

    def upload(values: torch.Tensor) -> Tensor:
        values = torch.nn.functional.pad(values, (0, whole - len(values)))
        rows = ttnn.create_group_norm_weight_bias_rm(values, whole, columns)
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
