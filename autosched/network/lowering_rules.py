"""One rule per ATen operator: how it becomes a layer, or why it cannot.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from typing import Any

import torch
from torch import nn
from torch.fx import Node

from autosched.network.activation_rules import RULES as ACTIVATION_RULES
from autosched.network.convolution_rules import RULES as CONVOLUTION_RULES
from autosched.network.convolution_rules import as_image, both_sides, with_ones
from autosched.network.drafts import BatchNorm, Draft, ZeroPad
from autosched.network.graph import (
    Binary,
    Constant,
    Conv2d,
    GlobalAvgPool2d,
    Linear,
    Pool2d,
    Reshape,
    Softmax,
    Upsample,
    Weights,
)
from autosched.network.image_rules import RULES as IMAGE_RULES
from autosched.network.lowering import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.resizing_rules import RULES as RESIZING_RULES
from autosched.network.resizing_rules import averaging_matrix, between_matrices, padded_by_matrices
from autosched.network.token_rules import RULES as TOKEN_RULES
from autosched.network.token_rules import product
from autosched.network.view_rules import RULES as VIEW_RULES
from autosched.network.views import CHANNELS, View

RULES = RuleBook(
    {
        **ACTIVATION_RULES,
        **CONVOLUTION_RULES,
        **IMAGE_RULES,
        **RESIZING_RULES,
        **VIEW_RULES,
        **TOKEN_RULES,
    }
)
_rule = RULES.rule


@_rule("batch_norm", "native_batch_norm_legit_no_training")
def _batch_norm(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if arguments.get("training") or arguments["running_mean"] is None:
        raise Refusal("it normalises with the batch's own statistics (track_running_stats=False)")
    tensors = {
        name: lowering.constant(arguments[name], name)
        for name in ("running_mean", "running_var", "weight", "bias")
        if arguments[name] is not None
    }
    view = lowering.channels_at(arguments["input"], CHANNELS)
    return _per_channel(lowering, node, view, tensors, arguments["eps"])


def _per_channel(
    lowering: Lowering, node: Node, view: View, tensors: dict[str, torch.Tensor], eps: float
) -> View:
    """Scale and shift the channels of a view's draft."""
    channels = view.base[CHANNELS]
    module = nn.BatchNorm2d(channels, eps=eps).eval().requires_grad_(requires_grad=False)
    for name, tensor in tensors.items():
        getattr(module, name).data = tensor.expand(channels).contiguous()
    return view.of(lowering.add(node, BatchNorm(module), [view.key], shape=view.base))


@_rule("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "max_pool1d", "avg_pool1d")
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


@_rule("adaptive_avg_pool1d")
def _adaptive_series_pool(lowering: Lowering, node: Node) -> View:
    source = lowering.arguments(node)["self"]
    size, target = lowering.view(source).shape[-1], shape_of(node)[-1]
    return between_matrices(lowering, node, source, [averaging_matrix(size, target)])


@_rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
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


@_rule("mean")
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


@_rule("sum")
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


@_rule("linear")
def _linear(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    weight = lowering.constant(arguments["weight"], "weight")
    return _fully_connected(lowering, node, arguments["input"], weight, arguments["bias"])


@_rule("addmm")
def _addmm(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    if (arguments["beta"], arguments["alpha"]) != (1, 1):
        raise Refusal("beta and alpha other than 1 have no layer")
    weight = lowering.constant(arguments["mat2"], "matrix").T.contiguous()
    return _fully_connected(lowering, node, arguments["mat1"], weight, arguments["self"])


@_rule("matmul", "mm", "bmm")
def _matmul(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    left, right = arguments["self"], arguments["other" if "other" in arguments else "mat2"]
    if not lowering.is_constant(left) and not lowering.is_constant(right):
        return product(lowering, node, left, right)
    if not lowering.is_constant(right):
        raise Refusal("a product with a parameter on the left has no layer; put it on the right")
    matrix = lowering.constant(right, "matrix")
    if matrix.dim() != 2:
        raise Refusal(f"its parameter has shape {tuple(matrix.shape)}, not (in, out)")
    return _fully_connected(lowering, node, left, matrix.T.contiguous(), None)


def _fully_connected(
    lowering: Lowering, node: Node, source: Node, weight: torch.Tensor, bias: Node | None
) -> View:
    """A linear layer of vectors; of tokens, which are pixels, a pointwise convolution."""
    if lowering.is_constant(source):
        raise Refusal("a product with a parameter on the left has no layer; put it on the right")
    if len(lowering.view(source).shape) == 2:
        lowering.draft(source)
    view = lowering.channels_at(source, -1)
    outputs, features = weight.shape
    vector = None
    if bias is not None:
        vector = lowering.constant(bias, "bias")
        if vector.numel() not in {1, outputs} or vector.shape[-1:].numel() != vector.numel():
            raise Refusal(f"its bias has shape {tuple(vector.shape)}, not ({outputs},)")
        vector = vector.reshape(-1).expand(outputs).contiguous()
    op: Linear | Conv2d = Linear(features, outputs, has_bias=vector is not None)
    if len(view.base) == 4:
        op = Conv2d(features, outputs, (1, 1), has_bias=vector is not None)
        weight = weight[:, :, None, None]
    shape = (view.base[0], outputs, *view.base[2:])
    key = lowering.add(node, op, [view.key], shape=shape, weights=Weights(weight, vector))
    return view.resized(key, len(view.dims) - 1, outputs)


@_rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def _dropout(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if arguments["train"] and arguments["p"]:
        raise Refusal("it drops at random even in eval mode; pass training=self.training")
    return lowering.view(node.all_input_nodes[0])


@_rule("identity", "contiguous", "detach", "clone", "alias", "lift_fresh_copy", "expand")
@_rule("to", "to_copy", "type_as", "expand_as", "positive")
def _nothing(lowering: Lowering, node: Node) -> View:
    source = node.all_input_nodes[0]
    if shape_of(source) != shape_of(node):
        raise Refusal(f"it copies {shape_of(source)} to {shape_of(node)}")
    return lowering.view(source)


@_rule("softmax")
def _softmax(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view = lowering.channels_at(arguments["self"], arguments["dim"])
    return view.of(lowering.add(node, Softmax(CHANNELS), [view.key], shape=view.base))


@_rule("pad", "constant_pad_nd")
def _pad(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    if not any(arguments["pad"]):
        return lowering.view(arguments["self"])
    kind = arguments.get("mode", "constant")
    if kind != "constant":
        return padded_by_matrices(lowering, node, arguments["self"], arguments["pad"], kind)
    source = lowering.image(arguments["self"])
    if arguments["value"]:
        raise Refusal("only padding with zeros, or with what is there, has a layer")
    sides = [*arguments["pad"], 0, 0, 0, 0][:4]
    if len(arguments["pad"]) > 4 or min(sides) < 0:
        raise Refusal(f"padding {list(arguments['pad'])} is not of height and width alone")
    left, right, top, bottom = sides
    return lowering.add(node, ZeroPad((top, bottom, left, right)), [source.key])


@_rule("add", "sub", "mul", "div", "rsub", "neg")
def _arithmetic(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    if arguments.get("rounding_mode"):
        raise Refusal("a rounding division has no layer")
    function, left = operator_name(node), arguments["self"]
    right = arguments.get("other", 0)
    if function == "neg":
        function, left, right = "sub", 0, left
    if function == "rsub":
        function, left, right = "sub", right, left
    if arguments.get("alpha", 1) != 1:
        raise Refusal("alpha other than 1 has no layer")
    if lowering.is_constant(left) or lowering.is_constant(right):
        return _with_constant(lowering, node, function, left, right)
    view = lowering.view(left)
    if view.shape == shape_of(right) and not (view.is_whole and lowering.view(right).is_whole):
        other = lowering.arranged_as(right, view)
        if other is not None:
            inputs = [view.key, other]
            return view.of(lowering.add(node, Binary(function), inputs, shape=view.base))
    return _binary(lowering, node, function, lowering.draft(left), lowering.draft(right))


def _binary(lowering: Lowering, node: Node, function: str, left: Draft, right: Draft) -> str:
    if function in {"add", "mul"} and left.shape != shape_of(node):
        left, right = right, left
    smaller = {left.shape}
    if len(left.shape) == 4:
        batch, channels, *sides = left.shape
        smaller |= {(batch, channels, 1, 1), (batch, 1, *sides)}
    if left.shape != shape_of(node) or right.shape not in smaller:
        raise Refusal(
            f"shapes {left.shape} and {right.shape}: the second must equal the first, "
            "or be (N, C, 1, 1) or (N, 1, H, W)"
        )
    return lowering.add(node, Binary(function), [left.key, right.key])


def _with_constant(lowering: Lowering, node: Node, function: str, left: Any, right: Any) -> View:
    """Arithmetic with a number or a value per channel is what a batch norm does."""
    value, source = (left, right) if lowering.is_constant(left) else (right, left)
    if function == "div" and source is right:
        raise Refusal("a constant divided by a tensor has no layer; multiply by its reciprocal")
    constant = _aligned(lowering, value, lowering.view(source))
    view = _of_channels(lowering, constant, source)
    if view is None:
        return _with_tensor(lowering, node, function, constant, source, is_left=value is left)
    vector = constant.reshape(-1)
    ones = torch.ones_like(vector)
    scale = {"mul": vector, "div": 1 / vector}.get(function, ones)
    shift = {"add": vector, "sub": -vector}.get(function, 0 * ones)
    if function == "sub" and source is right:
        scale, shift = -ones, vector
    return _per_channel(lowering, node, view, {"weight": scale, "bias": shift}, 0.0)


def _aligned(lowering: Lowering, value: Any, view: View) -> torch.Tensor:
    """A number or constant tensor with as many dimensions as a tensor."""
    constant = lowering.constants[value] if isinstance(value, Node) else torch.tensor(value)
    rank = len(view.dims)
    if constant.dim() > rank:
        raise Refusal("its constant has more dimensions than the tensor")
    leading = (1,) * (rank - constant.dim())
    return constant.detach().to(torch.float32).reshape(*leading, *constant.shape)


def _of_channels(lowering: Lowering, constant: torch.Tensor, source: Node) -> View | None:
    """The tensor as a view whose channels are what an aligned constant varies with, if it is so."""
    view = lowering.view(source)
    varies = [dim for dim, size in enumerate(constant.shape) if size != 1]
    if len(varies) > 1:
        return None
    if len(view.base) not in {2, 4}:
        return lowering.channels_at(source, varies[0] if varies else -1)
    return view if not varies or view.has_channels_at(varies[0]) else None


def _with_tensor(
    lowering: Lowering,
    node: Node,
    function: str,
    constant: torch.Tensor,
    source: Node,
    *,
    is_left: bool,
) -> View:
    """Arithmetic with a value for each pixel: the constant is a tensor like any other."""
    view = lowering.view(source)
    if view.shape != shape_of(node):
        raise Refusal(f"its constant of shape {tuple(constant.shape)} is larger than the tensor")
    if function == "div":
        function, constant = "mul", 1 / constant
    tensor = view.rearrangement_of(constant.expand(view.shape)).contiguous()
    weights = Weights(tensor)
    key = lowering.add(node, Constant(), [], shape=view.base, weights=weights, suffix="constant")
    inputs = [key, view.key] if is_left else [view.key, key]
    return view.of(lowering.add(node, Binary(function), inputs, shape=view.base))
