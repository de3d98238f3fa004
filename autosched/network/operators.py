"""What a layer computes: the operators, with their parameters as PyTorch has them.

Shapes are PyTorch's: (N, C, H, W) for images, (N, features) for vectors.
"""

from dataclasses import dataclass
from typing import ClassVar

GETITEM = "getitem"
"""The step that takes one of several results."""

NHWC, DEVICE = "nhwc", "device"
"""Orders of a caller's tensors besides PyTorch's: rows of channels in DRAM, or as layers have them.
They are the methods of such layers, too."""

Shape = tuple[int, ...]
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
"""(top, bottom, left, right)."""
Span = tuple[int, int, int]
"""(start, stop, step)."""


class Operator:
    """What all operators say of themselves beside their parameters.

    ``family`` names the files that know the operator: its rules, its ttnn calls. ``takes_images``
    tells that its calls take an image as (N, H, W, C), too, not only as (1, 1, pixels, channels),
    ``leaves_rows`` that its output is in rows rather than tiles.
    """

    family: ClassVar[str]
    takes_images: ClassVar[bool] = False
    leaves_rows: ClassVar[bool] = False

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None] | None:  # noqa: ARG002
        """Return the shapes of weights and bias of a layer of PyTorch's ``shape``, or None."""
        return None


@dataclass(frozen=True)
class Activation:
    """A pointwise function fused into its producer: ttnn's name for it, with its parameters."""

    name: str
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True)
class Input(Operator):
    """A tensor that the caller hands in, in PyTorch's layout."""

    family: ClassVar[str] = "inputs_outputs"
    takes_images: ClassVar[bool] = True


@dataclass(frozen=True)
class DeviceInput(Input):
    """An image that the caller hands in as the device has it: rows of channels, or anywhere."""

    order: str


@dataclass(frozen=True)
class Constant(Operator):
    """A tensor that is a parameter of the network, kept with the weights."""

    family: ClassVar[str] = "inputs_outputs"

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None]:
        """Return its own shape."""
        return shape, None


@dataclass(frozen=True)
class Output(Operator):
    """A tensor that the caller gets back, in PyTorch's layout."""

    family: ClassVar[str] = "inputs_outputs"
    takes_images: ClassVar[bool] = True


@dataclass(frozen=True)
class ActivatedOutput(Output):
    """An image of few channels that the caller gets back, with a function of each of its values.

    On the device a tile has 32 channels; in PyTorch's order no place is empty, so that the function
    takes the less time the fewer channels there are.
    """

    activation: Activation


@dataclass(frozen=True)
class DeviceOutput(Output):
    """A tensor that the caller gets back as the device has it: rows of channels, or anywhere."""

    order: str


@dataclass(frozen=True)
class Conv2d(Operator):
    """A 2-D convolution with its folded batch norm and fused activation."""

    family: ClassVar[str] = "convolutions"
    takes_images: ClassVar[bool] = True

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    has_bias: bool = True
    activation: Activation | None = None

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None]:  # noqa: ARG002
        """Return the shapes of kernels (out, in of a group, height, width) and bias."""
        kernels = (self.out_channels, self.in_channels // self.groups, *self.kernel)
        return kernels, (self.out_channels,) if self.has_bias else None


@dataclass(frozen=True)
class ConvTranspose2d(Operator):
    """A 2-D transposed convolution with its folded batch norm and fused activation.

    ``padding`` and ``output_padding`` (height, width) count as in ``torch.nn.ConvTranspose2d``:
    the one cuts the output on both sides, the other adds rows and columns at its end.
    """

    family: ClassVar[str] = "convolutions"
    takes_images: ClassVar[bool] = True

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    has_bias: bool = True
    activation: Activation | None = None

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None]:  # noqa: ARG002
        """Return the shapes of kernels (in, out of a group, height, width) and bias."""
        kernels = (self.in_channels, self.out_channels // self.groups, *self.kernel)
        return kernels, (self.out_channels,) if self.has_bias else None


@dataclass(frozen=True)
class Linear(Operator):
    """A fully connected layer with its fused activation."""

    family: ClassVar[str] = "products"

    in_features: int
    out_features: int
    has_bias: bool = True
    activation: Activation | None = None

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None]:  # noqa: ARG002
        """Return the shapes of the matrix (out, in) and bias."""
        matrix = (self.out_features, self.in_features)
        return matrix, (self.out_features,) if self.has_bias else None


@dataclass(frozen=True)
class Pool2d(Operator):
    """Max or average pooling (``mode`` is "max" or "avg")."""

    family: ClassVar[str] = "pooling"
    takes_images: ClassVar[bool] = True

    mode: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@dataclass(frozen=True)
class GlobalAvgPool2d(Operator):
    """Average over all pixels: adaptive average pooling to 1x1."""

    family: ClassVar[str] = "pooling"
    takes_images: ClassVar[bool] = True


@dataclass(frozen=True)
class Binary(Operator):
    """A pointwise function of two tensors, and a fused activation.

    The functions are "add", "sub", "mul", "div", "maximum" and "minimum".
    """

    family: ClassVar[str] = "eltwise"

    function: str
    activation: Activation | None = None


@dataclass(frozen=True)
class Unary(Operator):
    """A pointwise function that no producer could fuse."""

    family: ClassVar[str] = "eltwise"

    activation: Activation


@dataclass(frozen=True)
class Concat(Operator):
    """The inputs one after the other along channels (or features)."""

    family: ClassVar[str] = "images"


@dataclass(frozen=True)
class ConcatRows(Operator):
    """The inputs' rows one below the other: (N, C, H, W) each, with heights of their own."""

    family: ClassVar[str] = "images"


@dataclass(frozen=True)
class Slice(Operator):
    """The channels (or features) from ``start`` up to, not including, ``stop``."""

    family: ClassVar[str] = "images"

    start: int
    stop: int


@dataclass(frozen=True)
class Crop(Operator):
    """Part of an image: rows and columns from a start up to, not including, a stop, by steps."""

    family: ClassVar[str] = "images"
    takes_images: ClassVar[bool] = True

    rows: Span
    columns: Span


@dataclass(frozen=True)
class Pad(Operator):
    """Rows and columns of zeros around an image that no reader could take over.

    With less than none at a side, so many rows or columns are cut off there, as PyTorch has it.
    """

    family: ClassVar[str] = "images"
    takes_images: ClassVar[bool] = True
    leaves_rows: ClassVar[bool] = True

    padding: Padding


@dataclass(frozen=True)
class Gather(Operator):
    """Rows and columns of an image by their numbers, some of them several times or never.

    Padding by reflection, rolling and mirroring are such; (N, C, H, W) becomes (N, C, number of
    ``rows``, number of ``columns``).
    """

    family: ClassVar[str] = "images"
    takes_images: ClassVar[bool] = True
    leaves_rows: ClassVar[bool] = True

    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Upsample(Operator):
    """Enlargement by whole factors (height, width): ``mode`` is "nearest" or "bilinear".

    Bilinear as with ``align_corners=False``: pixels are areas, not points.
    """

    family: ClassVar[str] = "images"
    takes_images: ClassVar[bool] = True
    leaves_rows: ClassVar[bool] = True

    mode: str
    scale: Pair


@dataclass(frozen=True)
class PixelShuffle(Operator):
    """Channels to pixels: (N, C * factor**2, H, W) to (N, C, H * factor, W * factor)."""

    family: ClassVar[str] = "images"
    takes_images: ClassVar[bool] = True
    leaves_rows: ClassVar[bool] = True

    factor: int


@dataclass(frozen=True)
class Softmax(Operator):
    """Softmax along ``dim`` (counted from the front)."""

    family: ClassVar[str] = "norms"

    dim: int


@dataclass(frozen=True)
class LayerNorm(Operator):
    """Normalises the channels of every pixel, or the features of every vector, for themselves."""

    family: ClassVar[str] = "norms"

    eps: float

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None]:
        """Return the shapes of scales and shifts: one each for a channel."""
        return (shape[1],), (shape[1],)


@dataclass(frozen=True)
class GroupNorm(Operator):
    """Normalises each group of an image's channels over all of its pixels."""

    family: ClassVar[str] = "norms"

    groups: int
    eps: float

    def parameter_shapes(self, shape: Shape) -> tuple[Shape, Shape | None]:
        """Return the shapes of scales and shifts: one each for a channel."""
        return (shape[1],), (shape[1],)


@dataclass(frozen=True)
class PlainGroupNorm(GroupNorm):
    """A group norm whose scales are all one and whose shifts are zero."""


@dataclass(frozen=True)
class Matmul(Operator):
    """The product of two tensors, (B, M, K) and (B, K, N), or (B, N, K) with ``transposed``."""

    family: ClassVar[str] = "products"

    transposed: bool = False


@dataclass(frozen=True)
class Attention(Operator):
    """Softmax of ``scale`` * queries * keys, times values, for each of ``heads`` parts of channels.

    Its inputs are queries, keys and values as images (N, C, H, W), every pixel a token. A fourth, a
    constant (1 or N * heads, queries, keys), is added to the scaled products.
    """

    family: ClassVar[str] = "products"

    heads: int
    scale: float


@dataclass(frozen=True)
class Permute(Operator):
    """The source's elements, read as ``sizes``, with these axes put in ``order``.

    The layer's shape is how the result is read.
    """

    family: ClassVar[str] = "reshaping"

    sizes: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Reshape(Operator):
    """A view of the same elements: flatten, reshape, squeeze. The layer's shape is the target."""

    family: ClassVar[str] = "reshaping"


@dataclass(frozen=True)
class HostView:
    """How the host reads an input: as ``sizes``, with these axes put in ``order``, as ``shape``."""

    sizes: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class HostStep:
    """One of PyTorch's operators as the host calls it.

    ``operator`` is its ATen name ("aten.prelu.default"), ``arguments`` the JSON text of a list of
    positional and a mapping of keyword arguments; :mod:`autosched.network.host_ops` has the form.
    """

    operator: str
    arguments: str


@dataclass(frozen=True)
class HostOp(Operator):
    """What ttnn lacks, run in PyTorch on the host in float32: its last step makes the result.

    Its inputs are read back from the device, each as its view says, and the result is uploaded.
    """

    family: ClassVar[str] = "host"

    steps: tuple[HostStep, ...]
    views: tuple[HostView, ...]


@dataclass(frozen=True)
class HostOutput(HostOp, Output):
    """What the host makes for the caller alone: the result stays there, whatever its type.

    ``dtype`` is PyTorch's name of that, such as "int64".
    """

    family: ClassVar[str] = "host"
    takes_images: ClassVar[bool] = False

    dtype: str


LayerOp = (
    Input
    | Constant
    | Output
    | ActivatedOutput
    | Conv2d
    | ConvTranspose2d
    | Linear
    | Pool2d
    | GlobalAvgPool2d
    | Binary
    | Unary
    | Concat
    | ConcatRows
    | Slice
    | Crop
    | Pad
    | Gather
    | Upsample
    | PixelShuffle
    | Softmax
    | LayerNorm
    | GroupNorm
    | PlainGroupNorm
    | Matmul
    | Attention
    | Permute
    | Reshape
    | HostOp
    | HostOutput
)

Convolution = Conv2d | ConvTranspose2d


def is_pointwise(op: Convolution) -> bool:
    """Return whether ttnn runs the convolution as a matmul (1x1, no padding, no stride)."""
    return (
        isinstance(op, Conv2d)
        and op.kernel == (1, 1)
        and op.stride == (1, 1)
        and op.padding == (0, 0, 0, 0)
        and op.groups == 1
    )
