"""Images of one column: ttnn is told that they are one row, which it has more room for.

ttnn 0.81.1 refuses windows that slide down narrow images once a core holds more than some thirty
rows of outputs. Pixels of a column lie in memory as those of a row do, so that nothing moves:
height and width change places in what ttnn is told, and in the kernel.
"""

from dataclasses import replace

from autosched.network.operators import (
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    LayerOp,
    Pair,
    Pool2d,
    Shape,
    is_pointwise,
)


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
