"""Rules for functions of single values.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Activation, Binary, Conv2d, Unary
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()

_LARGEST_PRODUCT = 16
"""Up to this exponent a whole power is made of products."""

LARGEST = 3.3e38
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
        low, high = (_bound(lowering, item) for item in (low, high))
    names: dict[Any, str] = {(0, None): "relu", (0, 6): "relu6"}
    if (low, high) in names:
        return _activation(lowering, node, Activation(names[low, high]))
    bounds = (-LARGEST if low is None else float(low), LARGEST if high is None else float(high))
    return _activation(lowering, node, Activation("clamp_tss", bounds))


def _bound(lowering: Lowering, value: Any) -> float | None:
    constant = lowering.constants.get(value) if isinstance(value, Node) else None
    if isinstance(value, Node) and (constant is None or constant.numel() != 1):
        raise Refusal("clamping to tensors has no layer; use torch.maximum and torch.minimum")
    return value if constant is None else float(constant)


def _activation(lowering: Lowering, node: Node, activation: Activation) -> View:
    view = lowering.view(node.all_input_nodes[0])
    return view.of(lowering.add(node, Unary(activation), [view.key], shape=view.base))


_FUNCTIONS = (
    *("abs", "exp", "sqrt", "rsqrt", "square", "log", "softsign", "reciprocal", "sin", "cos"),
    *("erf", "expm1", "log1p", "exp2", "log2", "log10", "floor", "ceil", "trunc", "frac", "sign"),
    *("tan", "atan", "sinh", "cosh"),
)


@RULES.rule(*_FUNCTIONS)
def _function(lowering: Lowering, node: Node) -> View:
    name = operator_name(node)
    return _activation(lowering, node, Activation({"reciprocal": "recip"}.get(name, name)))


@RULES.rule("gt", "lt", "ge", "le", "eq", "ne")
def _comparison(lowering: Lowering, node: Node) -> View:
    """Compare with a number: the mask is ones and zeros."""
    number = lowering.arguments(node)["other"]
    if isinstance(number, Node):
        constant = lowering.constants.get(number)
        if constant is None or constant.numel() != 1:
            raise Refusal("it compares two tensors")
        number = constant.item()
    source = lowering.arguments(node)["self"]
    if lowering.is_constant(source):
        raise Refusal("its input is a constant")
    return _activation(lowering, node, Activation(f"unary_{operator_name(node)}", (float(number),)))


@RULES.rule("logical_not", "bitwise_not")
def _not(lowering: Lowering, node: Node) -> View:
    return _activation(lowering, node, Activation("unary_eq", (0.0,)))


_OF_ONE_NUMBER = {"celu": "alpha", "hardshrink": "lambd", "softshrink": "lambd"}


@RULES.rule(*_OF_ONE_NUMBER)
def _function_of_a_number(lowering: Lowering, node: Node) -> View:
    name = operator_name(node)
    number = float(lowering.arguments(node)[_OF_ONE_NUMBER[name]])
    return _activation(lowering, node, Activation(name, (number,)))


@RULES.rule("log_sigmoid")
def _log_sigmoid(lowering: Lowering, node: Node) -> View:
    """Lower log(sigmoid(x)), which is -softplus(-x)."""
    steps = (Activation("neg"), Activation("softplus", (1.0, 20.0)), Activation("neg"))
    return applied(lowering, node, lowering.view(node.all_input_nodes[0]), steps)


@RULES.rule("pow")
def _power(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    source, exponent = arguments["self"], arguments["exponent"]
    if lowering.is_constant(source):
        base = _number(lowering, source)
        if base <= 0:
            raise Refusal(f"powers of {base:g} have no layer")
        view = lowering.view(exponent)
        steps = (Activation("mul_unary_sfpu", (math.log(base),)), Activation("exp"))
        return applied(lowering, node, view, steps)
    return raised(lowering, node, lowering.view(source), _number(lowering, exponent))


def _number(lowering: Lowering, value: Any) -> float:
    if isinstance(value, Node):
        constant = lowering.constants.get(value)
        if constant is None or constant.numel() != 1:
            raise Refusal("a power whose base and exponent are both tensors has no layer")
        value = constant.item()
    return float(value)


_POWERS = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "recip"}


def raised(lowering: Lowering, node: Node, view: View, exponent: float) -> View:
    """A tensor to the power of a number: whole ones by products, which keep the sign.

    Raises:
        Refusal: the exponent is 0.
    """
    if exponent == 1:
        return view
    if exponent == 0:
        raise Refusal("to the power of 0 all is 1; write that")
    if exponent in _POWERS:
        return applied(lowering, node, view, (Activation(_POWERS[exponent]),))
    if not exponent.is_integer() or abs(exponent) > _LARGEST_PRODUCT:
        return applied(lowering, node, view, (Activation("power", (exponent,)),))
    key, power = view.key, ""
    for digit in f"{int(abs(exponent)):b}"[1:]:
        power += digit
        key = lowering.add(
            node, Unary(Activation("square")), [key], shape=view.base, suffix=f"square{power}"
        )
        if digit == "1":
            inputs = [key, view.key]
            key = lowering.add(
                node, Binary("mul"), inputs, shape=view.base, suffix=f"product{power}"
            )
    result = view.of(key)
    return result if exponent > 0 else applied(lowering, node, result, (Activation("recip"),))


def applied(lowering: Lowering, node: Node, view: View, steps: Sequence[Activation]) -> View:
    """Functions of single values, one after the other."""
    key = view.key
    for number, step in enumerate(steps, 1):
        suffix = "" if number == len(steps) else f"{step.name}{number}"
        key = lowering.add(node, Unary(step), [key], shape=view.base, suffix=suffix)
    return view.of(key)


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
