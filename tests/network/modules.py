"""Modules that the tests of the network lower, and what came of them."""

import torch
from torch import nn

from autosched.network.operators import Input, Output


class Function(nn.Module):
    """A module of one function, with modules for its last arguments."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs):
        return self.function(*inputs, *self.parts)


class WithParameter(nn.Module):
    """A function of its inputs and a parameter."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(shape))

    def forward(self, *inputs):
        return self.function(*inputs, self.weight)


def scrambled(module):
    """Fresh norms are ones and zeros, which would hide a mistake."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -1.0, 1.0)
    return module


def ops(network):
    return [layer.op for layer in network if not isinstance(layer.op, (Input, Output))]


def kinds(network):
    return [type(op) for op in ops(network)]
