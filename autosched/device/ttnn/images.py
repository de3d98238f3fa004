"""The ttnn calls of layers that enlarge images, or put them beside and cut them from each other.

ttnn enlarges and pads images as (N, H, W, C) in rows rather than tiles.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import ttnn

from autosched.device.ttnn.calls import Call, Tensor, flattened, remembered, reshard, rows_in_dram
from autosched.device.ttnn.ttnn_types import layout_of, memory_config
from autosched.network.left_layouts import joins_tiles
from autosched.network.operators import (
    Concat,
    ConcatRows,
    Crop,
    Gather,
    Pad,
    PixelShuffle,
    Slice,
    Upsample,
)
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.tensors import TILE, PageLayout, TensorLayout

PIXEL_SHUFFLE_ORDER = (0, 3, 1, 4, 2)
"""From (N * H, W, C, factor, factor) to (N * H, factor, W, factor, C)."""


def _run_concat(call: Call) -> Tensor:
    """Concatenate channels; interleaved inputs are first brought into one format and page."""
    target = call.config_of(FixedConfig).output
    tensors = list(call.inputs) if target.is_sharded else _in_one_form(call.inputs, target)
    return ttnn.concat(tensors, dim=-1, memory_config=memory_config(target))


def _run_concat_rows(call: Call) -> Tensor:
    target = call.config_of(FixedConfig).output
    tensors, (batch, channels, *_) = _in_one_form(call.inputs, target), call.layer.shape
    memory, rows = memory_config(target), math.prod(call.layer.shape[2:])
    shapes = call.context.network.input_shapes(call.layer)
    if target.page is PageLayout.TILE and joins_tiles(shapes):
        # What fills up the last tiles comes last in the whole, too.
        padded = tensors[-1].padded_shape
        tensors[-1] = ttnn.reshape(tensors[-1], (1, 1, padded[2], channels), padded)
        whole = ttnn.concat(tensors, dim=2, memory_config=memory)
        return ttnn.reshape(whole, (1, 1, rows, channels), whole.padded_shape)
    if batch > 1:
        tensors = [ttnn.reshape(item, (1, batch, -1, channels)) for item in tensors]
    return flattened(ttnn.concat(tensors, dim=2, memory_config=memory))


def _in_one_form(tensors: Sequence[Tensor], target: TensorLayout) -> list[Tensor]:
    return [item if _has_form(item, target) else reshard(item, target) for item in tensors]


def _has_form(tensor: Tensor, target: TensorLayout) -> bool:
    layout = layout_of(tensor)
    form = (layout.dtype, layout.page, layout.is_sharded)
    return form == (target.dtype, target.page, target.is_sharded)


def _run_slice(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    op = call.op(Slice)
    return ttnn.slice(tensor, [0, 0, 0, op.start], [1, 1, tensor.shape[2], op.stop])


def _run_crop(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    op, (batch, channels, *_) = call.op(Crop), call.input_shape
    (top, bottom, row_step), (left, right, column_step) = op.rows, op.columns
    image = _image(rows_in_dram(call.inputs[0]), call.input_shape)
    part = ttnn.slice(
        image,
        [0, top, left, 0],
        [batch, bottom, right, channels],
        [1, row_step, column_step, 1],
    )
    return ttnn.to_layout(flattened(part), ttnn.TILE_LAYOUT)


def _run_pad(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    padding = call.op(Pad).padding
    batch, channels, height, width = call.input_shape
    image = _image(rows_in_dram(call.inputs[0]), call.input_shape)
    top, bottom, left, right = (max(0, -sides) for sides in padding)
    if any((top, bottom, left, right)):
        image = ttnn.slice(
            image, [0, top, left, 0], [batch, height - bottom, width - right, channels]
        )
    top, bottom, left, right = (max(0, sides) for sides in padding)
    if any((top, bottom, left, right)):
        image = ttnn.pad(image, [(0, 0), (top, bottom), (left, right), (0, 0)], 0.0)
    return flattened(image)


def _run_gather(call: Call) -> Tensor:
    """Look each pixel up as ttnn looks up embeddings: by its number in a table of rows."""
    call.config_of(FixedConfig)
    numbers = remembered(call, (call.layer.name,), lambda: (_numbers_of_pixels(call), None))[0]
    batch, channels, height, width = call.input_shape
    table = ttnn.reshape(rows_in_dram(call.inputs[0]), (1, 1, batch * height * width, channels))
    return flattened(ttnn.embedding(numbers, table, layout=ttnn.ROW_MAJOR_LAYOUT))


def _numbers_of_pixels(call: Call) -> Tensor:
    op, (batch, _, height, width) = call.op(Gather), call.input_shape
    rows, columns = torch.tensor(op.rows), torch.tensor(op.columns)
    images = torch.arange(batch) * height * width
    numbers = images[:, None, None] + rows[:, None] * width + columns
    return ttnn.from_torch(
        numbers.reshape(1, -1).to(torch.int32),
        dtype=ttnn.uint32,
        layout=ttnn.ROW_MAJOR_LAYOUT,
        device=call.context.device,
        memory_config=ttnn.DRAM_MEMORY_CONFIG,
    )


def _run_pixel_shuffle(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    factor = call.op(PixelShuffle).factor
    batch, channels, height, width = call.input_shape
    tensor = rows_in_dram(call.inputs[0])
    parts = (batch * height, width, channels // factor**2, factor, factor)
    return flattened(ttnn.permute(ttnn.reshape(tensor, parts), PIXEL_SHUFFLE_ORDER))


def _run_upsample(call: Call) -> Tensor:
    """Enlarge in the input's shards or in DRAM, where the output is to be."""
    config = call.config_of(FixedConfig)
    op = call.op(Upsample)
    tensor = call.inputs[0]
    if op.mode == "bilinear" and call.input_shape[1] % TILE:
        output = _bilinear_of_whole_tiles(tensor, call.input_shape, op)
    else:
        image = _rows_image(tensor, call.input_shape, op)
        output = ttnn.upsample(image, list(op.scale), mode=op.mode)
    if not config.output.is_sharded and layout_of(output).is_sharded:
        output = ttnn.to_memory_config(output, ttnn.DRAM_MEMORY_CONFIG)
    return flattened(output)


def _bilinear_of_whole_tiles(tensor: Tensor, shape: Sequence[int], op: Upsample) -> Tensor:
    """Interpolate with channels of zeros added, since ttnn takes multiples of 32 only."""
    batch, channels, height, width = shape
    image = _image(rows_in_dram(tensor), shape)
    image = ttnn.pad(image, [(0, 0), (0, 0), (0, 0), (0, -channels % TILE)], 0.0)
    output = ttnn.upsample(image, list(op.scale), mode=op.mode)
    output = ttnn.to_memory_config(output, ttnn.DRAM_MEMORY_CONFIG)
    end = [batch, height * op.scale[0], width * op.scale[1], channels]
    return ttnn.slice(output, [0, 0, 0, 0], end)


def _rows_image(tensor: Tensor, shape: Sequence[int], op: Upsample) -> Tensor:
    """Return (N, H, W, C) in rows, in the tensor's own memory.

    Nearest neighbours of interleaved tiles whose edges are those of image rows need no conversion.
    """
    layout = layout_of(tensor)
    aligned = not layout.is_sharded and not shape[3] % TILE and not shape[1] % TILE
    if layout.page is PageLayout.TILE and not (aligned and op.mode == "nearest"):
        tensor = ttnn.to_layout(tensor, ttnn.ROW_MAJOR_LAYOUT)
    return _image(tensor, shape)


def _image(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    batch, channels, height, width = shape
    return ttnn.reshape(tensor, (batch, height, width, channels))


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Concat: _run_concat,
    ConcatRows: _run_concat_rows,
    Slice: _run_slice,
    Crop: _run_crop,
    Pad: _run_pad,
    Gather: _run_gather,
    PixelShuffle: _run_pixel_shuffle,
    Upsample: _run_upsample,
}
