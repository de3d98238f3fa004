"""Folding of strided stems: space to depth, then a convolution of stride 1.

The first convolution of a network has few channels and a stride. On a matrix engine that wastes
most of each row, because a row of channels is padded to 8 or 32, and each stick is gathered for
several windows. Moving every neighbourhood of stride x stride pixels into the channels gives the
same result with stride 1: a 7x7 convolution of stride 2 on RGB becomes a 4x4 one on 12 channels.

Along one axis of length H, with kernel k, stride s and padding p in front: output o reads pixels
s*o - p to s*o - p + k - 1. With q = ceil(p / s), these lie in the folded pixels o - q and
following, and the kernel starts q*s - p pixels into the first of them. So the folded convolution
has q folded pixels of padding in front and a kernel of ceil((q*s - p + k) / s), its first
q*s - p rows zero.

A convolution with one window, the whole image, is folded likewise: it becomes a matrix product of
all pixels, where ttnn would gather the window, and has no room for that in many images.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, Pair, Shape

if TYPE_CHECKING:
    import torch


MAX_FOLDED_CHANNELS = 64
"""Beyond two tiles of channels a convolution gathers whole tiles without folding."""


@dataclass(frozen=True)
class FoldedStem:
    """A strided convolution as one of stride 1 on a folded image.

    ``image`` is the shape (N, C, H, W) to fold: that of the input with ``channels`` of zeros
    added, rows at the bottom and columns at the right up to whole strides. ``op`` reads the image
    of shape ``folded``; ``lead`` (rows, columns) of zeros precede the kernel within it.
    """

    op: Conv2d
    stride: Pair
    image: Shape
    folded: Shape
    lead: Pair


@dataclass(frozen=True)
class _Axis:
    """One axis of a folded convolution; all but ``lead`` and ``size`` count folded pixels."""

    size: int
    kernel: int
    front: int
    back: int
    lead: int


def fold_stem(op: Conv2d, shape: Shape, channels: int = 0) -> FoldedStem | None:
    """Return the folded form of a convolution of images of ``shape``, None where it has none.

    Folded are convolutions with few channels and a stride, in one group, whose windows leave no
    pixels out and overlap or are padded: the others ttnn folds by itself; and those of one window.
    ``channels``, if given, is how many each pixel takes in memory.
    """
    channels = channels or op.in_channels
    if op.kernel == shape[2:] and may_have_one_window(op):
        return _fold_window(op, shape, channels)
    rows, columns = op.stride
    batch, _, height, width = shape
    if not _may_fold(op):
        return None
    top, bottom, left, right = op.padding
    vertical = _folded_axis(height, op.kernel[0], rows, top, bottom)
    horizontal = _folded_axis(width, op.kernel[1], columns, left, right)
    if min(vertical.back, horizontal.back) < 0:
        return None  # the last folded pixels are not read
    depth = channels * rows * columns
    folded = replace(
        op,
        in_channels=depth,
        kernel=(vertical.kernel, horizontal.kernel),
        stride=(1, 1),
        padding=(vertical.front, vertical.back, horizontal.front, horizontal.back),
    )
    return FoldedStem(
        folded,
        op.stride,
        (batch, channels, vertical.size, horizontal.size),
        (batch, depth, vertical.size // rows, horizontal.size // columns),
        (vertical.lead, horizontal.lead),
    )


def may_have_one_window(op: Conv2d) -> bool:
    """Whether a convolution is a matrix product where its kernel is as large as the image."""
    return (
        op.kernel != (1, 1)
        and op.dilation == (1, 1)
        and op.groups == 1
        and op.padding == (0, 0, 0, 0)
    )


def _fold_window(op: Conv2d, shape: Shape, channels: int) -> FoldedStem:
    batch, _, height, width = shape
    depth = channels * height * width
    folded = replace(op, in_channels=depth, kernel=(1, 1), stride=(1, 1))
    image = (batch, channels, height, width)
    return FoldedStem(folded, op.kernel, image, (batch, depth, 1, 1), (0, 0))


def _may_fold(op: Conv2d) -> bool:
    rows, columns = op.stride
    return (
        op.stride != (1, 1)
        and (op.kernel != op.stride or any(op.padding))
        and op.groups == 1
        and op.dilation == (1, 1)
        and op.kernel[0] >= rows
        and op.kernel[1] >= columns
        and op.in_channels * rows * columns <= MAX_FOLDED_CHANNELS
    )


def _folded_axis(length: int, kernel: int, stride: int, before: int, after: int) -> _Axis:
    outputs = (length + before + after - kernel) // stride + 1
    front = -(-before // stride)
    lead = front * stride - before
    size = length + -length % stride
    taps = -(-(lead + kernel) // stride)
    return _Axis(size, taps, front, outputs - 1 + taps - front - size // stride, lead)


def fold_weights(weights: Weights, stem: FoldedStem) -> Weights:
    """Return the weights of the folded convolution; the bias is the same."""
    outputs, channels, height, width = weights.weight.shape
    rows, columns = stem.stride
    (kernel_rows, kernel_columns), (top, left) = stem.op.kernel, stem.lead
    placed = weights.weight.new_zeros(
        outputs, stem.image[1], kernel_rows * rows, kernel_columns * columns
    )
    placed[:, :channels, top : top + height, left : left + width] = weights.weight
    parts = placed.reshape(outputs, stem.image[1], kernel_rows, rows, kernel_columns, columns)
    folded = parts.permute(0, 3, 5, 1, 2, 4)
    return replace(weights, weight=folded.reshape(outputs, -1, kernel_rows, kernel_columns))


def fold_image(image: "torch.Tensor", stem: FoldedStem) -> "torch.Tensor":
    """Return (N, C, H, W) as the folded convolution reads it, channels ordered as by ``ttnn.fold``.

    A folded pixel has its rows one after the other, in these its columns, in these the channels.
    """
    batch, channels, height, width = image.shape
    rows, columns = stem.stride
    padded = image.new_zeros(stem.image)
    padded[:, :channels, :height, :width] = image
    _, depth, folded_rows, folded_columns = stem.folded
    parts = padded.reshape(batch, stem.image[1], folded_rows, rows, folded_columns, columns)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(batch, depth, folded_rows, folded_columns)
