"""Rules for pooling.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from torch.fx import Node

from autosched.network.operators import GlobalAvgPool2d, Pool2d, Upsample
from autosched.network.rules.convolutions import as_image, both_sides, with_ones
from autosched.network.rules.resizing import averaging_matrix, between_matrices
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import View

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
