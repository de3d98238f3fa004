"""Channels that become pixels, and pixels that become channels, by way of convolutions.

On the device every element would be moved alone. A transposed convolution of ones and zeros, whose
windows do not overlap, moves whole rows of channels instead; two of them, for rows and for columns,
are less work by large factors. A single channel that is handed back lies in rows of pixels in the
end: a row's parts are put beside each other, and a matrix product puts its pixels in order. Where a
convolution of few channels comes after a shuffle, this one takes the channels as they are, and
those few become pixels. Pixels that become channels are what a
convolution with a stride reads, or leaves, by itself; so are every other row and column joined from
each start, as the stems of some detectors have it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.graph import Weights
from autosched.network.operators import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Crop,
    Linear,
    Output,
    Pair,
    Permute,
    PixelShuffle,
    Shape,
    Unary,
)

_TILE = 32
# A shuffle is estimated at 2.3 ns an element on n150, a transposed convolution at 1 ns for as many
# products as this for each.
_MOST_PRODUCTS = 1 << 15
# By a factor of 2 at once, which reads every channel for each pixel, few channels or small images
# are estimated up to 12 % faster than rows first; larger ones are cut for want of room.
_MOST_AT_ONCE = 2
_FEW_ELEMENTS = 1 << 19
# Weights are read for each image: so many take some 20 us of n150's DRAM, as a permutation does.
_MOST_WEIGHTS = 1 << 22
# A core has no room for windows of hundreds of rows.
_LONGEST_SIDE = 64


def fold_pixel_shuffles(graph: DraftGraph) -> None:
    """Turn pixel shuffles into transposed convolutions, after those that come first."""
    for draft in graph:
        if isinstance(draft.op, PixelShuffle):
            while _let_pass(graph, draft):
                pass
            if _is_a_channel_handed_back(graph, draft):
                _become_rows_of_pixels(graph, draft, draft.op.factor)
            else:
                _become_transposed(graph, draft, draft.op.factor)


def _let_pass(graph: DraftGraph, shuffle: Draft) -> bool:
    """Let the layer after a pixel shuffle work on its input, if it can at no greater cost."""
    readers = graph.users(shuffle.key)
    if len(readers) != 1:
        return False
    (reader,), source = readers, graph.producer(shuffle)
    assert isinstance(shuffle.op, PixelShuffle)  # noqa: S101 - narrows the type for mypy
    factor = shuffle.op.factor
    if isinstance(reader.op, Unary):
        channels = source.shape[1]
    elif _fits_a_tile(reader, factor):
        channels = reader.shape[1] * factor**2
        _take_packed(reader, factor)
    else:
        return False
    _exchange(graph, shuffle, reader, (source.shape[0], channels, *source.shape[2:]))
    return True


def _exchange(graph: DraftGraph, shuffle: Draft, reader: Draft, shape: Shape) -> None:
    """Put a shuffle behind its reader, whose tensor it makes from then on."""
    after, source = reader.shape, shuffle.inputs[0]
    made, key = reader.key, f"{reader.key}.packed"
    graph.renew(reader, key)
    for user in graph.users(key):
        user.inputs = [shuffle.key if name == key else name for name in user.inputs]
    reader.inputs, reader.shape = [source], shape
    shuffle.inputs, shuffle.shape = [key], after
    drafts = [draft for draft in graph if draft is not shuffle]
    drafts.insert(drafts.index(reader) + 1, shuffle)
    graph.drafts = {draft.key: draft for draft in drafts}
    graph.renew(shuffle, made)


def _fits_a_tile(reader: Draft, factor: int) -> bool:
    """Whether a convolution keeps the image's size, and has outputs for a tile at most then, too.

    Outputs are filled up to a tile, so that more of them are no more work.
    """
    op = reader.op
    return (
        _is_plain(reader)
        and isinstance(op, Conv2d)
        and (op.padding[0] + op.padding[1], op.padding[2] + op.padding[3])
        == (op.kernel[0] - 1, op.kernel[1] - 1)
        and op.out_channels * factor**2 <= _TILE
    )


def _is_plain(draft: Draft) -> bool:
    op = draft.op
    return isinstance(op, Conv2d) and (op.groups, op.stride, op.dilation) == (1, (1, 1), (1, 1))


@dataclass(frozen=True)
class _Tap:
    """Where one weight along an axis goes: which pixel it makes, of which, how far away."""

    made: int
    tap: int
    read: int
    place: int


def _taps(kernel: int, before: int, factor: int) -> tuple[list[_Tap], int, Pair]:
    """The taps along an axis of a kernel on packed pixels, its length and its padding."""
    lowest = -before // factor
    highest = (factor - 1 - before + kernel - 1) // factor
    taps = [
        _Tap(made, tap, (made - before + tap) % factor, (made - before + tap) // factor - lowest)
        for made in range(factor)
        for tap in range(kernel)
    ]
    return taps, highest - lowest + 1, (-lowest, highest)


def _take_packed(reader: Draft, factor: int) -> None:
    """Let a convolution read and make channels that are to become pixels."""
    op, weights = reader.op, reader.weights
    assert isinstance(op, Conv2d)  # noqa: S101 - as was looked at
    assert weights is not None  # noqa: S101 - it is a convolution
    rows, height, vertical = _taps(op.kernel[0], op.padding[0], factor)
    columns, width, horizontal = _taps(op.kernel[1], op.padding[2], factor)
    square = factor**2
    packed = weights.weight.new_zeros(
        op.out_channels, factor, factor, op.in_channels, factor, factor, height, width
    )
    for row in rows:
        for column in columns:
            packed[:, row.made, column.made, :, row.read, column.read, row.place, column.place] = (
                weights.weight[:, :, row.tap, column.tap]
            )
    outputs, inputs = op.out_channels * square, op.in_channels * square
    bias = None if weights.bias is None else weights.bias.repeat_interleave(square)
    reader.weights = Weights(packed.reshape(outputs, inputs, height, width), bias)
    reader.op = replace(
        op,
        in_channels=inputs,
        out_channels=outputs,
        kernel=(height, width),
        padding=(*vertical, *horizontal),
    )


def _is_a_channel_handed_back(graph: DraftGraph, draft: Draft) -> bool:
    """Whether a shuffle makes one channel for the caller alone, of rows of whole tiles."""
    assert isinstance(draft.op, PixelShuffle)  # noqa: S101 - narrows the type for mypy
    _, channels, _, width = draft.shape
    return (
        channels == 1
        and width // draft.op.factor % _TILE == 0
        and width**2 <= _MOST_WEIGHTS
        and all(isinstance(user.op, Output) for user in graph.users(draft.key))
    )


def _become_rows_of_pixels(graph: DraftGraph, draft: Draft, factor: int) -> None:
    """Put the channels of a row of pixels beside each other, and then its pixels in order."""
    batch, _, height, width = draft.shape
    parts = (batch, factor, factor, height // factor, width // factor)
    beside = Draft(
        key=f"{draft.key}.rows",
        name=f"{draft.name}.rows",
        op=Permute(parts, (0, 3, 1, 2, 4)),
        inputs=draft.inputs,
        shape=(batch * height, width),
        place=draft.place,
    )
    in_order = torch.eye(width).reshape(factor, -1, width).transpose(0, 1).reshape(width, width)
    draft.op = Linear(width, width, has_bias=False)
    draft.weights = Weights(in_order.contiguous())
    draft.shape = beside.shape
    draft.inputs = [graph.insert(beside, draft)]


def _become_transposed(graph: DraftGraph, draft: Draft, factor: int) -> None:
    """Make rows of channels and then columns, or both at once where that is less work."""
    batch, channels, height, width = draft.shape
    padded = max(channels, _TILE)
    if factor**2 * (factor + 1) * padded > _MOST_PRODUCTS:
        return
    if factor == _MOST_AT_ONCE and (padded == _TILE or prod(draft.shape) <= _FEW_ELEMENTS):
        weight = torch.eye(channels * factor**2).reshape(-1, channels, factor, factor)
        _transpose(draft, weight)
        return
    packed = channels * factor
    rows = Draft(
        key=f"{draft.key}.rows",
        name=f"{draft.name}.rows",
        op=draft.op,
        inputs=draft.inputs,
        shape=(batch, packed, height, width // factor),
        place=draft.place,
    )
    ones = torch.eye(packed * factor).reshape(-1, channels, factor, factor)
    _transpose(rows, ones.transpose(2, 3).reshape(-1, packed, factor, 1))
    _transpose(draft, torch.eye(packed).reshape(-1, channels, 1, factor))
    draft.inputs = [graph.insert(rows, draft)]


def _transpose(draft: Draft, weight: torch.Tensor) -> None:
    """Make a draft a transposed convolution whose windows do not overlap."""
    inputs, outputs, *sides = weight.shape
    kernel = (sides[0], sides[1])
    draft.op = ConvTranspose2d(inputs, outputs, kernel, kernel, has_bias=False)
    draft.weights = Weights(weight.contiguous())


@dataclass(frozen=True)
class _Packing:
    """Pixels that become channels: by what factor, and their order beside the channels.

    ``order`` has 0 for the channels, 1 for rows and 2 for columns, the slowest first.
    """

    factor: Pair
    order: tuple[int, ...]


def fold_packed_pixels(graph: DraftGraph) -> None:
    """Let convolutions read with a stride what pixels become channels for, or leave it so."""
    for draft in graph:
        joined = _joined_crops(graph, draft)
        packing = joined or _packing(graph, draft)
        if packing is None:
            continue
        readers = list({reader.key: reader for reader in graph.users(draft.key)}.values())
        producer = graph.producer(draft)
        if readers and all(_may_stride(reader, packing.factor) for reader in readers):
            for reader in readers:
                _read_with_stride(reader, packing)
                reader.inputs = list(producer.inputs if joined else draft.inputs)
            del graph.drafts[draft.key]
            if joined:
                _drop_unread(graph, draft.inputs)
        elif joined:
            continue
        elif _may_leave(producer, packing.factor) and graph.is_only_user(draft, producer):
            _leave_with_stride(producer, packing)
            producer.shape = draft.shape
            graph.renew(producer, f"{producer.key}.packed")
            graph.absorb(draft)


def _joined_crops(graph: DraftGraph, draft: Draft) -> _Packing | None:
    """Return what a concatenation of every other row and column, from each start, amounts to."""
    crops = [graph.drafts[key] for key in draft.inputs]
    if not isinstance(draft.op, Concat) or len({tuple(crop.inputs) for crop in crops}) != 1:
        return None
    ops = [crop.op for crop in crops]
    first = ops[0]
    if not isinstance(first, Crop):
        return None
    down, across = factor = (first.rows[2], first.columns[2])
    _, _, height, width = graph.producer(crops[0]).shape
    if down * across == 1 or height % down or width % across:
        return None
    starts = [
        Crop((row, height - down + row + 1, down), (column, width - across + column + 1, across))
        for row, column in _places(factor)
    ]
    columns_first = [starts[row * across + column] for column, row in _places((across, down))]
    orders = {(1, 2, 0): starts, (2, 1, 0): columns_first}
    return next((_Packing(factor, order) for order, found in orders.items() if found == ops), None)


def _drop_unread(graph: DraftGraph, keys: Sequence[str]) -> None:
    for key in keys:
        if not graph.users(key):
            del graph.drafts[key]


def _packing(graph: DraftGraph, draft: Draft) -> _Packing | None:
    if not isinstance(draft.op, Permute) or len(draft.shape) != 4:
        return None
    source = graph.producer(draft).shape
    if len(source) != 4 or source[0] != draft.shape[0] or source[1] == 0:
        return None
    rows, columns = draft.shape[2:]
    down, across = source[2] // rows, source[3] // columns
    parts = (source[0], source[1], rows, down, columns, across)
    if prod(parts) != prod(source) or source[2] % rows or source[3] % columns or down * across == 1:
        return None
    for order in ((0, 1, 2), (1, 2, 0), (2, 1, 0), (0, 2, 1)):
        whole = (0, *((1, 3, 5)[part] for part in order), 2, 4)
        if _same_order(draft.op, Permute(parts, whole)):
            return _Packing((down, across), order)
    return None


def _same_order(one: Permute, other: Permute) -> bool:
    """Whether two permutations, cut into parts of one element or more, are the same."""
    return _runs(one) == _runs(other)


def _runs(op: Permute) -> tuple[tuple[int, int], ...]:
    """The lengths and strides of a permutation's parts; what stays together made one."""
    strides = [prod(op.sizes[part + 1 :]) for part in range(len(op.sizes))]
    found: list[tuple[int, int]] = []
    for part in op.order:
        size, stride = op.sizes[part], strides[part]
        if size == 1:
            continue
        if found and found[-1][1] == size * stride:
            found[-1] = (found[-1][0] * size, stride)
        else:
            found.append((size, stride))
    return tuple(found)


def _may_stride(reader: Draft, factor: Pair) -> bool:
    op = reader.op
    return (
        isinstance(op, Conv2d)
        and op.groups == 1
        and op.dilation == (1, 1)
        and max(op.kernel[0] * factor[0], op.kernel[1] * factor[1]) <= _LONGEST_SIDE
    )


def _read_with_stride(reader: Draft, packing: _Packing) -> None:
    op, weights = reader.op, reader.weights
    assert isinstance(op, Conv2d)  # noqa: S101 - as was looked at
    assert weights is not None  # noqa: S101 - it is a convolution
    down, across = packing.factor
    channels = op.in_channels // (down * across)
    height, width = op.kernel
    sizes = (channels, down, across)
    parts = weights.weight.reshape(
        op.out_channels, *(sizes[part] for part in packing.order), height, width
    )
    place = [1 + packing.order.index(part) for part in range(3)]
    apart = parts.permute(0, place[0], 4, place[1], 5, place[2])
    top, bottom, left, right = op.padding
    reader.op = replace(
        op,
        in_channels=channels,
        kernel=(height * down, width * across),
        stride=(op.stride[0] * down, op.stride[1] * across),
        padding=(top * down, bottom * down, left * across, right * across),
    )
    matrix = apart.reshape(op.out_channels, channels, height * down, width * across)
    reader.weights = Weights(matrix.contiguous(), weights.bias)


def _may_leave(producer: Draft, factor: Pair) -> bool:
    """Whether a convolution may make the pixels of a part as channels: its weights grow twice."""
    op = producer.op
    if not isinstance(op, Conv2d) or not _is_plain(producer):
        return False
    height, width = op.kernel[0] + factor[0] - 1, op.kernel[1] + factor[1] - 1
    weights = op.out_channels * prod(factor) * op.in_channels * height * width
    return weights <= _MOST_WEIGHTS and max(height, width) <= _LONGEST_SIDE


def _leave_with_stride(producer: Draft, packing: _Packing) -> None:
    op, weights = producer.op, producer.weights
    assert isinstance(op, Conv2d)  # noqa: S101 - as was looked at
    assert weights is not None  # noqa: S101 - it is a convolution
    down, across = packing.factor
    height, width = op.kernel
    kernel = (height + down - 1, width + across - 1)
    placed = weights.weight.new_zeros(op.out_channels, down, across, op.in_channels, *kernel)
    for row, column in _places(packing.factor):
        placed[:, row, column, :, row : row + height, column : column + width] = weights.weight
    order = [*packing.order, 3, 4, 5]
    outputs = op.out_channels * down * across
    matrix = placed.permute(order).reshape(outputs, op.in_channels, *kernel)
    bias = weights.bias
    if bias is not None:
        each = bias[:, None, None].expand(-1, down, across)
        bias = each.permute(packing.order).reshape(-1)
    producer.weights = Weights(matrix.contiguous(), bias)
    producer.op = replace(op, out_channels=outputs, kernel=kernel, stride=packing.factor)


def _places(factor: Sequence[int]) -> Iterator[Pair]:
    return ((row, column) for row in range(factor[0]) for column in range(factor[1]))
