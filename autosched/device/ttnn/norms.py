"""The ttnn calls of norms and softmax."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import ttnn
from ttnn.operations.normalization import dram_group_norm_virtual_columns

from autosched.device.rejections import RefusedError
from autosched.device.ttnn.calls import (
    Call,
    Tensor,
    fixed_compute,
    flattened,
    remembered,
    reshaped,
    rows_in_dram,
    track,
)
from autosched.device.ttnn.graph_capture import STATED_PREFIX
from autosched.device.ttnn.ttnn_types import compute_config, layout_of
from autosched.network.legal_values import COMPOSED
from autosched.network.operators import GroupNorm, LayerNorm, PlainGroupNorm, Softmax
from autosched.schedule.configurations import ComputeConfig, Fidelity, FixedConfig
from autosched.schedule.tensors import TILE, DataType, ShardLayout

# What group norm holds of each tile at once takes 15 KB in the worst case, of 1.4 MB.
_TILES_AT_ONCE = 80
_SHARES = ComputeConfig(Fidelity.HIFI4, math_approx_mode=False)
_SUMS = replace(_SHARES, fp32_dest_acc_en=True)


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
    """Normalise where the input is: ttnn's own norm, or composed of means and products."""
    (tensor,) = call.inputs
    if layout_of(tensor).dtype is not DataType.BFLOAT16:
        tensor = ttnn.typecast(tensor, ttnn.bfloat16)
    if call.config_of(FixedConfig).method == COMPOSED:
        return _composed_group_norm(call, tensor)
    if layout_of(tensor).is_sharded:
        return _group_norm_of_shards(call, tensor)
    return _group_norm_in_dram(call, tensor)


def _composed_group_norm(call: Call, tensor: Tensor) -> Tensor:
    """Normalise by two means over the pixels, which a product with ones shares out in groups.

    Means are summed up in float32, and the input's deviations are squared: the mean of squares less
    the square of the mean would be the difference of two large numbers.
    """
    batch, channels, height, width = call.input_shape
    op, place = call.op(GroupNorm), tensor.memory_config()
    if batch > 1:
        tensor = ttnn.reshape(tensor, (batch, 1, height * width, channels))
    shares = None
    if op.groups != channels:
        shares, _ = remembered(
            call, (call.layer.name, "shares"), lambda: (_shares(call, channels, op.groups), None)
        )
    deviations = ttnn.subtract(tensor, _means(call, tensor, shares), memory_config=place)
    squares = ttnn.square(deviations, memory_config=place)
    variance = _means(call, squares, shares)
    ttnn.deallocate(squares)
    factor = ttnn.rsqrt(ttnn.add(variance, op.eps))
    if isinstance(op, PlainGroupNorm):
        output = ttnn.multiply(deviations, factor, memory_config=place)
        ttnn.deallocate(deviations)
        return flattened(output)
    scale, shift = remembered(call, (call.layer.name, "rows"), lambda: _rows_of_tiles(call))
    scaled = ttnn.multiply(deviations, ttnn.multiply(factor, scale), memory_config=place)
    ttnn.deallocate(deviations)
    output = ttnn.add(scaled, shift, memory_config=place)
    ttnn.deallocate(scaled)
    return flattened(output)


def _means(call: Call, tensor: Tensor, shares: Tensor | None) -> Tensor:
    """Return the mean over pixels (B, 1, 1, channels), of all channels of a group the same."""
    batch, channels, height, width = call.input_shape
    board, parts = call.context.board, 1
    if layout_of(tensor).sharding is not ShardLayout.WIDTH:
        parts = _parts_of_an_image(
            height * width // TILE, batch * -(-channels // TILE), board.cores
        )
    sums = {
        "keepdim": True,
        "memory_config": ttnn.L1_MEMORY_CONFIG,
        "compute_kernel_config": compute_config(_SUMS, board),
    }
    if parts > 1:
        tensor = ttnn.reshape(tensor, (batch, parts, height * width // parts, channels))
    means = ttnn.mean(tensor, dim=2, **sums)
    if parts > 1:
        means = ttnn.mean(means, dim=1, **sums)
    if shares is None:
        return means
    return ttnn.matmul(
        means,
        shares,
        memory_config=ttnn.L1_MEMORY_CONFIG,
        compute_kernel_config=compute_config(_SHARES, board),
    )


def _parts_of_an_image(tiles: int, columns: int, cores: int) -> int:
    """Return into how many parts an image's rows of tiles are cut for a mean.

    A core takes a column of tiles of one part. While more than half of the cores would be left,
    ttnn 0.81.1 cuts rows by itself and keeps sums in float32 in between, which Wormhole's engine
    does not read again; neither does it in a product.
    """
    enough = (n for n in range(1, tiles) if tiles % n == 0 and 2 * n * columns > cores)
    return next(enough, tiles)


def _shares(call: Call, channels: int, groups: int) -> Tensor:
    size = channels // groups
    of_group = torch.full((size, size), 1 / size)
    in_groups = torch.kron(torch.eye(groups), of_group)
    return ttnn.from_torch(
        in_groups[None, None],
        dtype=ttnn.bfloat16,
        layout=ttnn.TILE_LAYOUT,
        device=call.context.device,
        memory_config=ttnn.DRAM_MEMORY_CONFIG,
    )


def _group_norm_of_shards(call: Call, tensor: Tensor) -> Tensor:
    """Normalise block or height shards, whose cores have whole groups each."""
    batch, channels, height, width = call.input_shape
    lies, groups = layout_of(tensor), call.op(GroupNorm).groups
    assert lies.shard_shape is not None  # noqa: S101 - it is sharded
    columns = channels // lies.shard_shape[1]
    if channels % lies.shard_shape[1] or groups % columns or channels % TILE:
        raise RefusedError("group norm takes shards of whole tiles and groups of channels")
    if len(lies.grid) != 1:
        raise RefusedError("group norm takes shards on a rectangle of cores")
    weight, bias = remembered(
        call, (call.layer.name, str(columns)), lambda: _by_columns(call, channels, columns)
    )
    mask, _ = remembered(
        call,
        (call.layer.name, "mask", str(columns)),
        lambda: (_group_mask(call.context.device, channels, groups, columns), None),
    )
    part = lies.grid[0]
    shape = tuple(tensor.shape)
    output = ttnn.group_norm(
        ttnn.reshape(tensor, (batch, 1, height * width, channels)) if batch > 1 else tensor,
        num_groups=groups,
        epsilon=call.op(GroupNorm).eps,
        input_mask=mask,
        weight=weight,
        bias=bias,
        memory_config=tensor.memory_config(),
        output_layout=ttnn.TILE_LAYOUT,
        core_grid=ttnn.CoreGrid(y=part.y1 + 1, x=part.x1 + 1),
        inplace=False,
    )
    return ttnn.reshape(output, shape) if batch > 1 else output


def _group_norm_in_dram(call: Call, tensor: Tensor) -> Tensor:
    """Normalise in DRAM, on the grid that ttnn finds for the number of channels and groups.

    It takes multiples of 32 channels: groups of zeros are added, which change no other group.
    """
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
    track(f"{STATED_PREFIX}columns={columns}")
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
    PlainGroupNorm: _run_group_norm,
}
