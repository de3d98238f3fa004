"""Rules for functions of single values.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from typing import Any

import torch
from torch.fx import Node

from autosched.network.draft_graph import Draft
from autosched.network.graph import Weights
from autosched.network.operators import Activation, Binary, Constant, Conv2d, Unary
from autosched.network.rules.norms import per_channel
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()

_LARGEST = 3.3e38
"""A bound that no bfloat16 passes, for clamping on one side."""


@RULES.rule("relu", "relu6", "silu", "sigmoid", "hardswish", "hardsigmoid", "mish", "tanh", "selu")
def _plain_activation(lowering: Lowering, node: Node) -> View:
    return _activation(lowering, node, Activation(operator_name(node)))


@RULES.rule("gelu")
def _gelu(lowering: Lowering, node: Node) -> View:
    approximate = lowering.arguments(node)["approximate"]
    return _activation(lowering, node, Activation("gelu" if approximate == "none" else "gelu_tanh"))


@RULES.rule("leaky_relu")
def _leaky_relu(lowering: Lowering, node: Node) -> View:
    slope = float(lowering.arguments(node)["negative_slope"])
    return _activation(lowering, node, Activation("leaky_relu", (slope,)))


@RULES.rule("elu")
def _elu(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if (arguments["scale"], arguments["input_scale"]) != (1, 1):
        raise Refusal("a scaled ELU has no layer")
    return _activation(lowering, node, Activation("elu", (float(arguments["alpha"]),)))


@RULES.rule("hardtanh", "clamp", "clamp_min", "clamp_max")
def _clamp(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    low = arguments.get("min", arguments.get("min_val"))
    high = arguments.get("max", arguments.get("max_val"))
    if isinstance(low, Node) or isinstance(high, Node):
        raise Refusal("clamping to what is computed has no layer")
    names: dict[Any, str] = {(0, None): "relu", (0, 6): "relu6"}
    if (low, high) in names:
        return _activation(lowering, node, Activation(names[low, high]))
    bounds = (-_LARGEST if low is None else float(low), _LARGEST if high is None else float(high))
    return _activation(lowering, node, Activation("clamp_tss", bounds))


def _activation(lowering: Lowering, node: Node, activation: Activation) -> View:
    view = lowering.view(node.all_input_nodes[0])
    return view.of(lowering.add(node, Unary(activation), [view.key], shape=view.base))


@RULES.rule("abs", "exp", "sqrt", "rsqrt", "square", "log", "softsign", "reciprocal", "sin", "cos")
def _function(lowering: Lowering, node: Node) -> View:
    name = operator_name(node)
    return _activation(lowering, node, Activation({"reciprocal": "recip"}.get(name, name)))


@RULES.rule("softplus")
def _softplus(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    parameters = (float(arguments["beta"]), float(arguments["threshold"]))
    return _activation(lowering, node, Activation("softplus", parameters))


@RULES.rule("prelu")
def _prelu(lowering: Lowering, node: Node) -> View:
    """One slope is a leaky ReLU; one a channel: slope * x + (1 - slope) * relu(x)."""
    arguments = lowering.arguments(node)
    slopes = lowering.constant(arguments["weight"], "weight").reshape(-1)
    if slopes.numel() == 1:
        return _activation(lowering, node, Activation("leaky_relu", (slopes.item(),)))
    view = lowering.channels_at(arguments["self"], CHANNELS)
    if len(view.base) != 4:
        raise Refusal(f"with a slope for each channel it takes images, not {view.shape}")
    positive = lowering.add(
        node, Unary(Activation("relu")), [view.key], shape=view.base, suffix="positive"
    )
    scaled = [
        _scaled(lowering, node, key, factors, view.base, suffix)
        for key, factors, suffix in (
            (view.key, slopes, "scaled"),
            (positive, 1 - slopes, "added"),
        )
    ]
    return view.of(lowering.add(node, Binary("add"), scaled, shape=view.base))


def _scaled(
    lowering: Lowering,
    node: Node,
    key: str,
    factors: torch.Tensor,
    shape: tuple[int, ...],
    suffix: str,
) -> str:
    """Each channel times its factor, as a depthwise convolution."""
    channels = len(factors)
    op = Conv2d(channels, channels, (1, 1), groups=channels, has_bias=False)
    weights = Weights(factors.reshape(channels, 1, 1, 1).contiguous())
    return lowering.add(node, op, [key], shape=shape, weights=weights, suffix=suffix)


@RULES.rule("add", "sub", "mul", "div", "rsub", "neg")
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
    return per_channel(lowering, node, view, {"weight": scale, "bias": shift}, 0.0)


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
