"""Operators without a layer, run on the host where the user allows it."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it
from torch.utils._pytree import tree_leaves
from torchvision.ops import DeformConv2d

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.graph import moved_bytes, operators
from autosched.network.operators import HostOp, HostOutput, Output, Permute, Reshape
from autosched.network.reference import evaluate_network

IMAGE = (2, 4, 6, 6)


class Function(nn.Module):
    """A function between two convolutions."""

    def __init__(self, function, channels=8):
        super().__init__()
        self.before, self.after = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(channels, 4, 1)
        self.register_buffer("indices", torch.tensor([3, 1, 1, 7, 0, 2, 5, 6]))
        self.function = function

    def forward(self, x):
        return self.after(self.function(self.before(x), self))


def on_host(module, *inputs, allow_host=True):
    """Capture a module, and compare what it computes with the layers."""
    module.eval()
    network = capture(module, inputs, "net", allow_host=allow_host)
    with torch.no_grad():
        expected = module(*inputs)
    (found,) = evaluate_network(network, inputs)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    return network


FUNCTIONS = {
    "one": lambda x, _: x.cumprod(1),
    "constant": lambda x, net: x.index_add(1, net.indices, x),
    "other types between": lambda x, _: (torch.fft.fft2(x) ** 2).abs(),
    "one of two results": lambda x, _: x.sort(1).values,
    "the other result": lambda x, _: x + x.topk(8, 1).indices.float(),
    "both results": lambda x, _: x.sort(1)[0] * x.sort(1)[1],
    "a view of a result": lambda x, _: x.cumprod(1).permute(0, 2, 1, 3).cumprod(1).transpose(1, 2),
    "of several": lambda x, _: torch.where(x > 0, x.cumprod(1), x.relu()),
    "written into": lambda x, _: torch.index_fill(x, 2, torch.tensor([1, 3]), 0.5),
    "in place": lambda x, _: (x + 1).cumprod_(1),
    "keywords": lambda x, _: torch.linalg.vector_norm(x, dim=2, keepdim=True) + x.cumprod(1),
    "dtype": lambda x, _: x.to(torch.float64).cumprod(1).to(torch.float32),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_it_computes_what_the_module_does(function):
    network = on_host(Function(function), torch.randn(IMAGE))
    assert len(network.host_layers) == 1
    (layer,) = network.host_layers
    assert sorted(layer.shape) == [2, 6, 6, 8]
    assert layer.source.startswith("test_host.py:")
    assert layer.reason
    for step in layer.op.steps:
        json.loads(step.arguments)


class Deformed(nn.Module):
    def __init__(self):
        super().__init__()
        self.offsets = nn.Conv2d(4, 18, 3, padding=1)
        self.deformed = DeformConv2d(4, 8, 3, padding=1)

    def forward(self, x):
        return self.deformed(x, self.offsets(x)).relu()


def test_operators_of_torchvision_run_on_the_host():
    network = on_host(Deformed(), torch.randn(IMAGE))
    (layer,) = network.host_layers
    assert layer.op.steps[-1].operator == "torchvision.deform_conv2d.default"


def test_it_needs_to_be_allowed_and_the_error_says_so():
    module = Function(lambda x, _: x.cumprod(1))
    with pytest.raises(UnsupportedOperatorError) as caught:
        on_host(module, torch.randn(IMAGE), allow_host=False)
    message = str(caught.value)
    assert "cumprod (aten.cumprod.default) at test_host.py:" in message
    assert "there is no layer for this operator" in message
    assert "--allow-host" in message


def test_the_error_says_how_many_of_them_the_host_could_run():
    module = Function(lambda x, _: x.cumprod(1) + torch.rand_like(x))
    with pytest.raises(UnsupportedOperatorError, match="--allow-host could run 1 of them"):
        on_host(module, torch.randn(IMAGE), allow_host=False)


def test_what_needs_no_host_is_the_same_network():
    module = Function(lambda x, _: x.relu()).eval()
    inputs = (torch.randn(IMAGE),)
    assert capture(module, inputs).signature == capture(module, inputs, allow_host=True).signature


def test_a_chain_goes_to_the_host_once():
    def chain(x, _):
        return x.cumprod(1).flatten(2).cumprod(2).view(x.shape).cummax(1)[0]

    network = on_host(Function(chain), torch.randn(IMAGE))
    (layer,) = network.host_layers
    assert operators(layer)[0] == "aten.cumprod.default"
    assert len(layer.op.steps) >= 4
    assert not any(isinstance(item.op, Permute | Reshape) for item in network)
    assert layer.reason.count("there is no layer") == 2


def test_the_host_reads_an_input_as_it_lies_on_the_device():
    network = on_host(
        Function(lambda x, _: x.permute(0, 2, 3, 1).cumprod(1).permute(0, 3, 1, 2)),
        torch.randn(IMAGE),
    )
    (layer,) = network.host_layers
    assert layer.inputs == ("before",)
    assert layer.op.views[0].shape == (2, 6, 6, 8)


def test_a_result_that_others_read_too_stays_a_layer():
    network = on_host(
        Function(lambda x, _: x.cumprod(1).relu() + x.cumprod(1).cumprod(2)), torch.randn(IMAGE)
    )
    assert len(network.host_layers) == 2
    assert {layer.inputs for layer in network.host_layers} == {("before",)}


def test_signatures_cover_operators_and_arguments():
    inputs = (torch.randn(IMAGE),)
    signatures = {
        capture(Function(function).eval(), inputs, allow_host=True).signature
        for function in (
            lambda x, _: x.cumprod(1),
            lambda x, _: x.cumprod(2),
            lambda x, _: x.sort(1)[0],
        )
    }
    assert len(signatures) == 3


def test_the_bytes_moved_are_those_of_inputs_and_result():
    network = on_host(Function(lambda x, _: x[:, :3].cumprod(1), channels=3), torch.randn(IMAGE))
    (layer,) = network.host_layers
    assert isinstance(layer.op, HostOp)
    assert moved_bytes(network, layer) == (2 * 2 * 3 * 36, 2 * 2 * 3 * 36)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x + torch.rand_like(x), "draws at random"),
        (lambda x: x[x > 0], "depends on the values"),
        (lambda x: x.bernoulli(), "draws at random"),
        (
            lambda x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,)),
            "only operators of PyTorch and torchvision",
        ),
    ],
)
def test_what_the_host_cannot_take_over_is_refused(function, reason):
    class Net(nn.Module):
        def forward(self, x):
            return function(x)

    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Net().eval(), (torch.randn(IMAGE),), "net", allow_host=True)
    message = str(caught.value)
    assert reason in message
    assert "test_host.py:" in message


RETURNED = {
    "indices of pixels": lambda x: x.argmax(1),
    "a view of indices": lambda x: x.argmax(1).flatten(1)[None],
    "values and indices": lambda x: x.topk(3, 1),
    "indices whose values the device has": lambda x: x.max(1),
    "of a vector": lambda x: (x.mean((2, 3)), x.mean((2, 3)).argmax(1), x.mean((2, 3)).argmax()),
    "a mask": lambda x: x > 0,
    "several masks": lambda x: (x > 0) & (x < 1),
    "whole numbers": lambda x: x.to(torch.int64),
    "doubles": lambda x: x.double(),
    "complex": torch.fft.fft2,
    "a number": lambda x: x.mean(),
    "indices as numbers": lambda x: x.argmax(1).float(),
    "floats that no device layer reads": lambda x: x.cumprod(1).permute(0, 2, 3, 1),
    "a dictionary": lambda x: {"y": x.relu(), "deep": {"i": x.argmax(1), "m": [x > 1, x.sum()]}},
}


class Ends(nn.Module):
    """A convolution and what is made of it."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(4, 8, 3, padding=1), function

    def forward(self, x):
        return self.function(self.conv(x))


@pytest.mark.parametrize("function", RETURNED.values(), ids=RETURNED)
def test_what_no_device_layer_reads_stays_on_the_host_as_it_is(function):
    module, image = Ends(function).eval(), torch.randn(IMAGE)
    network = capture(module, (image,), "net", allow_host=True)
    with torch.no_grad():
        truth = tree_leaves(module(image))
    found = evaluate_network(network, [image])
    for ours, own in zip(found, truth, strict=True):
        torch.testing.assert_close(ours, own, atol=1e-5, rtol=1e-4)
    assert all(isinstance(layer.op, HostOutput) for layer in network.host_layers)
    assert all(moved_bytes(network, layer)[1] == 0 for layer in network.host_layers)
    outputs = [layer for layer in network if isinstance(layer.op, Output)]
    for layer, own in zip(outputs, truth, strict=True):
        assert layer.shape == own.shape
        if isinstance(layer.op, HostOutput):
            assert f"torch.{layer.op.dtype}" == str(own.dtype)


def test_what_a_device_layer_reads_goes_there_even_if_it_is_returned_too():
    def function(x):
        y = x.cumprod(1)
        return y, F.avg_pool2d(y, 2), x.sort(1)[1]

    module = Ends(function)
    network = capture(module.eval(), (torch.randn(IMAGE),), "net", allow_host=True)
    kinds = [type(network.by_name[layer.inputs[0]].op).__name__ for layer in network.layers[-3:]]
    assert kinds == ["HostOp", "Pool2d", "Conv2d"]
    assert [type(layer.op) for layer in network.host_layers] == [HostOp, HostOutput]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.argmax(1), "return its input, and call argmax on that"),
        (lambda x: x.max(1), "return its input, and call max on that"),
        (lambda x: x > 0, "return it as numbers (mask.float())"),
        (lambda x: x.mean(), "keep its dimensions (keepdim=True)"),
    ],
)
def test_without_leave_the_error_says_both_ways_out(function, words):
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Ends(function).eval(), (torch.randn(IMAGE),), "net")
    assert words in str(caught.value)
    assert "let them run on the host with --allow-host" in str(caught.value)


def test_an_operator_that_could_draw_at_random_but_does_not_runs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(6, 5, batch_first=True, proj_size=3)

        def forward(self, x):
            return self.rnn(x)[0]

    network = on_host(Net(), torch.randn(2, 4, 6))
    assert [operators(layer) for layer in network.host_layers] == [("aten.lstm.input",)]
