"""Definitions of convolutions, windows and volumes by operators that have layers.

As :mod:`.compositions`: each function takes what the operator of its name takes.
"""

# ruff: noqa: PLR0913, PLR0917 - PyTorch's operators take so many arguments

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.network.capture.compositions import Compositions
from autosched.network.rules.convolutions import is_long, is_whole

WINDOWS = Compositions()
"""By the operators' plain names."""
# A convolution that makes channels of windows has as many rows and columns of weights, in full.
_MOST_PLACES = 4096
_TILE = 32
# Taking elements by their places is a product with a matrix of ones and zeros.
_LARGEST_TABLE = 1 << 24
_ONES, _ZEROS = ([[value] * count for count in range(4)] for value in (1, 0))


@WINDOWS.of("im2col")
def _windows(
    source: Tensor,
    kernel: list[int],
    dilation: list[int],
    padding: list[int],
    stride: list[int],
) -> Tensor:
    """Each place of the windows as a channel, by a convolution with zeros and ones."""
    channels, places = source.shape[1], math.prod(kernel)
    one_each = torch.eye(places).reshape(places, 1, *kernel).repeat(channels, 1, 1, 1)
    return F.conv2d(source, one_each, None, stride, padding, dilation, channels).flatten(2)


@WINDOWS.of("col2im")
def _from_windows(
    source: Tensor,
    size: list[int],
    kernel: list[int],
    dilation: list[int],
    padding: list[int],
    stride: list[int],
) -> Tensor:
    places = math.prod(kernel)
    channels = source.shape[1] // places
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = [
        (s + 2 * p - k) // t + 1 for s, p, k, t in zip(size, padding, spans, stride, strict=True)
    ]
    left = [
        s - (n - 1) * t + 2 * p - k
        for s, n, t, p, k in zip(size, sides, stride, padding, spans, strict=True)
    ]
    one_each = torch.eye(places).reshape(places, 1, *kernel).repeat(channels, 1, 1, 1)
    image = source.reshape(len(source), channels * places, *sides)
    return F.conv_transpose2d(image, one_each, None, stride, padding, left, channels, dilation)


@WINDOWS.of("unfold")
def _series_windows(source: Tensor, dim: int, size: int, step: int) -> Tensor:
    dim %= source.dim()
    count = (source.shape[dim] - size) // step + 1
    if source.shape[dim] * count * size > _LARGEST_TABLE:
        return _overlapping(source, dim, size, step, count)
    places = torch.arange(count)[:, None] * step + torch.arange(size)
    taken = source.index_select(dim, places.flatten())
    taken = torch.unflatten(taken, dim, (count, size))
    return torch.movedim(taken, dim + 1, -1)


def _overlapping(source: Tensor, dim: int, size: int, step: int, count: int) -> Tensor:
    """Cut a long series into steps, once for each step that a window reaches over."""
    parts = []
    for start in range(0, size, step):
        length = min(count * step, source.shape[dim] - start)
        part = source.narrow(dim, start, length).movedim(dim, -1)
        part = F.pad(part, (0, count * step - length)) if length < count * step else part
        part = torch.unflatten(part, -1, (count, step))
        parts.append(part[..., : min(step, size - start)])
    return torch.movedim(torch.cat(parts, -1) if len(parts) > 1 else parts[0], -2, dim)


@WINDOWS.of("conv2d")
def _convolved(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: list[int] = _ONES[2],
    padding: list[int] = _ZEROS[2],
    dilation: list[int] = _ONES[2],
    groups: int = 1,
) -> Tensor:
    """Convolve with computed kernels: the windows of the image times a matrix of each group.

    A window that is a whole row of one channel is one of a linear layer.
    """
    if source.dim() == 3:
        rest = (bias, stride, padding, dilation, groups)
        return F.conv2d(source.unsqueeze(0), weight, *rest).squeeze(0)
    if is_whole({"padding": padding}, source.shape, weight.shape):
        return F.linear(source.flatten(1), weight.flatten(1), bias)[..., None, None]
    outputs, _, *kernel = weight.shape
    batch, channels, *sides = source.shape
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    target = [
        (s + 2 * p - k) // t + 1 for s, p, k, t in zip(sides, padding, spans, stride, strict=True)
    ]
    if channels == groups == outputs and outputs * math.prod(kernel) > _MOST_PLACES:
        result = _by_places(source, weight, stride, padding, dilation, target)
        return result if bias is None else result + bias.reshape(-1, 1, 1)
    windows = source
    if kernel != [1, 1] or set(stride) != {1} or set(padding) != {0}:
        windows = torch.ops.aten.im2col(source, kernel, dilation, padding, stride)
    places = channels // groups * math.prod(kernel)
    matrix = weight.reshape(1, groups, outputs // groups, places).expand(batch, -1, -1, -1)
    windows = windows.reshape(batch, groups, places, math.prod(target))
    result = torch.matmul(matrix, windows).reshape(batch, outputs, *target)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _by_places(
    source: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    target: list[int],
) -> Tensor:
    """Convolve each channel with its computed kernel: a product for every place of the kernel."""
    above, left = padding
    padded = F.pad(source, (left, left, above, above))
    height, width = weight.shape[2:]
    channels = len(weight)
    rows = weight.reshape(channels, height * width).permute(1, 0)
    if channels % _TILE == 0:  # the channels of each place are cut in whole tiles of a vector
        factors = list(torch.split(rows.reshape(1, -1, 1, 1), channels, 1))
    else:
        factors = [row.reshape(1, -1, 1, 1) for row in rows]
    result: Tensor | None = None
    for row, column in itertools.product(range(height), range(width)):
        part = padded
        for dim, at, step, spread, count in (
            (2, row, stride[0], dilation[0], target[0]),
            (3, column, stride[1], dilation[1], target[1]),
        ):
            part = part[_along(dim, at * spread, step, count)]
        factor = factors[row * width + column]
        result = part * factor if result is None else result + part * factor
    assert result is not None  # noqa: S101 - a kernel has a place
    return result


def _along(dim: int, start: int, step: int, count: int) -> tuple[slice, ...]:
    """Return the index of ``count`` elements of one dimension."""
    return (*[slice(None)] * dim, slice(start, start + (count - 1) * step + 1, step))


@WINDOWS.of("conv1d")
def _convolved_series(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: list[int] = _ONES[1],
    padding: list[int] = _ZEROS[1],
    dilation: list[int] = _ONES[1],
    groups: int = 1,
) -> Tensor:
    if source.dim() == 2:
        rest = (bias, stride, padding, dilation, groups)
        return F.conv1d(source.unsqueeze(0), weight, *rest).squeeze(0)
    if is_whole({"padding": padding}, source.shape, weight.shape):
        return F.linear(source.squeeze(1), weight.squeeze(1), bias)[..., None]
    length, (step,) = weight.shape[2], stride
    plan = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if is_long(plan, length):
        source, weight = _by_steps(F.pad(source, (*padding, *padding)), weight, step)
        stride, padding = [1], [0]
    column = F.conv2d(
        source.unsqueeze(-1),
        weight.unsqueeze(-1),
        bias,
        (*stride, 1),
        (*padding, 0),
        (*dilation, 1),
        groups,
    )
    return column.squeeze(-1)


def _by_steps(source: Tensor, weight: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """A series and kernels with what lies within a step as channels: its convolution has step 1."""
    runs = weight.shape[2] // step
    count = (source.shape[2] - weight.shape[2]) // step + runs
    cut = source.narrow(2, 0, count * step)
    return tuple(  # type: ignore[return-value]
        torch.unflatten(item, 2, (number, step)).transpose(2, 3).flatten(1, 2)
        for item, number in ((cut, count), (weight, runs))
    )


@WINDOWS.of("conv_transpose1d")
def _spread_series(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: list[int] = _ONES[1],
    padding: list[int] = _ZEROS[1],
    output_padding: list[int] = _ZEROS[1],
    groups: int = 1,
    dilation: list[int] = _ONES[1],
) -> Tensor:
    """Each step of the output as channels of one element, by a convolution without a step.

    What is left out reads a few elements, whose products with a part of the kernel each add up.
    """
    plan = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not is_long(plan, weight.shape[2]):
        column, kernel = source.unsqueeze(-1), weight.unsqueeze(-1)
        sizes = ((*stride, 1), (*padding, 0), (*output_padding, 0), groups, (*dilation, 1))
        return F.conv_transpose2d(column, kernel, bias, *sizes).squeeze(-1)
    (step,), (cut,), (more,) = stride, padding, output_padding
    runs, outputs = weight.shape[2] // step, weight.shape[1]
    by_step = torch.unflatten(weight, 2, (runs, step)).flip(2).permute(3, 1, 0, 2).flatten(0, 1)
    vector = None if bias is None else bias.repeat(step)
    steps = F.conv1d(source, by_step, vector, padding=runs - 1)
    series = torch.unflatten(steps, 1, (step, outputs)).permute(0, 2, 3, 1).flatten(2)
    return F.pad(series, (-cut, more - cut))


@WINDOWS.of("conv3d")
def _convolved_volume(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: list[int] = _ONES[3],
    padding: list[int] = _ZEROS[3],
    dilation: list[int] = _ONES[3],
    groups: int = 1,
) -> Tensor:
    """Convolve each run of slices, whose depth is then part of the channels, on its own."""
    source = F.pad(source, (0, 0, 0, 0, padding[0], padding[0]))
    span = dilation[0] * (weight.shape[2] - 1) + 1
    starts = range(0, source.shape[2] - span + 1, stride[0])
    runs = [source[:, :, start : start + span : dilation[0]].flatten(1, 2) for start in starts]
    rest = (weight.flatten(1, 2), bias, stride[1:], padding[1:], dilation[1:], groups)
    return torch.stack([F.conv2d(run, *rest) for run in runs], 2)


@WINDOWS.of("conv_transpose3d")
def _transposed_volume(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: list[int] = _ONES[3],
    padding: list[int] = _ZEROS[3],
    output_padding: list[int] = _ZEROS[3],
    groups: int = 1,
    dilation: list[int] = _ONES[3],
) -> Tensor:
    """Make each slice of all slices that reach it, whose depth is then part of the channels."""
    depth, length = source.shape[2], weight.shape[2]
    span = dilation[0] * (length - 1) + 1
    count = (depth - 1) * stride[0] - 2 * padding[0] + span + output_padding[0]
    rest = (bias, stride[1:], padding[1:], output_padding[1:], groups, dilation[1:])
    found = []
    for place in range(count):
        shifts = [(k, place + padding[0] - k * dilation[0]) for k in range(length)]
        reached = [(k, shift // stride[0]) for k, shift in shifts if shift % stride[0] == 0]
        pairs = [(k, slice_) for k, slice_ in reached if 0 <= slice_ < depth]
        if not pairs:
            raise NotImplementedError
        run = torch.stack([source[:, :, slice_] for _, slice_ in pairs], 2).flatten(1, 2)
        kernels = torch.stack([weight[:, :, k] for k, _ in pairs], 1).flatten(0, 1)
        found.append(F.conv_transpose2d(run, kernels, *rest))
    return torch.stack(found, 2)


@WINDOWS.of("convolution")
def _convolved_in_some_dimensions(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _output_padding: list[int],
    groups: int,
) -> Tensor:
    if transposed:
        raise NotImplementedError
    functions = {1: _convolved_series, 2: _convolved, 3: _convolved_volume}
    function = functions[len(stride)]
    result: Tensor = function(source, weight, bias, stride, padding, dilation, groups)
    return result


def _register_pool(name: str) -> None:
    function = getattr(torch.ops.aten, name)

    @WINDOWS.of(name)
    def of_one_image(source: Tensor, *options: Any) -> Tensor:
        if source.dim() != 3:
            raise NotImplementedError
        result: Tensor = function(source.unsqueeze(0), *options)
        return result.squeeze(0)


for _name in ("max_pool2d", "avg_pool2d"):
    _register_pool(_name)


@WINDOWS.of("max_pool3d")
def _pooled_volume(
    source: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: list[int] = _ZEROS[3],
    dilation: list[int] = _ONES[3],
    ceil_mode: bool = False,
) -> Tensor:
    """Pool each slice, then take the largest of each run of slices."""
    if dilation[0] != 1:
        raise NotImplementedError
    rest = (kernel[1:], (stride or kernel)[1:], padding[1:], dilation[1:], ceil_mode)
    slices = [F.max_pool2d(slice_, *rest) for slice_ in source.unbind(2)]
    runs = _windows_of(slices, kernel[0], (stride or kernel)[0], padding[0], ceil_mode)
    return torch.stack([functools.reduce(torch.maximum, run) for run in runs], 2)


def _windows_of(
    slices: Sequence[Tensor], length: int, step: int, padding: int, ceil_mode: bool = False
) -> list[Sequence[Tensor]]:
    """The slices that each window of a dimension has, without the padding."""
    end = len(slices) + padding - length + 1
    if ceil_mode:  # a last run, if it begins with a slice of its own
        end = min(end + step - 1, len(slices))
    return [slices[max(start, 0) : start + length] for start in range(-padding, end, step)]


@WINDOWS.of("avg_pool3d")
def _averaged_volume(
    source: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: list[int] = _ZEROS[3],
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Tensor:
    """Average each slice, then each run of slices: of one channel, by a matrix of all slices."""
    if ceil_mode or divisor is not None:
        raise NotImplementedError
    rest = (kernel[1:], (stride or kernel)[1:], padding[1:], ceil_mode, count_include_pad)
    if source.shape[1] == 1:  # as in local response norms
        image = source.squeeze(1)
        image = image if kernel[1:] == _ONES[2] else F.avg_pool2d(image, *rest)
        steps = ((stride or kernel)[0], padding[0], ceil_mode, count_include_pad)
        shares = F.avg_pool1d(torch.eye(source.shape[2])[:, None], kernel[0], *steps)[:, 0]
        return F.conv2d(image, shares.t()[..., None, None]).unsqueeze(1)
    slices = [F.avg_pool2d(slice_, *rest) for slice_ in source.unbind(2)]
    runs = _windows_of(slices, kernel[0], (stride or kernel)[0], padding[0])
    counts = [kernel[0] if count_include_pad else len(run) for run in runs]
    sums = [functools.reduce(torch.add, run) for run in runs]
    means = [part / count if count > 1 else part for part, count in zip(sums, counts, strict=True)]
    return torch.stack(means, 2)


@WINDOWS.of("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_maxima(source: Tensor, size: list[int]) -> tuple[Tensor, None]:
    """Take the largest of each run of slices, of rows, then of columns, which may overlap."""
    for dim, count in enumerate(size, source.dim() - len(size)):
        parts = [run.amax(dim, keepdim=True) for run in _runs(source, dim, count)]
        source = torch.cat(parts, dim)
    return source, None


@WINDOWS.of("adaptive_avg_pool3d")
def _adaptive_means(source: Tensor, size: list[int]) -> Tensor:
    """Average each slice, then runs of slices, which may overlap."""
    if set(size) == {1}:
        return source.mean((-3, -2, -1), keepdim=True)
    flat = F.adaptive_avg_pool2d(source.flatten(-4, -3), (size[1], size[2]))
    slices = torch.unflatten(flat, -3, list(source.shape[-4:-2]))
    return torch.cat([run.mean(-3, keepdim=True) for run in _runs(slices, -3, size[0])], -3)


def _runs(source: Tensor, dim: int, count: int) -> list[Tensor]:
    """As many runs of a dimension as adaptive pools have, each rounded outwards."""
    length = source.shape[dim]
    spans = [(place * length // count, -((place + 1) * -length // count)) for place in range(count)]
    return [source.narrow(dim, start, stop - start) for start, stop in spans]
