from dataclasses import dataclass

GETITEM = "getitem"
"""The step that takes one of several results."""

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
"""(top, bottom, left, right)."""
Span = tuple[int, int, int]
"""(start, stop, step)."""


@dataclass(frozen=True)
class Activation:
    """A pointwise function fused into its producer: ttnn's name for it, with its parameters."""

    name: str
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True)
class Input:
    """A tensor that the caller hands in, in PyTorch's layout."""


@dataclass(frozen=True)
class Constant:
    """A tensor that is a parameter of the network, kept with the weights."""


@dataclass(frozen=True)
class Output:
    """A tensor that the caller gets back, in PyTorch's layout."""


@dataclass(frozen=True)
class Conv2d:
    """A 2-D convolution with its folded batch norm and fused activation."""

    in_channels: int
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    has_bias: bool = True
    activation: Activation | None = None


@dataclass(frozen=True)
class ConvTranspose2d:
    """A 2-D transposed convolution with its folded batch norm and fused activation.

    ``padding`` and ``output_padding`` (height, width) count as in ``torch.nn.ConvTranspose2d``:
    the one cuts the output on both sides, the other adds rows and columns at its end.
    """

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


@dataclass(frozen=True)
class Linear:
    """A fully connected layer with its fused activation."""

    in_features: int
    out_features: int
    has_bias: bool = True
    activation: Activation | None = None


@dataclass(frozen=True)
class Pool2d:
    """Max or average pooling (``mode`` is "max" or "avg")."""

    mode: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@dataclass(frozen=True)
class GlobalAvgPool2d:
    """Average over all pixels: adaptive average pooling to 1x1."""


@dataclass(frozen=True)
class Binary:
    """A pointwise function ("add", "sub", "mul", "div") of two tensors, and a fused activation."""

    function: str
    activation: Activation | None = None


@dataclass(frozen=True)
class Unary:
    """A pointwise function that no producer could fuse."""

    activation: Activation


@dataclass(frozen=True)
class Concat:
    """The inputs one after the other along channels (or features)."""


@dataclass(frozen=True)
class Slice:
    """The channels (or features) from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int


@dataclass(frozen=True)
class Crop:
    """Part of an image: rows and columns from a start up to, not including, a stop, by steps."""

    rows: Span
    columns: Span


@dataclass(frozen=True)
class Pad:
    """Rows and columns of zeros around an image that no reader could take over."""

    padding: Padding


@dataclass(frozen=True)
class Upsample:
    """Enlargement by whole factors (height, width): ``mode`` is "nearest" or "bilinear".

    Bilinear as with ``align_corners=False``: pixels are areas, not points.
    """

    mode: str
    scale: Pair


@dataclass(frozen=True)
class PixelShuffle:
    """Channels to pixels: (N, C * factor**2, H, W) to (N, C, H * factor, W * factor)."""

    factor: int


@dataclass(frozen=True)
class Softmax:
    """Softmax along ``dim`` (counted from the front)."""

    dim: int


@dataclass(frozen=True)
class LayerNorm:
    """Normalises the channels of every pixel, or the features of every vector, for themselves."""

    eps: float


@dataclass(frozen=True)
class GroupNorm:
    """Normalises each group of an image's channels over all of its pixels."""

    groups: int
    eps: float


@dataclass(frozen=True)
class Matmul:
    """The product of two tensors, (B, M, K) and (B, K, N), or (B, N, K) with ``transposed``."""

    transposed: bool = False


@dataclass(frozen=True)
class Attention:
    """Softmax of ``scale`` * queries * keys, times values, for each of ``heads`` parts of channels.

    Its inputs are queries, keys and values as images (N, C, H, W), every pixel a token. A fourth, a
    constant (1 or N * heads, queries, keys), is added to the scaled products.
    """

    heads: int
    scale: float


@dataclass(frozen=True)
class Permute:
    """The source's elements, read as ``sizes``, with these axes put in ``order``.

    The layer's shape is how the result is read.
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Reshape:
    """A view of the same elements: flatten, reshape, squeeze. The layer's shape is the target."""


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
class HostOp:
    """What ttnn lacks, run in PyTorch on the host in float32: its last step makes the result.

    Its inputs are read back from the device, each as its view says, and the result is uploaded.
    """

    steps: tuple[HostStep, ...]
    views: tuple[HostView, ...]


LayerOp = (
    Input
    | Constant
    | Output
    | Conv2d
    | ConvTranspose2d
    | Linear
    | Pool2d
    | GlobalAvgPool2d
    | Binary
    | Unary
    | Concat
    | Slice
    | Crop
    | Pad
    | Upsample
    | PixelShuffle
    | Softmax
    | LayerNorm
    | GroupNorm
    | Matmul
    | Attention
    | Permute
    | Reshape
    | HostOp
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
