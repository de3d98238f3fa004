"""The ttnn calls of layers that give elements another shape or order.

On the device an image's pixels are rows of channels, so that orders which differ in PyTorch can be
the same there; then nothing runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import ttnn

from autosched.device.ttnn.calls import Call, Tensor, rows_in_dram, to_nchw
from autosched.device.ttnn.ttnn_types import layout_of
from autosched.network.left_layouts import (
    device_permutation,
    is_image,
    keeps_rows,
    rows_and_columns,
)
from autosched.network.operators import Permute, Reshape
from autosched.schedule.configurations import FixedConfig
from autosched.schedule.tensors import TILE, PageLayout

_CHANNELS_LAST = (0, 2, 3, 1)
# ttnn 0.81.1 holds four rows of a reshape at a time in a core's L1, two bytes an element.
_LONGEST_ROW = 1 << 17


def _run_reshape(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    source, target = call.input_shape, call.layer.shape
    if keeps_rows(source, target):
        return _as_rows(tensor, target)
    if is_image(source) and rows_and_columns(target)[1] == math.prod(source[2:]):
        batch, channels, *sides = source
        return _as_rows(_exchanged(tensor, (batch, math.prod(sides), channels)), target)
    if is_image(target) and rows_and_columns(source)[1] == math.prod(target[2:]):
        batch, channels, *sides = target
        return _as_rows(_exchanged(tensor, (batch, channels, math.prod(sides))), target)
    if is_image(source) and source[2:] != (1, 1):
        # PyTorch flattens channels first, so pixels and channels have to change places.
        tensor = to_nchw(tensor, source)
    if is_image(target) and target[2:] != (1, 1):
        tensor = ttnn.permute(_reshaped(tensor, target), _CHANNELS_LAST)
    return _as_rows(tensor, target)


def _run_permute(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    op, target = call.op(Permute), call.layer.shape
    sizes, order = device_permutation(call.input_shape, op, target)
    if len(order) > 1 and list(order) == [*range(len(order) - 2), len(order) - 1, len(order) - 2]:
        tensor = _exchanged(tensor, sizes)
    elif list(order) != sorted(order):
        tensor = ttnn.permute(_reshaped(tensor, sizes), order)
    return _as_rows(tensor, target)


def _exchanged(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return a tensor read as ``sizes`` with the last two exchanged: of tiles whole ones."""
    apart = (1, math.prod(sizes[:-2]), *sizes[-2:])
    whole = apart[1] == 1 or apart[2] % TILE == 0
    if layout_of(tensor).page is PageLayout.TILE and whole and tensor.shape[-1] == apart[3]:
        if layout_of(tensor).is_sharded:
            tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
        return ttnn.transpose(ttnn.reshape(tensor, apart), 2, 3)
    return ttnn.permute(ttnn.reshape(rows_in_dram(tensor), apart), (0, 1, 3, 2))


def _as_rows(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return tiles of (1, 1, pixels, channels), untouched where they are that already."""
    rows, columns = rows_and_columns(shape)
    if tuple(tensor.shape) == (1, 1, rows, columns):
        return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)
    target = (1, 1, rows, columns)
    if tensor.shape[-1] == columns and tensor.shape[-2] % TILE == 0:
        return ttnn.to_layout(ttnn.reshape(tensor, target), ttnn.TILE_LAYOUT)
    return ttnn.to_layout(_reshaped(tensor, target), ttnn.TILE_LAYOUT)


def _reshaped(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor of another shape in DRAM: rows, or tiles where a row has no room in L1."""
    if max(tensor.shape[-1], shape[-1]) <= _LONGEST_ROW:
        return ttnn.reshape(rows_in_dram(tensor), shape)
    if layout_of(tensor).is_sharded:
        tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
    tensor = ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)
    if tensor.dtype != ttnn.bfloat16:
        tensor = ttnn.typecast(tensor, ttnn.bfloat16)
    tensor = ttnn.reshape(tensor, shape)
    # Whatever lay in memory is in the rest of a tile, and a product would add it.
    return ttnn.fill_implicit_tile_padding(tensor, 0.0)


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Permute: _run_permute,
    Reshape: _run_reshape,
}
