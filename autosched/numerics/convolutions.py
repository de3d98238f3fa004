"""A convolution's numbers: which products a core sums at once, and in which order.

Groups are computed as the device does it: their kernels lie in one matrix whose other weights are
0. Adding 0 changes no register, so that in a depthwise convolution each channel is computed by
itself.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch.nn import functional

from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, ConvTranspose2d
from autosched.network.reference import activate
from autosched.numerics.matrix_engine import (
    Block,
    DepthwiseBlock,
    filled,
    operands,
    sums_of_blocks,
)
from autosched.numerics.storage import packed, stored
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.tensors import STICK, TILE, DataType, ShardLayout


def convolved(
    op: Conv2d | ConvTranspose2d,
    config: Conv2dConfig,
    source: torch.Tensor,
    weights: Weights,
    columns: int,
    *,
    exactly: bool,
) -> torch.Tensor:
    """Return a convolution's output as it is stored, in float32 and PyTorch's order.

    The arguments are those of :func:`autosched.numerics.emulation.emulated`.
    """
    dtype = config.output_dtype
    image = source.movedim(1, -1)
    if dtype is not DataType.BFLOAT16:
        image = packed(image, dtype)  # tilized in the output's format
    plain, weight, image = _as_plain(op, weights.weight, image)
    bias = None if weights.bias is None else stored(weights.bias[None], config.weights_dtype)
    given = _Given(plain, config, image, weight, bias, columns)
    by_channel = _is_depthwise(plain) and not exactly
    found = _sums_by_channel(given) if by_channel else _sums(given, exactly=exactly)
    return packed(activate(found, op.activation), dtype).movedim(-1, 1)


@dataclass(frozen=True)
class _Given:
    """A convolution without padding, its image (batch, height, width, in) and its parameters.

    The kernels are (out, in of a group, height, width) in float32, the bias is (1, out) as stored.
    """

    op: Conv2d
    config: Conv2dConfig
    image: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    columns: int


def _is_depthwise(op: Conv2d) -> bool:
    return op.groups == op.in_channels == op.out_channels and math.prod(op.kernel) > 1


def _sums(given: _Given, *, exactly: bool) -> torch.Tensor:
    """Return sums of products (batch, height, width, out)."""
    op, config, bias = given.op, given.config, given.bias
    windows = _windows(op, given.image)
    # Zeros in between change nothing but which products are added at once.
    groups = 1 if exactly else _merged_groups(op)
    inner, outer = op.in_channels // groups, op.out_channels // groups
    kernels = _dense(given.weight, op.groups, op.groups // groups)
    taps = kernels.reshape(groups, outer, *kernels.shape[1:]).permute(0, 3, 4, 2, 1)
    taps = stored(taps, config.weights_dtype)
    own = replace(op, in_channels=inner, out_channels=outer, groups=1)
    partials = config.output_dtype if _is_product(op, config) else DataType.BFLOAT16
    parts = []
    for group in range(groups):
        seen = windows[..., group * inner : (group + 1) * inner]
        blocks = list(_inner_blocks(own, config, seen, taps[group], given.columns))
        added_bias = None if bias is None else bias[:, group * outer : (group + 1) * outer]
        parts.append(
            sums_of_blocks(blocks, config.compute, added_bias, partials=partials, exactly=exactly)
        )
    return torch.cat(parts, 1).reshape(*windows.shape[:3], -1)


def _sums_by_channel(given: _Given) -> torch.Tensor:
    """Return a depthwise convolution's sums of products (batch, height, width, channels)."""
    op, config = given.op, given.config
    # In a matrix a weight has zeros for neighbours, with which it shares no exponent.
    taps = stored(given.weight.permute(2, 3, 0, 1), config.weights_dtype)[..., 0]
    in_phase = operands(given.image, taps, config.compute.math_fidelity.phases)
    step = min(_core_channels(op, config, given.columns), op.in_channels)
    blocks = [
        DepthwiseBlock(
            [(_windows(op, left)[:, :, :, rows], right[rows]) for left, right in in_phase],
            math.ceil(step / STICK) * STICK,
        )
        for rows in _rows_at_once(op, config)
    ]
    # Those of other cores' channels add nothing, but are counted.
    number = len(blocks) * math.ceil(op.in_channels / step)
    return sums_of_blocks(blocks, config.compute, given.bias, number=number)


def _is_product(op: Conv2d, config: Conv2dConfig) -> bool:
    """Whether ttnn runs a convolution as a matrix product of the pixels."""
    return op.kernel == op.stride == (1, 1) and config.shard_layout is not ShardLayout.WIDTH


def _as_plain(
    op: Conv2d | ConvTranspose2d, weight: torch.Tensor, image: torch.Tensor
) -> tuple[Conv2d, torch.Tensor, torch.Tensor]:
    """Return a convolution with padded input; a transposed one has zeros between its pixels."""
    if isinstance(op, Conv2d):
        top, bottom, left, right = op.padding
        padded = functional.pad(image, (0, 0, left, right, top, bottom))
        return replace(op, padding=(0, 0, 0, 0)), weight, padded
    batch, height, width, channels = image.shape
    (tall, wide), (rows, columns) = op.stride, op.kernel
    spread = image.new_zeros(batch, (height - 1) * tall + 1, (width - 1) * wide + 1, channels)
    spread[:, ::tall, ::wide] = image
    edges = [
        (dilation * (size - 1) - cut, dilation * (size - 1) - cut + more)
        for dilation, size, cut, more in zip(
            op.dilation, op.kernel, op.padding, op.output_padding, strict=True
        )
    ]
    padded = functional.pad(spread, (0, 0, *edges[1], *edges[0]))
    grouped = weight.flip(2, 3).reshape(op.groups, -1, *weight.shape[1:])
    flipped = grouped.transpose(1, 2).flatten(0, 1)
    plain = Conv2d(
        op.in_channels,
        op.out_channels,
        (rows, columns),
        dilation=op.dilation,
        groups=op.groups,
        has_bias=op.has_bias,
    )
    return plain, flipped, padded


def _windows(op: Conv2d, image: torch.Tensor) -> torch.Tensor:
    """Return what each window of a padded image sees: (batch, height, width, rows, columns, in).

    It is a view: a pixel is seen by several windows.
    """
    height, width = (
        (size - dilation * (kernel - 1) - 1) // stride + 1
        for size, dilation, kernel, stride in zip(
            image.shape[1:3], op.dilation, op.kernel, op.stride, strict=True
        )
    )
    batch, row, column, channel = image.stride()
    return image.as_strided(
        (image.shape[0], height, width, *op.kernel, image.shape[3]),
        (
            batch,
            row * op.stride[0],
            column * op.stride[1],
            row * op.dilation[0],
            column * op.dilation[1],
            channel,
        ),
    )


def _inner_blocks(
    op: Conv2d, config: Conv2dConfig, windows: torch.Tensor, taps: torch.Tensor, columns: int
) -> Iterator[Block]:
    """Yield blocks in the order in which a core sums them.

    BLOCK takes one of each core's channels, core after core; where a convolution is a product of
    pixels, its matrices are shared out in whole tiles.
    ``windows`` are (batch, height, width, rows, columns, in), ``taps`` (rows, columns, in, out).
    """
    step = _core_channels(op, config, columns)
    if _is_product(op, config) and config.shard_layout is ShardLayout.BLOCK:
        step = _core_channels_of_product(op, columns)
    parts = [slice(first, first + step) for first in range(0, op.in_channels, step)]
    for rows, part in product(_rows_at_once(op, config), parts):
        seen = filled(windows[:, :, :, rows, :, part], 1, STICK)
        met = filled(taps[rows, :, part], 0, STICK)
        yield Block(filled(seen.flatten(3).flatten(0, 2), 1), filled(met.flatten(0, 2), 0))


def _rows_at_once(op: Conv2d, config: Conv2dConfig) -> list[slice]:
    """Return which rows of a window are one inner block.

    HEIGHT takes one, or all of them where it uses activations again; BLOCK one, or all of them with
    its full inner dimension; WIDTH all of them.
    """
    is_whole = config.full_inner_dim or config.enable_activation_reuse
    if is_whole or config.shard_layout is ShardLayout.WIDTH:
        return [slice(None)]
    return [slice(row, row + 1) for row in range(op.kernel[0])]


def _core_channels_of_product(op: Conv2d, columns: int) -> int:
    """Return how many channels of the input a core has where BLOCK shards are multiplied.

    ttnn takes the most columns of cores that share out whole tiles of inputs and outputs alike.
    """
    inner, outer = (math.ceil(channels / TILE) for channels in (op.in_channels, op.out_channels))
    shared = math.gcd(inner, outer)
    used = max(number for number in range(1, columns + 1) if shared % number == 0)
    return TILE * inner // used


def _core_channels(op: Conv2d, config: Conv2dConfig, columns: int) -> int:
    """Return how many channels of the input a core of BLOCK or WIDTH shards has."""
    match config.shard_layout:
        case ShardLayout.BLOCK:
            return STICK * math.ceil(op.in_channels / STICK / columns)
        case ShardLayout.WIDTH:
            return TILE
        case _:
            return op.in_channels


def _merged_groups(op: Conv2d) -> int:
    """Return in how many parts the channels are computed: groups share a tile of channels."""
    together = max(TILE // (op.in_channels // op.groups), 1)
    return op.groups // math.gcd(together, op.groups)


def _dense(weight: torch.Tensor, groups: int, together: int) -> torch.Tensor:
    """Return kernels (out, in, height, width) of groups that read each other's channels, as 0."""
    own = weight.reshape(groups // together, together, -1, *weight.shape[1:])
    parts, _, outer, inner, *window = own.shape
    dense = weight.new_zeros(parts, together, outer, together, inner, *window)
    for place in range(together):
        dense[:, place, :, place] = own[:, place]
    return dense.reshape(parts * together * outer, together * inner, *window)
