"""Capture with proof: every network that a test lowers must compute what its module computes."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.network.operators import Input, Output
from autosched.network.reference import evaluate_network

Lowered = Callable[..., Network]


def randomise_norms(module: nn.Module) -> None:
    """Fresh norms and layer scales are next to nothing and would hide every folding mistake."""
    for name, parameter in module.named_parameters():
        if name.endswith("layer_scale"):
            nn.init.uniform_(parameter, 0.1, 0.3)
    for part in module.modules():
        if isinstance(part, (nn.LayerNorm, nn.GroupNorm)) and part.weight is not None:
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            if part.running_mean is not None:
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.5, 2.0)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.uniform_(part.bias, -0.5, 0.5)


def _flat(result: object) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result
    return [tensor for value in values for tensor in _flat(value)]


def _check_form(network: Network) -> None:
    names = [layer.name for layer in network]
    assert len(set(names)) == len(names)
    kinds = [
        0 if isinstance(x.op, Input) else 2 if isinstance(x.op, Output) else 1 for x in network
    ]
    assert kinds == sorted(kinds)
    for index, layer in enumerate(network):
        assert not set(layer.name) & set(" #>")
        assert set(layer.inputs) <= set(names[:index])
    for weights in network.weights.values():
        for tensor in (weights.weight, weights.bias):
            assert tensor is None or (tensor.is_contiguous() and not tensor.requires_grad)


@pytest.fixture
def lowered() -> Lowered:
    """Capture a module, and compare the lowered network with it."""

    def lower(module: nn.Module, *inputs: torch.Tensor) -> Network:
        randomise_norms(module)
        module.eval()
        with torch.no_grad():
            expected = _flat(module(*(tensor.clone() for tensor in inputs)))
        # What follows is the stricter check.
        network = capture(module, inputs, check=False)
        _check_form(network)
        actual = evaluate_network(network, inputs)
        assert len(actual) == len(expected)
        outputs = [layer for layer in network if isinstance(layer.op, Output)]
        for layer, mine, theirs in zip(outputs, actual, expected, strict=True):
            assert network.caller_shape(layer) == theirs.shape
            # In a deep network with random parameters values grow, and with them rounding.
            largest = max(1.0, float(theirs.abs().max()))
            torch.testing.assert_close(mine, theirs, atol=1e-4 * largest, rtol=1e-4)
        return network

    return lower


@pytest.fixture(autouse=True)
def _same_numbers_in_every_test() -> None:
    torch.manual_seed(0)
