"""Images of few columns, as convolutions and pools of ttnn's take them.

ttnn 0.81.1 refuses windows that slide down images whose outputs are one or two pixels wide once a
core holds 16 of their rows, and a core holds 32 pixels at least.

Of one column ttnn is told that it is one row. Its pixels lie in memory as those of a row do, so
that nothing moves: height and width change places in what ttnn is told, and in the kernel.

Others are laid side by side, as one wide image, for a convolution. With columns of zeros in between
they have long rows; of the outputs, those whose windows begin in an image are kept. A single image
has columns of zeros at its right, as many as make its rows of outputs long enough.
"""

from dataclasses import dataclass, replace

from autosched.network.operators import (
    Conv2d,
    Convolution,
    ConvTranspose2d,
    GlobalAvgPool2d,
    LayerOp,
    Pair,
    Pool2d,
    Shape,
    is_pointwise,
)

_NARROW = 2
_ROWS_OF_A_CORE = 16


def slides_down_a_column(op: LayerOp, shape: Shape) -> bool:
    """Return whether windows of ``op`` slide down images of PyTorch's ``shape``, one pixel wide.

    They leave one column, too. A pointwise convolution is a matrix product of any pixels.
    """
    if len(shape) != 4 or shape[3] != 1 or shape[2] == 1:
        return False
    match op:
        case Conv2d() if is_pointwise(op):
            return False
        case Conv2d() | Pool2d():
            return op.padding[2] + op.padding[3] == op.dilation[1] * (op.kernel[1] - 1)
        case ConvTranspose2d():
            grown = op.dilation[1] * (op.kernel[1] - 1) + op.output_padding[1]
            return grown == 2 * op.padding[1]
        case _:
            return isinstance(op, GlobalAvgPool2d)


def as_told(op: LayerOp, shape: Shape) -> tuple[LayerOp, Shape]:
    """Return an operator and its input's PyTorch shape as ttnn is told of them."""
    if not slides_down_a_column(op, shape):
        return op, shape
    turned = turned_shape(shape)
    match op:
        case Conv2d() | Pool2d():
            top, bottom, left, right = op.padding
            return (
                replace(
                    op,
                    kernel=_swapped(op.kernel),
                    stride=_swapped(op.stride),
                    padding=(left, right, top, bottom),
                    dilation=_swapped(op.dilation),
                ),
                turned,
            )
        case ConvTranspose2d():
            return (
                replace(
                    op,
                    kernel=_swapped(op.kernel),
                    stride=_swapped(op.stride),
                    padding=_swapped(op.padding),
                    output_padding=_swapped(op.output_padding),
                    dilation=_swapped(op.dilation),
                ),
                turned,
            )
        case _:
            return op, turned


def turned_shape(shape: Shape) -> Shape:
    """Return an image's shape with height and width in each other's place."""
    return (*shape[:2], shape[3], shape[2])


def _swapped(pair: Pair) -> Pair:
    return pair[1], pair[0]


@dataclass(frozen=True)
class SideBySide:
    """A convolution of the images of a batch as one of a single image of ``shape`` (1, C, H, W).

    In it each image has ``columns``, its own first. Of as many columns of outputs as ``outputs``
    the first ``kept`` are the image's.
    """

    op: Convolution
    shape: Shape
    columns: int
    outputs: int
    kept: int


def side_by_side(op: Convolution, shape: Shape) -> SideBySide | None:
    """Return a convolution of images of PyTorch's ``shape`` as one of a wide image.

    None where ttnn takes it as it is, and for transposed convolutions whose rows of outputs cannot
    be cut evenly.
    """
    if isinstance(op, ConvTranspose2d):
        return _transposed(op, shape)
    batch, channels, height, width = shape
    top, bottom, left, right = op.padding
    reach = op.dilation[1] * (op.kernel[1] - 1)
    stride = op.stride[1]
    kept = (width + left + right - reach - 1) // stride + 1
    rows = (height + top + bottom - op.dilation[0] * (op.kernel[0] - 1) - 1) // op.stride[0] + 1
    if is_pointwise(op) or not _is_narrow(kept, batch * rows):
        return None
    beyond = max(0, (kept - 1) * stride + reach - left - (width - 1))
    columns = -(-(width + max(left, beyond)) // stride) * stride
    columns = max(columns, _fewest_outputs(batch) * stride)
    last = max(0, reach + 1 - stride - left)
    return SideBySide(
        replace(op, padding=(top, bottom, left, last)),
        (1, channels, height, batch * columns),
        columns,
        columns // stride,
        kept,
    )


def _transposed(op: ConvTranspose2d, shape: Shape) -> SideBySide | None:
    batch, channels, height, width = shape
    (down, across), (top, left) = op.stride, op.padding
    reach = [step * (size - 1) for step, size in zip(op.dilation, op.kernel, strict=True)]
    rows = (height - 1) * down - 2 * top + reach[0] + op.output_padding[0] + 1
    kept = (width - 1) * across - 2 * left + reach[1] + op.output_padding[1] + 1
    # With it a row of outputs has as many for each column of inputs as the stride.
    last = across + 2 * left - reach[1] - 1
    may_end_so = 0 <= last < max(across, op.dilation[1])
    if not may_end_so or not _is_narrow(kept, batch * rows):
        return None
    # What an image adds to must end before the next one's first output, and its own last output
    # lie before the next image adds to anything.
    columns = max(
        width,
        -(-((width - 1) * across + reach[1] + 1 - left) // across),
        -(-(left + kept) // across),
        -(-_fewest_outputs(batch) // across),
    )
    return SideBySide(
        replace(op, output_padding=(op.output_padding[0], last)),
        (1, channels, height, batch * columns),
        columns,
        columns * across,
        kept,
    )


def _is_narrow(columns: int, rows: int) -> bool:
    return columns <= _NARROW and rows >= _ROWS_OF_A_CORE


def _fewest_outputs(batch: int) -> int:
    """Return of how many outputs of each image rows are wide enough."""
    return -(-(_NARROW + 1) // batch)
