"""Where ttnn leaves the output of a layer that nobody tells where: what a schedule asks then.

Images travel on the device as pixels by channels, so that orders of elements which differ in
PyTorch can be the same there; then nothing runs, and a tensor stays where it is.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from autosched.network.operators import (
    DEVICE,
    Attention,
    Constant,
    Crop,
    DeviceOutput,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    LayerNorm,
    LayerOp,
    Matmul,
    Output,
    Permute,
    Pool2d,
    Reshape,
    Slice,
    Softmax,
)
from autosched.schedule.tensors import DataType, PageLayout, TensorLayout

_TILE = 32
_CHANNELS_LAST = (0, 2, 3, 1)
# An image is handed back in PyTorch's order, which has no tiles, and what the host makes for the
# caller is not on the device at all; nobody chooses that, and the schedule says nothing of it.
_TO_DRAM = (Constant, HostOp, Crop, Reshape, Permute, Attention, Output)


def left_layout(
    op: LayerOp,
    input_shapes: Sequence[Sequence[int]],
    shape: Sequence[int],
    inputs: Sequence[TensorLayout],
) -> TensorLayout | None:
    """Return where a layer's output lies without a word about it, None for other operators.

    Shapes are PyTorch's; ``inputs`` are the layouts of its inputs.
    """
    left: TensorLayout | None = None
    match op:
        case Slice():
            left = sliced(op, inputs[0])
        case GroupNorm():
            place = inputs[0] if inputs[0].is_sharded else TensorLayout()
            left = replace(place, dtype=DataType.BFLOAT16)
        case _ if _stays(op, input_shapes, shape):
            page = inputs[0].page if isinstance(op, LayerNorm) else PageLayout.TILE
            left = replace(inputs[0], page=page)
        case DeviceOutput():
            rows = TensorLayout(page=PageLayout.ROW_MAJOR)
            left = inputs[0] if op.order == DEVICE else rows
        case Output() if not isinstance(op, HostOp) and not is_image(shape):
            left = TensorLayout(dtype=inputs[0].dtype, page=inputs[0].page)
        case Matmul():
            left = TensorLayout(dtype=inputs[0].dtype)
        case Attention() if _cuts_tiles(op, input_shapes[0]):
            left = TensorLayout(dtype=inputs[0].dtype)
        case _ if isinstance(op, _TO_DRAM):
            left = TensorLayout()
    return left


def is_mean(op: LayerOp, shape: Sequence[int]) -> bool:
    """Return whether a layer averages whole images of ``shape``, which ttnn may do by reductions.

    Those leave the format of their input, and L1 interleaved of any shards.
    """
    if isinstance(op, GlobalAvgPool2d):
        return True
    return isinstance(op, Pool2d) and op.mode == "avg" and tuple(op.kernel) == tuple(shape[2:])


def _stays(op: LayerOp, input_shapes: Sequence[Sequence[int]], shape: Sequence[int]) -> bool:
    """Return whether a layer leaves its output in the layout of its input."""
    match op:
        case Softmax() | LayerNorm():
            return True
        case Reshape():
            return keeps_rows(input_shapes[0], shape)
        case Permute():
            return _keeps_order(op, input_shapes[0], shape)
        case _:
            return False


def sliced(op: Slice, layout: TensorLayout) -> TensorLayout:
    """Return where channels cut from an interleaved tensor lie: of block floats in whole tiles."""
    whole = not op.start % _TILE and not op.stop % _TILE
    return layout if whole else replace(layout, dtype=DataType.BFLOAT16)


def joins_tiles(input_shapes: Sequence[Sequence[int]]) -> bool:
    """Return whether images' rows are put together without taking tiles apart.

    All but the last must end with a tile, and be the only image.
    """
    whole = not any(shape[2] * shape[3] % _TILE for shape in input_shapes[:-1])
    return whole and input_shapes[0][0] == 1


def _cuts_tiles(op: Attention, shape: Sequence[int]) -> bool:
    """Return whether heads are cut apart in whole tiles of channels, without going to rows."""
    return not shape[1] // op.heads % _TILE


def is_image(shape: Sequence[int]) -> bool:
    """Return whether a shape is an image's, (N, C, H, W), rather than a vector's."""
    return len(shape) == 4


def keeps_rows(source: Sequence[int], target: Sequence[int]) -> bool:
    """Return whether a reshape leaves pixels and channels as they lie on the device."""
    if _keeps_images(source, target):
        return True
    moves = any(is_image(shape) and tuple(shape[2:]) != (1, 1) for shape in (source, target))
    return not moves and rows_and_columns(source) == rows_and_columns(target)


def _keeps_images(source: Sequence[int], target: Sequence[int]) -> bool:
    """Return whether images only have their pixels counted in other rows and columns."""
    return is_image(source) and is_image(target) and tuple(source[:2]) == tuple(target[:2])


def _keeps_order(op: Permute, source: Sequence[int], target: Sequence[int]) -> bool:
    _, order = device_permutation(source, op, target)
    return list(order) == sorted(order) and rows_and_columns(source) == rows_and_columns(target)


def rows_and_columns(shape: Sequence[int]) -> tuple[int, int]:
    """Return how a tensor of PyTorch's ``shape`` lies on the device: pixels by channels."""
    columns = shape[1] if is_image(shape) else shape[-1]
    return math.prod(shape) // columns, columns


def device_permutation(
    source: Sequence[int], op: Permute, target: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return an order of elements as the device sees it: sizes, and the permutation of these.

    Neighbours that stay together are made one; parts of one element have no place.
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
    remaining, groups = [part for part in order if sizes[part] != 1], []
    for size in shape:
        group: list[int] = []
        while math.prod(sizes[part] for part in group) < size:
            group.append(remaining.pop(0))
        groups.append(group)
    if is_image(shape):
        groups = [groups[axis] for axis in _CHANNELS_LAST]
    return [part for group in groups for part in group]
