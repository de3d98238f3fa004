"""Rules for functions of single values.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from typing import Any

import torch
from torch.fx import Node

from autosched.network.graph import Activation, Binary, Conv2d, Unary, Weights
from autosched.network.lowering import Lowering, Refusal, RuleBook, operator_name
from autosched.network.views import CHANNELS, View

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
