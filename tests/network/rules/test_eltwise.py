import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Activation, Binary, Conv2d, Unary

IMAGE = (2, 6, 5, 5)


class Function(nn.Module):
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
    network = lowered(Function(function), torch.randn(IMAGE))
    found = [layer.op for layer in network if isinstance(layer.op, Unary)]
    assert activation is None or found == [Unary(activation)]


def test_functions_of_positive_values(lowered):
    for function in (torch.sqrt, torch.rsqrt, torch.log, torch.reciprocal, lambda x: 2 / x):
        lowered(Function(lambda x, function=function: function(x.abs() + 1)), torch.randn(IMAGE))


def test_prelu_of_one_slope_is_fused(lowered):
    network = lowered(Function(nn.PReLU(init=0.3)), torch.randn(IMAGE))
    (layer,) = [layer for layer in network if isinstance(layer.op, Conv2d)]
    assert layer.op.activation.name == "leaky_relu"
    assert layer.op.activation.parameters == pytest.approx((0.3,))


def test_prelu_of_each_channel_is_a_sum(lowered):
    module = nn.PReLU(6)
    nn.init.uniform_(module.weight, -1.0, 2.0)
    network = lowered(Function(module), torch.randn(IMAGE))
    assert sum(isinstance(layer.op, Conv2d) for layer in network) == 3
    assert network.by_name["function"].op == Binary("add")
