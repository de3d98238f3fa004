"""The ttnn calls of layers that give elements another shape or order.

On the device an image's pixels are rows of channels, so that orders which differ in PyTorch can be
the same there; then nothing runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import ttnn

from autosched.device.ttnn.calls import Call, Tensor, is_image, rows_in_dram, to_nchw
from autosched.network.operators import Permute, Reshape
from autosched.schedule.configurations import FixedConfig

_CHANNELS_LAST = (0, 2, 3, 1)


def _run_reshape(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    source, target = call.input_shape, call.layer.shape
    if is_image(source) and source[2:] != (1, 1):
        # PyTorch flattens channels first, so pixels and channels have to change places.
        tensor = to_nchw(tensor, source)
    if is_image(target) and target[2:] != (1, 1):
        tensor = ttnn.permute(ttnn.reshape(rows_in_dram(tensor), target), _CHANNELS_LAST)
    return _as_rows(tensor, target)


def _run_permute(call: Call) -> Tensor:
    call.config_of(FixedConfig)
    (tensor,) = call.inputs
    op, target = call.op(Permute), call.layer.shape
    sizes, order = device_permutation(call.input_shape, op, target)
    if list(order) != sorted(order):
        tensor = ttnn.permute(ttnn.reshape(rows_in_dram(tensor), sizes), order)
    return _as_rows(tensor, target)


def _as_rows(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return tiles of (1, 1, pixels, channels), untouched where they are that already."""
    rows, columns = rows_and_columns(shape)
    if tuple(tensor.shape) == (1, 1, rows, columns):
        return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)
    tensor = ttnn.reshape(rows_in_dram(tensor), (1, 1, rows, columns))
    return ttnn.to_layout(tensor, ttnn.TILE_LAYOUT)


def rows_and_columns(shape: Sequence[int]) -> tuple[int, int]:
    """Return how a tensor of PyTorch's ``shape`` lies on the device: pixels by channels."""
    columns = shape[1] if is_image(shape) else shape[-1]
    return math.prod(shape) // columns, columns


def device_permutation(
    source: Sequence[int], op: Permute, target: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return an order of elements as the device sees it: sizes, and the permutation of these.

    Neighbours that stay together are made one.
    """
    before = _device_order(op.sizes, range(len(op.sizes)), source)
    after = _device_order(op.sizes, op.order, target)
    runs: list[list[int]] = []
    for part in after:
        follows = bool(runs) and before.index(part) == before.index(runs[-1][-1]) + 1
        if follows:
            runs[-1].append(part)
        else:
            runs.append([part])
    ordered = sorted(runs, key=lambda run: before.index(run[0]))
    sizes = tuple(math.prod(op.sizes[part] for part in run) for run in ordered)
    return sizes, tuple(ordered.index(run) for run in runs)


def _device_order(sizes: Sequence[int], order: Sequence[int], shape: Sequence[int]) -> list[int]:
    """Return parts, in PyTorch's ``order`` of a tensor of ``shape``, in the device's order."""
    remaining, groups = list(order), []
    for size in shape:
        group: list[int] = []
        while math.prod(sizes[part] for part in group) < size:
            group.append(remaining.pop(0))
        groups.append(group)
    if is_image(shape):
        groups = [groups[axis] for axis in _CHANNELS_LAST]
    return [part for group in groups for part in group]


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Permute: _run_permute,
    Reshape: _run_reshape,
}
