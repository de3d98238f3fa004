"""One rule per ATen operator: how it becomes a layer, or why it cannot.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.fx import Node

from autosched.network.drafts import BatchNorm, Draft, ZeroPad
from autosched.network.graph import (
    Activation,
    Binary,
    Conv2d,
    GlobalAvgPool2d,
    Linear,
    Padding,
    Pair,
    Pool2d,
    Reshape,
    Softmax,
    Unary,
    Weights,
)
from autosched.network.image_rules import RULES as IMAGE_RULES
from autosched.network.image_rules import enlargement, pair, transposed_convolution
from autosched.network.lowering import Lowering, Refusal, RuleBook, operator_name, shape_of

RULES = RuleBook(IMAGE_RULES)
_rule = RULES.rule


def _both_sides(value: int | Sequence[int]) -> Padding:
    height, width = pair(value)
    return (height, height, width, width)


@_rule("conv2d", "convolution")
def _convolution(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    if arguments.get("transposed"):
        return transposed_convolution(lowering, node)
    source = lowering.image(arguments["input"])
    weight = lowering.constant(arguments["weight"], "weight")
    bias = arguments["bias"]
    kernel, dilation = pair(weight.shape[2:]), pair(arguments["dilation"])
    op = Conv2d(
        in_channels=source.shape[1],
        out_channels=weight.shape[0],
        kernel=kernel,
        stride=pair(arguments["stride"]),
        padding=_convolution_padding(arguments["padding"], kernel, dilation),
        dilation=dilation,
        groups=arguments["groups"],
        has_bias=bias is not None,
    )
    weights = Weights(weight, None if bias is None else lowering.constant(bias, "bias"))
    return lowering.add(node, op, [source.key], weights=weights)


def _convolution_padding(padding: Any, kernel: Pair, dilation: Pair) -> Padding:
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        # PyTorch puts the odd row or column at the end.
        height, width = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        return (height // 2, height - height // 2, width // 2, width - width // 2)
    return _both_sides(padding)


@_rule("batch_norm", "native_batch_norm_legit_no_training")
def _batch_norm(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    source = lowering.draft(arguments["input"])
    if arguments.get("training") or arguments["running_mean"] is None:
        raise Refusal("it normalises with the batch's own statistics (track_running_stats=False)")
    tensors = {
        name: lowering.constant(arguments[name], name)
        for name in ("running_mean", "running_var", "weight", "bias")
        if arguments[name] is not None
    }
    return _per_channel(lowering, node, source, tensors, arguments["eps"])


def _per_channel(
    lowering: Lowering, node: Node, source: Draft, tensors: dict[str, torch.Tensor], eps: float
) -> str:
    if len(source.shape) not in {2, 4}:
        raise Refusal(f"its input has shape {source.shape}, not (N, C, H, W) or (N, features)")
    module = nn.BatchNorm2d(source.shape[1], eps=eps).eval().requires_grad_(requires_grad=False)
    for name, tensor in tensors.items():
        getattr(module, name).data = tensor
    return lowering.add(node, BatchNorm(module), [source.key])


@_rule("max_pool2d", "max_pool2d_with_indices", "avg_pool2d")
def _pool(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    kernel = pair(arguments["kernel_size"])
    op = Pool2d(
        mode=operator_name(node)[:3],
        kernel=kernel,
        stride=pair(arguments["stride"]) if arguments["stride"] else kernel,
        padding=_both_sides(arguments["padding"]),
        dilation=pair(arguments.get("dilation", 1)),
        ceil_mode=arguments["ceil_mode"],
        count_include_pad=arguments.get("count_include_pad", True),
        divisor_override=arguments.get("divisor_override"),
    )
    if _is_global_average(op, source.shape, shape_of(node)):
        return lowering.add(node, GlobalAvgPool2d(), [source.key])
    return lowering.add(node, op, [source.key])


def _is_global_average(op: Pool2d, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    covers_all = op.kernel == before[2:] and after[2:] == (1, 1) and not any(op.padding)
    return op.mode == "avg" and covers_all and op.divisor_override is None


@_rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(lowering: Lowering, node: Node) -> str:
    source = lowering.image(lowering.arguments(node)["self"])
    size, target = source.shape[2:], shape_of(node)[2:]
    mode = operator_name(node)[9:12]
    if target == size:
        return source.key
    if mode == "avg" and target == (1, 1):
        return lowering.add(node, GlobalAvgPool2d(), [source.key])
    if not any(part % full for full, part in zip(size, target, strict=True)):
        # Every window is a single pixel.
        op = enlargement(source.shape, shape_of(node), "nearest")
        return lowering.add(node, op, [source.key])
    if any(full % part for full, part in zip(size, target, strict=True)):
        raise Refusal(f"output size {target} does not divide the input's {size}")
    kernel = (size[0] // target[0], size[1] // target[1])
    return lowering.add(node, Pool2d(mode, kernel, kernel), [source.key])


@_rule("mean")
def _mean(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    dims = arguments.get("dim")
    if dims is None or {dim % 4 for dim in dims} != {2, 3}:
        raise Refusal("only the mean over height and width has a layer")
    shape = (*source.shape[:2], 1, 1)
    key = lowering.add(node, GlobalAvgPool2d(), [source.key], shape=shape)
    if shape_of(node) == shape:
        return key
    return lowering.add(node, Reshape(), [key], suffix="flatten")


@_rule("linear")
def _linear(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    weight = lowering.constant(arguments["weight"], "weight")
    return _fully_connected(lowering, node, arguments["input"], weight, arguments["bias"])


@_rule("addmm")
def _addmm(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    if (arguments["beta"], arguments["alpha"]) != (1, 1):
        raise Refusal("beta and alpha other than 1 have no layer")
    weight = lowering.constant(arguments["mat2"], "matrix").T.contiguous()
    return _fully_connected(lowering, node, arguments["mat1"], weight, arguments["self"])


@_rule("matmul", "mm")
def _matmul(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    left, right = arguments["self"], arguments.get("other", arguments.get("mat2"))
    if not lowering.is_constant(right):
        raise Refusal("only the product with a parameter on the right has a layer")
    matrix = lowering.constant(right, "matrix")
    if matrix.dim() != 2:
        raise Refusal(f"its parameter has shape {tuple(matrix.shape)}, not (in, out)")
    return _fully_connected(lowering, node, left, matrix.T.contiguous(), None)


def _fully_connected(
    lowering: Lowering, node: Node, source: Node, weight: torch.Tensor, bias: Node | None
) -> str:
    if lowering.is_constant(source):
        raise Refusal("only the product with a parameter on the right has a layer")
    draft = lowering.draft(source)
    if len(draft.shape) != 2:
        raise Refusal(f"its input has shape {draft.shape}, not (N, features)")
    outputs, features = weight.shape
    vector = None
    if bias is not None:
        vector = lowering.constant(bias, "bias")
        if vector.numel() not in {1, outputs} or vector.shape[-1:].numel() != vector.numel():
            raise Refusal(f"its bias has shape {tuple(vector.shape)}, not ({outputs},)")
        vector = vector.reshape(-1).expand(outputs).contiguous()
    op = Linear(features, outputs, has_bias=vector is not None)
    return lowering.add(node, op, [draft.key], weights=Weights(weight, vector))


@_rule("flatten", "view", "reshape", "unsafe_view", "squeeze", "unsqueeze", "unflatten", "view_as")
def _reshape(lowering: Lowering, node: Node) -> str:
    source = lowering.draft(node.all_input_nodes[0])
    while source.op == Reshape():
        source = lowering.graph.producer(source)
    if source.shape == shape_of(node):
        return source.key
    return lowering.add(node, Reshape(), [source.key])


@_rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def _dropout(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    if arguments["train"] and arguments["p"]:
        raise Refusal("it drops at random even in eval mode; pass training=self.training")
    return lowering.draft(node.all_input_nodes[0]).key


@_rule("identity", "contiguous", "detach", "clone", "alias", "lift_fresh_copy", "expand")
@_rule("to", "to_copy", "type_as", "expand_as", "positive")
def _nothing(lowering: Lowering, node: Node) -> str:
    source = node.all_input_nodes[0]
    if shape_of(source) != shape_of(node):
        raise Refusal(f"it copies {shape_of(source)} to {shape_of(node)}")
    return lowering.draft(source).key


@_rule("softmax")
def _softmax(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    source = lowering.draft(arguments["self"])
    return lowering.add(node, Softmax(arguments["dim"] % len(source.shape)), [source.key])


@_rule("pad", "constant_pad_nd")
def _pad(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    if arguments.get("mode", "constant") != "constant" or arguments["value"]:
        kind = arguments.get("mode", "constant")
        raise Refusal(f"only padding with zeros has a layer, not {kind} padding")
    sides = [*arguments["pad"], 0, 0, 0, 0][:4]
    if len(arguments["pad"]) > 4 or min(sides) < 0:
        raise Refusal(f"padding {list(arguments['pad'])} is not of height and width alone")
    left, right, top, bottom = sides
    return lowering.add(node, ZeroPad((top, bottom, left, right)), [source.key])


@_rule("relu", "relu6", "silu", "sigmoid", "hardswish", "hardsigmoid", "mish", "tanh", "selu")
def _plain_activation(lowering: Lowering, node: Node) -> str:
    return _activation(lowering, node, Activation(operator_name(node)))


@_rule("gelu")
def _gelu(lowering: Lowering, node: Node) -> str:
    approximate = lowering.arguments(node)["approximate"]
    return _activation(lowering, node, Activation("gelu" if approximate == "none" else "gelu_tanh"))


@_rule("leaky_relu")
def _leaky_relu(lowering: Lowering, node: Node) -> str:
    slope = float(lowering.arguments(node)["negative_slope"])
    return _activation(lowering, node, Activation("leaky_relu", (slope,)))


@_rule("elu")
def _elu(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    if (arguments["scale"], arguments["input_scale"]) != (1, 1):
        raise Refusal("a scaled ELU has no layer")
    return _activation(lowering, node, Activation("elu", (float(arguments["alpha"]),)))


@_rule("hardtanh", "clamp", "clamp_min")
def _clamp(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    low = arguments.get("min", arguments.get("min_val"))
    high = arguments.get("max", arguments.get("max_val"))
    names: dict[Any, str] = {(0, None): "relu", (0, 6): "relu6"}
    if isinstance(low, Node) or isinstance(high, Node) or (low, high) not in names:
        raise Refusal(f"clamping to {low} .. {high} has no layer; 0 .. 6 (ReLU6) has")
    return _activation(lowering, node, Activation(names[low, high]))


def _activation(lowering: Lowering, node: Node, activation: Activation) -> str:
    return lowering.add(node, Unary(activation), [lowering.draft(node.all_input_nodes[0]).key])


@_rule("add", "sub", "mul", "div", "rsub", "neg")
def _arithmetic(lowering: Lowering, node: Node) -> str:
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
    return _binary(lowering, node, function, lowering.draft(left), lowering.draft(right))


def _binary(lowering: Lowering, node: Node, function: str, left: Draft, right: Draft) -> str:
    if function == "div":
        raise Refusal("the quotient of two computed tensors has no layer")
    if function != "sub" and left.shape != shape_of(node):
        left, right = right, left
    pixel = (*left.shape[:2], 1, 1) if len(left.shape) == 4 else left.shape
    if left.shape != shape_of(node) or right.shape not in {left.shape, pixel}:
        raise Refusal(
            f"shapes {left.shape} and {right.shape}: the second must equal the first, "
            "or be (N, C, 1, 1)"
        )
    return lowering.add(node, Binary(function), [left.key, right.key])


def _with_constant(lowering: Lowering, node: Node, function: str, left: Any, right: Any) -> str:
    """Arithmetic with a number or a value per channel is what a batch norm does."""
    value, source = (left, right) if lowering.is_constant(left) else (right, left)
    if function == "div" and source is right:
        raise Refusal("a constant divided by a tensor has no layer")
    draft = lowering.draft(source)
    vector = _channel_vector(lowering, value, draft.shape)
    ones = torch.ones_like(vector)
    scale = {"mul": vector, "div": 1 / vector}.get(function, ones)
    shift = {"add": vector, "sub": -vector}.get(function, 0 * ones)
    if function == "sub" and source is right:
        scale, shift = -ones, vector
    return _per_channel(lowering, node, draft, {"weight": scale, "bias": shift}, 0.0)


def _channel_vector(lowering: Lowering, value: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """A number or constant tensor as (C,), for a tensor of ``shape`` (N, C, ...)."""
    if len(shape) not in {2, 4}:
        raise Refusal(f"its input has shape {shape}, not (N, C, H, W) or (N, features)")
    constant = lowering.constants[value] if isinstance(value, Node) else torch.tensor(value)
    constant = constant.detach().to(torch.float32)
    if constant.dim() > len(shape):
        raise Refusal("its constant has more dimensions than the tensor")
    aligned = constant.reshape((1,) * (len(shape) - constant.dim()) + tuple(constant.shape))
    if aligned.numel() not in {1, aligned.shape[1]} or aligned.shape[1] not in {1, shape[1]}:
        raise Refusal(f"a constant of shape {tuple(constant.shape)} is not one value per channel")
    return aligned.reshape(-1).expand(shape[1]).contiguous()
