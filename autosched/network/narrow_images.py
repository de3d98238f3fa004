"""Narrow images laid side by side, as one wide image, for a convolution.

ttnn 0.81.1 refuses convolutions whose output is one or two pixels wide once a core holds 16 of its
rows, and a core holds 32 pixels at least. Beside each other, with columns of zeros in between, the
images have long rows; of the outputs, those whose windows begin in an image are kept. A single
image has columns of zeros at its right, as many as make its rows of outputs long enough.
"""

from dataclasses import dataclass, replace

from autosched.network.operators import Convolution, ConvTranspose2d, Shape, is_pointwise

_NARROW = 2
_ROWS_OF_A_CORE = 16


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
