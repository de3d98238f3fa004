"""The narrow images of a batch laid side by side, as one wide image, for a convolution.

ttnn 0.81.1 refuses convolutions whose output is one or two pixels wide once a core holds 16 of its
rows, and a core holds 32 pixels at least. Beside each other, with columns of zeros in between, the
images have long rows; of the outputs, those whose windows begin in an image are kept.
"""

from dataclasses import dataclass, replace

from autosched.network.operators import Conv2d, Shape, is_pointwise

_NARROW = 2
_ROWS_OF_A_CORE = 16


@dataclass(frozen=True)
class SideBySide:
    """A convolution of the images of a batch as one of a single image of ``shape`` (1, C, H, W).

    In it each image has ``columns``, its own first. Of as many columns of outputs as ``outputs``
    the first ``kept`` are the image's.
    """

    op: Conv2d
    shape: Shape
    columns: int
    outputs: int
    kept: int


def side_by_side(op: Conv2d, shape: Shape) -> SideBySide | None:
    """Return a convolution of images of PyTorch's ``shape`` as one of a wide image.

    None where ttnn takes it as it is.
    """
    batch, channels, height, width = shape
    top, bottom, left, right = op.padding
    reach = op.dilation[1] * (op.kernel[1] - 1)
    stride = op.stride[1]
    kept = (width + left + right - reach - 1) // stride + 1
    rows = (height + top + bottom - op.dilation[0] * (op.kernel[0] - 1) - 1) // op.stride[0] + 1
    if is_pointwise(op) or kept > _NARROW or batch == 1 or batch * rows < _ROWS_OF_A_CORE:
        return None
    beyond = max(0, (kept - 1) * stride + reach - left - (width - 1))
    columns = -(-(width + max(left, beyond)) // stride) * stride
    last = max(0, reach + 1 - stride - left)
    return SideBySide(
        replace(op, padding=(top, bottom, left, last)),
        (1, channels, height, batch * columns),
        columns,
        columns // stride,
        kept,
    )
