"""Rules for pooling, and for resizing, averaging and padding that ttnn has no operator for.

The latter work on rows and on columns alone, and are linear: the result is the image between two
constant matrices, which PyTorch's own operator gives when it is applied to an identity.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Constant, Gather, GlobalAvgPool2d, Matmul, Pool2d, Upsample
from autosched.network.rules.convolutions import as_image, both_sides, with_ones
from autosched.network.rules.expansions import mixed
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import View

RULES = RuleBook()

# Up to this size one matrix of all pixels is used: the image then stays as it lies on the device.
_MAX_ELEMENTS = 1 << 23

_RESIZES = (
    "upsample_nearest1d",
    "upsample_nearest_exact1d",
    "upsample_linear1d",
    "upsample_nearest2d",
    "upsample_nearest_exact2d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "upsample_bilinear2d_aa",
    "upsample_bicubic2d_aa",
)


@RULES.rule(*_RESIZES)
def _resize(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    source = node.all_input_nodes[0]
    before, after = lowering.view(source).shape, shape_of(node)
    scales = _scales(arguments, len(before) - 2)
    if before == after and all(scale in {None, 1.0} for scale in scales):
        return lowering.view(source)
    whole = _whole_factors(node, arguments, before, after, scales)
    if whole is not None:
        return lowering.add(node, whole, [lowering.image(source).key])
    matrices = [
        _resizing_matrix(node, arguments, size, target, scale)
        for size, target, scale in zip(before[2:], after[2:], scales, strict=True)
    ]
    return between_matrices(lowering, node, source, matrices)


def _scales(arguments: dict[str, Any], count: int) -> list[float | None]:
    """The factors that PyTorch maps pixels by, None where it takes the ratio of the sizes."""
    if arguments.get("scale_factors") is not None:
        return [float(scale) for scale in arguments["scale_factors"]]
    names = ("scales",) if "scales" in arguments else ("scales_h", "scales_w")
    found = [arguments.get(name) for name in names][:count]
    return [None if scale is None else float(scale) for scale in found]


def _whole_factors(
    node: Node,
    arguments: dict[str, Any],
    before: tuple[int, ...],
    after: tuple[int, ...],
    scales: Sequence[float | None],
) -> Upsample | None:
    """The layer that ttnn has for it: enlargement by whole factors, pixels being areas."""
    mode = operator_name(node).removeprefix("upsample_").removesuffix("_exact2d").removesuffix("2d")
    sides = list(zip(before[2:], after[2:], scales, strict=True))
    if mode not in {"nearest", "bilinear"} or len(sides) != 2:
        return None
    if any(target % size or scale not in {None, target / size} for size, target, scale in sides):
        return None
    is_pixel = before[2:] == (1, 1)
    if arguments.get("align_corners") and not is_pixel:
        return None
    factors = (after[2] // before[2], after[3] // before[3])
    return Upsample("nearest" if is_pixel else mode, factors)


def _resizing_matrix(
    node: Node, arguments: dict[str, Any], size: int, target: int, scale: float | None
) -> torch.Tensor:
    """(target, size): how each row of the result is made of the source's rows."""
    assert isinstance(node.target, torch._ops.OpOverload)  # noqa: S101 - every rule's node
    operator = node.target.overloadpacket.default
    corners = [arguments["align_corners"]] if "align_corners" in arguments else []
    rows = torch.eye(size)[:, None]
    if len(shape_of(node)) == 3:
        made: torch.Tensor = operator(rows, [target], *corners, scale)
    else:
        # As columns of an image one pixel high: antialiased, PyTorch mixes up those one pixel wide.
        made = operator(rows[:, None], [1, target], *corners, None, scale)
    return made.reshape(size, target).T.contiguous()


def averaging_matrix(size: int, target: int) -> torch.Tensor:
    """(target, size): adaptive average pooling of one dimension."""
    eye = torch.eye(size)[:, None]
    return torch.nn.functional.adaptive_avg_pool1d(eye, target)[:, 0].T.contiguous()


@RULES.rule("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def _mirrored(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    kind = "reflect" if operator_name(node).startswith("reflection") else "replicate"
    return padded_by_matrices(lowering, node, arguments["self"], arguments["padding"], kind)


def padded_by_matrices(
    lowering: Lowering, node: Node, source: Node, padding: Sequence[int], kind: str
) -> View:
    """A tensor padded with parts of itself: ``kind`` is "reflect", "replicate" or "circular".

    ``padding`` is PyTorch's, (left, right, top, bottom).

    Raises:
        Refusal: it pads other dimensions than those after the channels.
    """
    sides = lowering.view(source).shape[2:]
    ends = list(zip(padding[::2], padding[1::2], strict=True))[::-1]
    if len(ends) != len(sides) or min(padding) < 0:
        raise Refusal(f"{kind} padding {list(padding)} is not of height and width")
    matrices = [
        torch.nn.functional.pad(torch.eye(size)[:, None], end, mode=kind)[:, 0].T.contiguous()
        for size, end in zip(sides, ends, strict=True)
    ]
    return between_matrices(lowering, node, source, matrices)


def between_matrices(
    lowering: Lowering, node: Node, source: Node, matrices: Sequence[torch.Tensor]
) -> View:
    """A tensor (N, C, ...) with a constant matrix (new size, size) applied to each later dimension.

    Raises:
        Refusal: the tensor has another number of dimensions.
    """
    view = lowering.view(source)
    if len(view.shape) != len(matrices) + 2:
        raise Refusal(f"its input has shape {view.shape}, not (N, C, H, W)")
    batch = view.shape[0]
    together = matrices[0]
    if batch * math.prod(matrix.numel() for matrix in matrices) <= _MAX_ELEMENTS:
        for matrix in matrices[1:]:
            together = torch.kron(together, matrix)
        sizes = [len(matrix) for matrix in matrices]
        return _of_pixels(lowering, node, view, together, sizes)
    taken = [_taken(matrix) for matrix in matrices]
    if len(taken) == 2 and all(taken):
        inputs, shape = [lowering.image(source).key], (*view.shape[:2], *map(len, taken))
        return View.whole(lowering.add(node, Gather(*taken), inputs, shape=shape), shape)
    for number, matrix in enumerate(matrices):
        lowering.views[node] = view
        view = _along(lowering, node, number + 2, matrix, "" if number else "rows")
    return view


def _taken(matrix: torch.Tensor) -> tuple[int, ...]:
    """Return which column each row of a matrix takes as it is; nothing if one does more."""
    is_one = (matrix == 1) & (matrix.abs().sum(1, keepdim=True) == 1)
    return tuple(is_one.int().argmax(1).tolist()) if bool(is_one.any(1).all()) else ()


def _of_pixels(
    lowering: Lowering, node: Node, view: View, matrix: torch.Tensor, sizes: Sequence[int]
) -> View:
    """Multiply all pixels of each image, as rows of channels, by one matrix from the left."""
    batch, channels, *sides = view.shape
    last = [*range(2, len(view.shape)), 1]
    pixels = view.permuted([0, *last]).reshaped((batch, math.prod(sides), channels))
    assert pixels is not None  # noqa: S101 - merging dimensions always succeeds
    right = lowering.rearranged(node, pixels, suffix="pixels")
    repeated = matrix.expand(batch, *matrix.shape).contiguous()
    shape = tuple(repeated.shape)
    left = lowering.add(
        node, Constant(), [], shape=shape, weights=Weights(repeated), suffix="matrix"
    )
    shape = (batch, len(matrix), channels)
    key = lowering.add(node, Matmul(), [left, right], shape=shape)
    result = View.whole(key, shape).reshaped((batch, *sizes, channels))
    assert result is not None  # noqa: S101 - it only splits the pixels
    return result.permuted([0, len(sizes) + 1, *range(1, len(sizes) + 1)])


def _along(lowering: Lowering, node: Node, dim: int, matrix: torch.Tensor, suffix: str) -> View:
    """Multiply along one dimension, made the channels."""
    view = lowering.channels_at(node, dim)
    key = mixed(lowering, node, view, matrix, suffix)
    return view.resized(key, dim, len(matrix))


@RULES.rule("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "max_pool1d", "avg_pool1d")
def _pool(lowering: Lowering, node: Node) -> View:
    """Lower a pooling; of a series, that of an image of one column."""
    arguments = lowering.arguments(node)
    source = as_image(lowering, node, arguments["self"])
    size = with_ones(arguments["kernel_size"], node, 1)
    op = Pool2d(
        mode=operator_name(node)[:3],
        kernel=size,
        stride=with_ones(arguments["stride"], node, 1) if arguments["stride"] else size,
        padding=both_sides(with_ones(arguments["padding"], node, 0)),
        dilation=with_ones(arguments.get("dilation", 1), node, 1),
        ceil_mode=arguments["ceil_mode"],
        count_include_pad=arguments.get("count_include_pad", True),
        divisor_override=arguments.get("divisor_override"),
    )
    shape = (*shape_of(node), 1)[:4]
    op = _clipped(op, source.shape)
    is_global = _is_global_average(op, source.shape, shape)
    key = lowering.add(node, GlobalAvgPool2d() if is_global else op, [source.key], shape=shape)
    return View.whole(key, shape).without_trailing(len(shape_of(node)))


def _clipped(op: Pool2d, shape: tuple[int, ...]) -> Pool2d:
    """Leave out what a window has beyond an image that it covers, as it may where sizes round up.

    PyTorch counts it in no mean; ttnn's host code takes minutes over windows of hundreds of rows.
    """
    if not op.ceil_mode or any(op.padding) or op.dilation != (1, 1):
        return op
    sides = [
        (size, size) if kernel > size else (kernel, step)
        for kernel, step, size in zip(op.kernel, op.stride, shape[2:], strict=True)
    ]
    (height, down), (width, across) = sides
    return replace(op, kernel=(height, width), stride=(down, across))


def _is_global_average(op: Pool2d, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    covers_all = op.kernel == before[2:] and after[2:] == (1, 1) and not any(op.padding)
    return op.mode == "avg" and covers_all and op.divisor_override is None


@RULES.rule("adaptive_avg_pool1d")
def _adaptive_series_pool(lowering: Lowering, node: Node) -> View:
    source = lowering.arguments(node)["self"]
    size, target = lowering.view(source).shape[-1], shape_of(node)[-1]
    return between_matrices(lowering, node, source, [averaging_matrix(size, target)])


@RULES.rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(lowering: Lowering, node: Node) -> str | View:
    source = lowering.image(lowering.arguments(node)["self"])
    size, target = source.shape[2:], shape_of(node)[2:]
    mode = operator_name(node)[9:12]
    if target == size:
        return source.key
    if mode == "avg" and target == (1, 1):
        return lowering.add(node, GlobalAvgPool2d(), [source.key])
    if not any(part % full for full, part in zip(size, target, strict=True)):
        # Every window is a single pixel.
        factors = (target[0] // size[0], target[1] // size[1])
        return lowering.add(node, Upsample("nearest", factors), [source.key])
    if any(full % part for full, part in zip(size, target, strict=True)):
        if mode == "avg":
            matrices = [averaging_matrix(*sides) for sides in zip(size, target, strict=True)]
            return between_matrices(lowering, node, node.all_input_nodes[0], matrices)
        raise Refusal(f"output size {target} does not divide the input's {size}")
    kernel = (size[0] // target[0], size[1] // target[1])
    return lowering.add(node, Pool2d(mode, kernel, kernel), [source.key])
