"""Rules for pooling, and for means and sums that are poolings.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, GlobalAvgPool2d, Pool2d, Reshape, Upsample
from autosched.network.rules.convolutions import as_image, both_sides, with_ones
from autosched.network.rules.resizing import averaging_matrix, between_matrices
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()


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
    is_global = _is_global_average(op, source.shape, shape)
    key = lowering.add(node, GlobalAvgPool2d() if is_global else op, [source.key], shape=shape)
    return View.whole(key, shape).without_trailing(len(shape_of(node)))


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


@RULES.rule("mean")
def _mean(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    view = lowering.view(arguments["self"])
    rank = len(view.dims)
    dims = {dim % rank for dim in arguments.get("dim") or range(rank)}
    if rank == 4 and dims == {2, 3}:
        view = View.whole(lowering.draft(arguments["self"]).key, view.shape)
    averaged = tuple(sorted(part for dim in dims for part in view.dims[dim]))
    kept = [dim for dim in range(rank) if dim not in dims]
    if rank == 4 and dims == {CHANNELS}:
        return _weighed(lowering, node, 1 / view.shape[CHANNELS])
    if (
        len(view.base) != 4
        or averaged != view.parts(2, 3)
        or view.flat_of(kept) != view.parts(0, CHANNELS)
    ):
        raise Refusal("only the mean over height and width, or over channels, has a layer")
    shape = (*view.base[:2], 1, 1)
    key = lowering.add(node, GlobalAvgPool2d(), [view.key], shape=shape)
    if shape_of(node) == shape:
        return key
    return lowering.add(node, Reshape(), [key], shape=shape_of(node), suffix="flatten")


@RULES.rule("sum")
def _sum(lowering: Lowering, node: Node) -> View:
    rank = len(lowering.view(node.all_input_nodes[0]).dims)
    if rank != 4 or [dim % rank for dim in lowering.arguments(node).get("dim") or ()] != [CHANNELS]:
        raise Refusal("only the sum over the channels of an image has a layer")
    return _weighed(lowering, node, 1.0)


def _weighed(lowering: Lowering, node: Node, weight: float) -> View:
    """The weighted sum of an image's channels, which is a convolution to one channel."""
    source = lowering.image(node.all_input_nodes[0])
    batch, channels, *sides = source.shape
    shape = (batch, 1, *sides)
    op = Conv2d(channels, 1, (1, 1), has_bias=False)
    weights = Weights(torch.full((1, channels, 1, 1), weight))
    key = lowering.add(node, op, [source.key], shape=shape, weights=weights)
    result = View.whole(key, shape).reshaped(shape_of(node))
    assert result is not None  # noqa: S101 - it keeps or drops a dimension of size 1
    return result
