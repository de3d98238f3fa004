"""Definitions of operators by others that have layers, where PyTorch's own are of no use for that.

Each function takes what the operator of its name takes, in the order of its ATen schema
(native_functions.yaml), and computes the same.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

Tensor = torch.Tensor

COMPOSITIONS: dict[str, Callable[..., Any]] = {}
"""By the operators' plain names."""


def _composition(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        COMPOSITIONS.update(dict.fromkeys(names, function))
        return function

    return register


# Writing into a part of a tensor puts what is before it, the part, and what is after it together.


@_composition("slice_scatter")
def _slice_scatter(
    source: Tensor,
    part: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    size = source.shape[dim]
    first, last, _ = slice(start, end).indices(size)
    places = range(first, max(last, first), step)
    if not places:
        return source
    if step == 1:
        return _joined(source, part, dim, first, first + len(places))
    result = source
    for number, place in enumerate(places):
        result = _joined(result, part.narrow(dim, number, 1), dim, place, place + 1)
    return result


@_composition("select_scatter")
def _select_scatter(source: Tensor, part: Tensor, dim: int, index: int) -> Tensor:
    index %= source.shape[dim]
    return _joined(source, part.unsqueeze(dim), dim, index, index + 1)


def _joined(source: Tensor, part: Tensor, dim: int, start: int, stop: int) -> Tensor:
    before, after = source.narrow(dim, 0, start), source.narrow(dim, stop, source.shape[dim] - stop)
    parts = [item for item in (before, part, after) if item.shape[dim]]
    return torch.cat(parts, dim) if len(parts) > 1 else part


@_composition("copy")
def _copied(target: Tensor, source: Tensor, _non_blocking: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    return source.expand(target.shape)


@_composition("index_put")
def _index_put(source: Tensor, indices: Sequence[Tensor | None], values: Tensor) -> Tensor:
    """Write one number where a mask is true."""
    (mask,) = indices
    if mask is None or mask.shape != source.shape or values.numel() != 1:
        raise NotImplementedError
    return torch.where(mask, values, source)


# A comparison of two tensors is one of their difference with zero.


def _register_comparison(name: str) -> None:
    function = getattr(torch, name)

    @_composition(name)
    def compared(one: Tensor, other: Any) -> Tensor:
        if not isinstance(other, torch.Tensor):
            raise NotImplementedError
        return function(one - other, 0)  # type: ignore[no-any-return]


for _name in ("gt", "lt", "ge", "le", "eq", "ne"):
    _register_comparison(_name)


@_composition("any")
def _any(source: Tensor, *dims: Any) -> Tensor:
    return source.to(torch.float32).amax(*dims) > 0


@_composition("all")
def _all(source: Tensor, *dims: Any) -> Tensor:
    return source.to(torch.float32).amin(*dims) > 0


@_composition("clamp", "clamp_min", "clamp_max")
def _clamped(source: Tensor, *bounds: Tensor | None) -> Tensor:
    low, high = bounds
    result = source if low is None else torch.maximum(source, low)
    return result if high is None else torch.minimum(result, high)


# Norms, distances, sums.


@_composition("layer_norm")
def _layer_norm(
    source: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    """Normalise over several dimensions as over one, with a scale and a shift for each element."""
    if len(shape) < 2:
        raise NotImplementedError
    flat = source.flatten(source.dim() - len(shape))
    result = F.layer_norm(flat, flat.shape[-1:], None, None, eps).reshape(source.shape)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


@_composition("var_mean")
def _variance_and_mean(source: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    return torch.var(source, *args, **kwargs), _mean(source, *args, **kwargs)


@_composition("std_mean")
def _deviation_and_mean(source: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    return torch.std(source, *args, **kwargs), _mean(source, *args, **kwargs)


def _mean(source: Tensor, *args: Any, keepdim: bool = False, **_: Any) -> Tensor:
    """Take the mean over what a spread is of: (dim, unbiased, keepdim), or (unbiased) alone."""
    dim = args[0] if args and not isinstance(args[0], bool) else None
    keepdim = keepdim or args[2:] == (True,)
    return torch.mean(source, dim, keepdim=keepdim)


@_composition("cdist")
def _distances(one: Tensor, other: Tensor, p: float = 2.0, _mode: int | None = None) -> Tensor:
    """Distances of points by the cosine rule, as PyTorch takes them of many points."""
    if p != 2:
        raise NotImplementedError
    squares = one.square().sum(-1, keepdim=True) + other.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * torch.matmul(one, other.transpose(-2, -1))).clamp_min(0).sqrt()


@_composition("cumsum")
def _cumulated(source: Tensor, dim: int, **_: Any) -> Tensor:
    """Sums of all elements up to each: a product with ones above the diagonal."""
    size = source.shape[dim]
    return torch.matmul(source.movedim(dim, -1), torch.ones(size, size).triu()).movedim(-1, dim)


@_composition("scaled_dot_product_attention")
def _attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002 - as PyTorch has it
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention step by step: with a computed mask, or with values of another width."""
    if dropout or is_causal:
        raise NotImplementedError
    if enable_gqa:
        keys, values = (
            item.repeat_interleave(queries.shape[-3] // item.shape[-3], -3)
            for item in (keys, values)
        )
        if mask is None:
            return F.scaled_dot_product_attention(queries, keys, values, scale=scale)
    scale = 1 / math.sqrt(queries.shape[-1]) if scale is None else scale
    scores = torch.matmul(queries, keys.transpose(-2, -1)) * scale
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(mask.logical_not(), -1e9)
    elif mask is not None:
        scores = scores + mask
    return torch.matmul(torch.softmax(scores, -1), values)


# Windows of an image, or of a series.


@_composition("im2col")
def _windows(
    source: Tensor,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """Each place of the windows as a channel, by a convolution with zeros and ones."""
    channels, places = source.shape[1], math.prod(kernel)
    one_each = torch.eye(places).reshape(places, 1, *kernel).repeat(channels, 1, 1, 1)
    return F.conv2d(source, one_each, None, stride, padding, dilation, channels).flatten(2)


@_composition("col2im")
def _from_windows(
    source: Tensor,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    places = math.prod(kernel)
    channels = source.shape[1] // places
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = [(s + 2 * p - k) // t + 1 for s, p, k, t in zip(size, padding, spans, stride)]
    left = [s - (n - 1) * t + 2 * p - k for s, n, t, p, k in zip(size, sides, stride, padding, spans)]
    one_each = torch.eye(places).reshape(places, 1, *kernel).repeat(channels, 1, 1, 1)
    image = source.reshape(len(source), channels * places, *sides)
    return F.conv_transpose2d(image, one_each, None, stride, padding, left, channels, dilation)


@_composition("unfold")
def _series_windows(source: Tensor, dim: int, size: int, step: int) -> Tensor:
    dim %= source.dim()
    count = (source.shape[dim] - size) // step + 1
    places = torch.arange(count)[:, None] * step + torch.arange(size)
    taken = source.index_select(dim, places.flatten()).unflatten(dim, (count, size))
    return taken.movedim(dim + 1, -1)


@_composition("conv2d")
def _convolved(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolve with computed kernels: the windows of the image times a matrix of each group."""
    outputs, _, *kernel = weight.shape
    batch, channels, *sides = source.shape
    windows = source
    if kernel != [1, 1] or set(stride) != {1} or set(padding) != {0}:
        windows = F.unfold(source, kernel, dilation, padding, stride)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    target = [(s + 2 * p - k) // t + 1 for s, p, k, t in zip(sides, padding, spans, stride)]
    places = channels // groups * math.prod(kernel)
    matrix = weight.reshape(1, groups, outputs // groups, places).expand(batch, -1, -1, -1)
    windows = windows.reshape(batch, groups, places, math.prod(target))
    result = torch.matmul(matrix, windows).reshape(batch, outputs, *target)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


@_composition("conv1d")
def _convolved_series(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Tensor:
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


@_composition("conv3d")
def _convolved_volume(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolve each run of slices, whose depth is then part of the channels, on its own."""
    source = F.pad(source, (0, 0, 0, 0, padding[0], padding[0]))
    span = dilation[0] * (weight.shape[2] - 1) + 1
    starts = range(0, source.shape[2] - span + 1, stride[0])
    runs = [source[:, :, start : start + span : dilation[0]].flatten(1, 2) for start in starts]
    rest = (weight.flatten(1, 2), bias, stride[1:], padding[1:], dilation[1:], groups)
    return torch.stack([F.conv2d(run, *rest) for run in runs], 2)


@_composition("max_pool3d")
def _pooled_volume(
    source: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    ceil_mode: bool = False,  # noqa: FBT001, FBT002 - as PyTorch has it
) -> Tensor:
    """Pool each slice, then runs of slices."""
    stride, depth = stride or kernel, source.shape[2]
    flat = F.max_pool2d(
        source.flatten(1, 2), kernel[1:], stride[1:], padding[1:], dilation[1:], ceil_mode
    )
    slices = flat.unflatten(1, source.shape[1:3])
    if ceil_mode or dilation[0] != 1:
        raise NotImplementedError
    if kernel[0] == stride[0] == 1:
        return slices
    found = []
    for start in range(-padding[0], depth + padding[0] - kernel[0] + 1, stride[0]):
        first, last = max(start, 0), min(start + kernel[0], depth)
        found.append(slices[:, :, first:last].amax(2))
    return torch.stack(found, 2)


@_composition("adaptive_max_pool2d")
def _adaptive_maxima(source: Tensor, size: Sequence[int]) -> tuple[Tensor, None]:
    """Take the largest of each run of rows, then of columns, which may overlap."""
    for dim, count in zip((2, 3), size, strict=True):
        length = source.shape[dim]
        runs = [(place * length // count, -((place + 1) * -length // count)) for place in range(count)]
        parts = [
            source.narrow(dim, start, stop - start).amax(dim, keepdim=True) for start, stop in runs
        ]
        source = torch.cat(parts, dim)
    return source, None


# Elements by their places, which are known before.


@_composition("slice")
def _each_few(
    source: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    if step == 1:
        raise NotImplementedError
    first, last, _ = slice(start, end).indices(source.shape[dim])
    return source.index_select(dim, torch.arange(first, last, step))


@_composition("index")
def _taken(source: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """Take elements by indices of neighbouring dimensions as by those of one."""
    given = [dim for dim, index in enumerate(indices) if index is not None]
    first, count = given[0], len(given)
    if given != list(range(first, first + count)):
        raise NotImplementedError
    places, size = torch.zeros((), dtype=torch.int64), 1
    for dim in reversed(given):
        index = indices[dim]
        assert index is not None  # noqa: S101 - as was looked at
        if index.dtype == torch.bool:
            raise NotImplementedError
        length = source.shape[dim]
        places = places + torch.remainder(index, length) * size
        size *= length
    if count == 1 and places.dim() == 1:
        raise NotImplementedError
    taken = source.flatten(first, first + count - 1).index_select(first, places.flatten())
    return taken.reshape(*source.shape[:first], *places.shape, *source.shape[first + count :])


@_composition("constant_pad_nd", "pad")
def _cut_and_padded(
    source: Tensor, padding: Sequence[int], mode: Any = "constant", value: float | None = None
) -> Tensor:
    """Cut where padding is negative, and pad the rest."""
    if not isinstance(mode, str):
        mode, value = "constant", mode
    if mode != "constant" or min(padding) >= 0:
        raise NotImplementedError
    for number, (before, after) in enumerate(zip(padding[::2], padding[1::2], strict=True)):
        dim = source.dim() - 1 - number
        start, stop = max(-before, 0), source.shape[dim] - max(-after, 0)
        source = source.narrow(dim, start, stop - start)
    positive = [max(size, 0) for size in padding]
    return F.pad(source, positive, value=value or 0.0) if any(positive) else source
