"""The ttnn calls of a network's inputs, outputs and constants."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import ttnn

from autosched.device.ttnn.calls import Call, Tensor, activated, reshaped, to_nchw
from autosched.device.ttnn.ttnn_types import DATA_TYPES, PAGE_LAYOUTS, layout_of, memory_config
from autosched.network.left_layouts import is_image, rows_and_columns
from autosched.network.legal_values import (
    CONVERT_TO_CHW,
    CONVERT_TO_HWC,
    TRANSPOSE_ON_THE_WAY,
    TURNED_TILES,
)
from autosched.network.operators import (
    ActivatedOutput,
    Constant,
    DeviceInput,
    DeviceOutput,
    Input,
    Output,
)
from autosched.network.read_layouts import UPLOADED, uploaded
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.tensors import TILE, Memory, PageLayout, ShardLayout, TensorLayout


def _run_input(call: Call) -> Tensor:
    config = call.config_of(FixedConfig)
    (tensor,) = call.inputs
    if not is_image(call.layer.shape):
        return ttnn.to_layout(tensor, PAGE_LAYOUTS[config.output.page])
    if config.method == CONVERT_TO_HWC:
        return _convert_to_hwc(tensor, config)
    if config.method in TURNED_TILES:
        return _turned_in_shards(tensor, config)
    batch, channels, height, width = call.layer.shape
    tensor = ttnn.permute(tensor, (0, 1, 3, 2))
    return ttnn.reshape(tensor, (1, 1, batch * height * width, channels))


def _convert_to_hwc(tensor: Tensor, config: FixedConfig) -> Tensor:
    """Bring (1, N, C, H*W) into height shards of rows of channels, padded to the alignment.

    The operation takes width shards of as many columns as the output has rows per image. Of one
    image the last core may have fewer, so that several come side by side where they do not divide.
    """
    _, batch, channels, _ = tensor.shape
    target = config.output
    assert target.shard_shape is not None  # noqa: S101 - height shards, or it was refused
    shards = TensorLayout(
        Memory.L1,
        ShardLayout.WIDTH,
        target.dtype,
        PageLayout.ROW_MAJOR,
        target.grid,
        (batch * channels, target.shard_shape[0] // batch),
    )
    tensor = ttnn.to_memory_config(tensor, memory_config(shards))
    return ttnn.experimental.convert_to_hwc(
        tensor, memory_config=memory_config(target), dtype=DATA_TYPES[target.dtype]
    )


def _turned_in_shards(tensor: Tensor, config: FixedConfig) -> Tensor:
    """Bring (1, 1, C, pixels) into height shards of tiles: each core turns its own columns."""
    channels, target = tensor.shape[-2], config.output
    assert target.shard_shape is not None  # noqa: S101 - height shards, or it was refused
    columns = memory_config(
        replace(target, sharding=ShardLayout.WIDTH, shard_shape=(channels, target.shard_shape[0]))
    )
    if config.method != TRANSPOSE_ON_THE_WAY:
        tensor = ttnn.to_memory_config(tensor, columns)
    tiles = ttnn.to_layout(tensor, ttnn.TILE_LAYOUT, memory_config=columns)
    return ttnn.transpose(tiles, -2, -1, memory_config=memory_config(target))


def _run_constant(call: Call) -> Tensor:
    """Put a parameter into DRAM once; it stays there between runs."""
    call.config_of(FixedConfig)
    key, shape = (call.layer.name,), call.layer.shape
    found = call.context.recall(key)
    if found is None:
        values = call.context.weights(call.layer).weight
        if is_image(shape):
            values = values.permute(0, 2, 3, 1)
        columns = values.shape[-1]
        tensor = ttnn.from_torch(
            values.reshape(1, 1, -1, columns).to(torch.bfloat16),
            layout=ttnn.TILE_LAYOUT,
            device=call.context.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )
        found = (tensor, None)
        call.context.remember(key, found)
    return found[0]


def _run_output(call: Call) -> Tensor:
    config = call.config_of(FixedConfig)
    (tensor,) = call.inputs
    op = call.layer.op
    function = op.activation if isinstance(op, ActivatedOutput) else None
    if not is_image(call.layer.shape):
        return tensor
    if config.method == CONVERT_TO_CHW:
        shards = activated(_convert_to_chw(_in_whole_tiles(tensor)), function)
        return ttnn.to_memory_config(shards, memory_config(config.output))
    # Rows of pixels in DRAM are too long for a core; tiles, or rows of channels, are not.
    tensor = activated(tensor, function)
    image = (
        _turned(tensor, call.layer.shape, config)
        if config.method in TURNED_TILES
        else to_nchw(tensor, call.layer.shape)
    )
    if config.output.memory is Memory.L1 or layout_of(image).is_sharded:
        image = ttnn.to_memory_config(image, memory_config(config.output))
    return image


def _convert_to_chw(tensor: Tensor) -> Tensor:
    """Bring height shards of tiles into width shards of rows of pixels.

    ttnn's conversion takes a tile's channels, so that more are cut and joined.
    """
    _, _, rows, channels = tensor.shape
    if channels <= TILE:
        return ttnn.experimental.convert_to_chw(tensor, dtype=ttnn.bfloat16)
    parts = []
    for start in range(0, channels, TILE):
        stop = min(start + TILE, channels)
        part = ttnn.slice(tensor, [0, 0, 0, start], [1, 1, rows, stop])
        parts.append(ttnn.experimental.convert_to_chw(part, dtype=ttnn.bfloat16))
        ttnn.deallocate(part)
    layout = layout_of(parts[0])
    assert layout.shard_shape is not None  # noqa: S101 - the conversion leaves shards
    whole = replace(layout, shard_shape=(channels, layout.shard_shape[1]))
    return ttnn.concat(parts, dim=-2, memory_config=memory_config(whole))


def _turned(tensor: Tensor, shape: Sequence[int], config: FixedConfig) -> Tensor:
    """Return an image in PyTorch's order of elements by turning its tiles.

    Of several images, where tiles do not end with each or each core turns its own, the channels
    come first.
    """
    batch, channels, height, width = shape
    pixels = (1, 1, batch * height * width, channels)
    layout = layout_of(tensor)
    if layout.sharding is ShardLayout.HEIGHT and tuple(tensor.shape) == pixels:
        assert layout.shard_shape is not None  # noqa: S101 - it is sharded
        rows, columns = layout.shard_shape
        beside = replace(layout, sharding=ShardLayout.WIDTH, shard_shape=(columns, rows))
        turned = ttnn.transpose(tensor, -2, -1, memory_config=memory_config(beside))
        on_the_way = config.method == TRANSPOSE_ON_THE_WAY
        memory = memory_config(config.output) if on_the_way else None
        return ttnn.to_layout(turned, ttnn.ROW_MAJOR_LAYOUT, memory_config=memory)
    if batch > 1 and channels > 1 and not height * width % TILE:
        pixels = (batch, 1, height * width, channels)
    turned = ttnn.transpose(reshaped(tensor, pixels), -2, -1)
    return ttnn.to_layout(turned, ttnn.ROW_MAJOR_LAYOUT)


def _in_whole_tiles(tensor: Tensor) -> Tensor:
    """Count the rows that fill up the last tile among a tensor's own: nothing runs for it.

    ttnn's conversion takes whole tiles alone; the host drops what is too much.
    """
    *images, rows, columns = tensor.shape
    if not rows % TILE:
        return tensor
    whole = -(-rows // TILE) * TILE
    padded = tensor.padded_shape[-1]
    return ttnn.reshape(tensor, (*images, whole, columns), (*images, whole, padded))


def channels_first(values: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return an image that was handed back as PyTorch has it, of ``shape`` (N, C, H, W).

    Where all images were turned together, a channel's pixels of one follow those of the other, and
    some may fill up the last tile.
    """
    batch, channels, height, width = shape
    if values.shape[0] == batch and values.numel() == math.prod(shape):
        return values.reshape(batch, channels, height, width)
    rows = values.reshape(channels, -1)[:, : batch * height * width]
    return rows.reshape(channels, batch, height, width).transpose(0, 1).contiguous()


def put_input(device: Any, values: torch.Tensor, op: Input, config: LayerConfig) -> Tensor:
    """Put an input, in PyTorch's order on the host, on the device as its layer takes it."""
    if isinstance(op, DeviceInput):
        return put(device, values.to(torch.bfloat16), uploaded(op, config))
    return _uploaded(device, _upload_order(values.to(torch.bfloat16), config), UPLOADED)


def put(device: Any, values: torch.Tensor, layout: TensorLayout) -> Tensor:
    """Put a tensor in PyTorch's order on the device as another layer would leave it.

    Rows in height shards are as wide as the shard: what fills them up holds zeros.
    """
    rows = in_device_order(values)
    if layout.page is PageLayout.ROW_MAJOR and layout.sharding is ShardLayout.HEIGHT:
        assert layout.shard_shape is not None  # noqa: S101 - it is sharded
        rows = torch.nn.functional.pad(rows, (0, layout.shard_shape[1] - rows.shape[-1]))
    return _uploaded(device, rows, layout)


def in_device_order(values: torch.Tensor) -> torch.Tensor:
    """Return a tensor in PyTorch's order as the (1, 1, rows, channels) between layers."""
    if values.dim() == 4:
        values = values.permute(0, 2, 3, 1)
    return values.reshape(1, 1, -1, values.shape[-1]).contiguous()


def in_torch_order(host: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return what lies on the device as rows of channels in PyTorch's ``shape`` and order.

    What only fills up rows and channels is dropped.
    """
    rows = host.reshape(-1, host.shape[-1])
    if len(shape) != 4:
        return rows[:, : shape[-1]].reshape(tuple(shape))
    batch, channels, height, width = shape
    pixels = rows[: batch * height * width, :channels]
    return pixels.reshape(batch, height, width, channels).permute(0, 3, 1, 2).contiguous()


def _uploaded(device: Any, rows: torch.Tensor, layout: TensorLayout) -> Tensor:
    return ttnn.from_torch(
        rows,
        dtype=DATA_TYPES[layout.dtype],
        layout=PAGE_LAYOUTS[layout.page],
        device=device,
        memory_config=memory_config(layout),
    )


def upload_shape(shape: tuple[int, ...], op: Input, config: LayerConfig) -> tuple[int, ...]:
    """Return the shape in which an input of PyTorch's ``shape`` is put on the device.

    Images keep their order of elements as (1, N, C, H*W) or lie side by side as (1, 1, C, N*H*W),
    vectors are (1, 1, N, features), and so are the pixels of what comes in the device's order.
    ``config`` is that of the input's layer.
    """
    if isinstance(op, DeviceInput) or not is_image(shape):
        rows, columns = rows_and_columns(shape)
        return (1, 1, rows, columns)
    batch, channels, height, width = shape
    if _comes_side_by_side(shape, config):
        return (1, 1, channels, batch * height * width)
    return (1, batch, channels, height * width)


def _comes_side_by_side(shape: tuple[int, ...], config: LayerConfig) -> bool:
    """Return whether several images are converted as one, or turned.

    ttnn's conversion takes one alone, where not each has an equal part on each core.
    """
    if not isinstance(config, FixedConfig) or config.method not in {CONVERT_TO_HWC, *TURNED_TILES}:
        return False
    layout, (batch, _, height, width) = config.output, shape
    if config.method in TURNED_TILES:
        return batch > 1
    if layout.shard_shape is None:  # it is refused when it runs
        return False
    rows = layout.shard_shape[0]
    return batch > 1 and bool(rows * layout.cores != batch * height * width or rows % batch)


def _upload_order(tensor: torch.Tensor, config: LayerConfig) -> torch.Tensor:
    """Return an input of a layer with ``config`` as it is put on the device, on the host yet."""
    shape = tuple(tensor.shape)
    if is_image(shape) and _comes_side_by_side(shape, config):
        tensor = tensor.transpose(0, 1)
    return tensor.reshape(upload_shape(shape, Input(), config))


def _run_in_order(call: Call) -> Tensor:
    """Hand on what the caller has put there, or is handed: where it lies is the schedule's."""
    return call.inputs[0]


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Input: _run_input,
    DeviceInput: _run_in_order,
    DeviceOutput: _run_in_order,
    Constant: _run_constant,
    Output: _run_output,
    ActivatedOutput: _run_output,
}
