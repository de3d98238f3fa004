"""The ttnn calls of layers that give elements another shape or order.

On the device an image's pixels are rows of channels, so that orders which differ in PyTorch can be
the same there; then nothing runs.
"""

from collections.abc import Callable, Mapping, Sequence

import ttnn

from autosched.device.ttnn.calls import Call, Tensor, rows_in_dram, to_nchw
from autosched.network.left_layouts import device_permutation, is_image, rows_and_columns
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


CALLS: Mapping[type, Callable[[Call], Tensor]] = {
    Permute: _run_permute,
    Reshape: _run_reshape,
}
