import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Activation, Binary, Constant, Conv2d, Unary
from tests.network.modules import Function, ops

IMAGE = (2, 4, 12, 12)
FEATURES = (2, 6, 5, 5)


class AfterConvolution(nn.Module):
    """A function after a convolution."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(6, 6, 1), function

    def forward(self, x):
        return self.function(self.conv(x))


FUNCTIONS = {
    "clamp": (lambda x: x.clamp(-0.5, 0.25), Activation("clamp_tss", (-0.5, 0.25))),
    "hardtanh": (nn.Hardtanh(), Activation("clamp_tss", (-1.0, 1.0))),
    "clamp_max": (lambda x: x.clamp(max=0.5), Activation("clamp_tss", (-3.3e38, 0.5))),
    "clamp_min": (lambda x: x.clamp_min(0.5), Activation("clamp_tss", (0.5, 3.3e38))),
    "abs": (torch.abs, Activation("abs")),
    "exp": (torch.exp, Activation("exp")),
    "square": (torch.square, Activation("square")),
    "softplus": (nn.Softplus(2.0, 10.0), Activation("softplus", (2.0, 10.0))),
    "softsign": (F.softsign, None),
    "cos": (torch.cos, Activation("cos")),
}


@pytest.mark.parametrize(("function", "activation"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_of_single_values_is_a_layer_of_its_own(lowered, function, activation):
    network = lowered(AfterConvolution(function), torch.randn(FEATURES))
    found = [layer.op for layer in network if isinstance(layer.op, Unary)]
    assert activation is None or found == [Unary(activation)]


def test_functions_of_positive_values(lowered):
    for function in (torch.sqrt, torch.rsqrt, torch.log, torch.reciprocal, lambda x: 2 / x):
        lowered(
            AfterConvolution(lambda x, function=function: function(x.abs() + 1)),
            torch.randn(FEATURES),
        )


def test_prelu_of_one_slope_is_fused(lowered):
    network = lowered(AfterConvolution(nn.PReLU(init=0.3)), torch.randn(FEATURES))
    (layer,) = [layer for layer in network if isinstance(layer.op, Conv2d)]
    assert layer.op.activation.name == "leaky_relu"
    assert layer.op.activation.parameters == pytest.approx((0.3,))


def test_prelu_of_each_channel_is_a_sum(lowered):
    module = nn.PReLU(6)
    nn.init.uniform_(module.weight, -1.0, 2.0)
    network = lowered(AfterConvolution(module), torch.randn(FEATURES))
    assert sum(isinstance(layer.op, Conv2d) for layer in network) == 3
    assert network.by_name["function"].op == Binary("add")


@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_two_tensors(lowered, name):
    function = Function(getattr(torch, name))
    in_place = Function(lambda x, y: getattr(x.clone(), f"{name}_")(y))
    for module in (function, in_place):
        network = lowered(module, torch.randn(IMAGE), torch.randn(IMAGE))
        assert ops(network) == [Binary(name)]


def test_a_tensor_with_itself(lowered):
    network = lowered(Function(lambda x: x + x), torch.randn(IMAGE))
    assert network.layers[1].inputs == (network.layers[0].name,) * 2


def test_a_broadcast_factor_comes_second(lowered):
    module = Function(lambda x: x.mean((2, 3), keepdim=True) * x)
    network = lowered(module, torch.randn(IMAGE))
    assert network.layers[2].op == Binary("mul")
    assert network.layers[2].inputs[0] == network.layers[0].name


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: 3 * x,
        lambda x: x / 255,
        lambda x: 1 - x,
        lambda x: -x,
        lambda x: x - torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1),
        lambda x: x * torch.arange(4.0).view(4, 1, 1),
    ],
)
def test_arithmetic_with_constants_is_a_depthwise_convolution(lowered, function):
    (op,) = ops(lowered(Function(function), torch.randn(IMAGE)))
    assert op == Conv2d(4, 4, (1, 1), groups=4)


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        (nn.ReLU(), "relu", ()),
        (nn.ReLU6(), "relu6", ()),
        (nn.SiLU(), "silu", ()),
        (nn.GELU(), "gelu", ()),
        (nn.GELU("tanh"), "gelu_tanh", ()),
        (nn.Sigmoid(), "sigmoid", ()),
        (nn.Hardswish(), "hardswish", ()),
        (nn.Hardsigmoid(), "hardsigmoid", ()),
        (nn.LeakyReLU(0.25), "leaky_relu", (0.25,)),
        (nn.Mish(), "mish", ()),
        (nn.Tanh(), "tanh", ()),
        (nn.ELU(0.5), "elu", (0.5,)),
        (nn.SELU(), "selu", ()),
        (Function(lambda x: x.clamp(0, 6)), "relu6", ()),
        (Function(lambda x: x.clamp(min=0)), "relu", ()),
        (Function(lambda x: x.clamp_min(0)), "relu", ()),
    ],
)
def test_activations(lowered, module, name, parameters):
    (op,) = ops(lowered(module, torch.randn(IMAGE)))
    assert op == Unary(Activation(name, parameters))


def test_every_activation_is_one_that_ttnn_has():
    ttnn = pytest.importorskip("ttnn")
    known = set(ttnn.UnaryOpType.__members__)
    names = "relu relu6 silu gelu gelu_tanh sigmoid hardswish hardsigmoid leaky_relu mish tanh elu"
    assert {name.upper() for name in [*names.split(), "selu"]} <= known


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x + torch.linspace(0, 1, 120).view(1, 10, 12), (2, 10, 12)),
        (lambda x: torch.arange(12.0) - x, IMAGE),
        (lambda x: x / torch.arange(1.0, 13).view(12, 1), IMAGE),
        (
            lambda x: x.flatten(2).transpose(1, 2) * torch.linspace(0, 1, 144 * 4).view(144, 4),
            IMAGE,
        ),
    ],
)
def test_arithmetic_with_a_value_for_each_pixel_has_a_constant(lowered, function, shape):
    network = lowered(Function(function), torch.randn(shape))
    constant = next(layer for layer in network if layer.op == Constant())
    assert constant.inputs == ()
    assert network.weights[constant.name].weight.shape == constant.shape


class Gated(nn.Module):
    """Attention to places, as in CBAM and attention U-Nets: one map for all channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(x.mean(1, keepdim=True)) + x.sum(1, keepdim=True))


def test_one_map_for_all_channels(lowered):
    network = lowered(Gated(), torch.randn(IMAGE))
    assert network.by_name["mean"].shape == (2, 1, 12, 12)
    assert network.by_name["mul"].op == Binary("mul")
    lowered(Function(lambda x: x.mean(1)), torch.randn(IMAGE))
    lowered(Function(lambda x: x.transpose(2, 3).sum(1, keepdim=True)), torch.randn(2, 4, 12, 9))


def test_quotients(lowered):
    network = lowered(Function(lambda x: x / (x.abs() + 1)), torch.randn(IMAGE))
    assert Binary("div") in {layer.op for layer in network}


POWERS = {
    "third": (lambda x: x**3, [Activation("square")]),
    "fifth": (lambda x: x**5, [Activation("square"), Activation("square")]),
    "inverse": (lambda x: (x.abs() + 1) ** -3, [Activation("square"), Activation("recip")]),
    "root": (lambda x: x.abs() ** 0.5, [Activation("sqrt")]),
    "inverse root": (lambda x: (x.abs() + 1) ** -0.5, [Activation("rsqrt")]),
    "any": (lambda x: (x.abs() + 0.1) ** 1.7, [Activation("power", (1.7,))]),
    "tensor": (lambda x: x.pow(torch.tensor(2.0)), [Activation("square")]),
    "base": (lambda x: 2**x, [Activation("exp")]),
    "one": (lambda x: x**1, []),
}


@pytest.mark.parametrize(("function", "steps"), POWERS.values(), ids=POWERS)
def test_powers_are_products_roots_or_the_function(lowered, function, steps):
    found = ops(lowered(Function(function), torch.randn(FEATURES)))
    own = [op.activation for op in found if isinstance(op, Unary)]
    assert [step for step in own if step.name not in {"abs", "mul_unary_sfpu"}] == steps


@pytest.mark.parametrize("name", ["erf", "expm1", "exp2", "floor", "ceil", "sign", "atan", "sinh"])
def test_functions_that_ttnn_has_are_layers(lowered, name):
    network = lowered(Function(getattr(torch, name)), torch.randn(FEATURES))
    assert ops(network) == [Unary(Activation(name))]


@pytest.mark.parametrize(
    "function", [nn.CELU(0.7), nn.Hardshrink(), nn.Softshrink(0.3), nn.LogSigmoid()]
)
def test_functions_of_modules_are_layers(lowered, function):
    assert all(isinstance(op, Unary) for op in ops(lowered(function, torch.randn(FEATURES))))
