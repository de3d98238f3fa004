import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import NetworkFileError, UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.capture.exporting import export_program, mutates_an_alias

IMAGE = (2, 4, 8, 8)


class Forward(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def aliased_view(x):
    y = x + x
    view = y.view(2, -1)
    y.relu_()
    return view


def aliased_base(x):
    y = x + x
    y.view(2, -1).relu_()
    return F.max_pool2d(y, 2)


def aliased_dropout(x):
    y = x + x
    z = F.dropout(y, training=False)
    z.relu_()
    return y


def mutated_input(x):
    x.relu_()
    return F.max_pool2d(x, 2)


def mutated_twice(x):
    y = F.relu_(x + x)
    y += x
    return y.sigmoid_()


@pytest.mark.parametrize("function", [aliased_view, aliased_base, aliased_dropout])
def test_mutation_seen_through_another_name_is_captured_rightly(lowered, function):
    network = lowered(Forward(function), torch.randn(IMAGE))
    assert len(network.layers) >= 3


@pytest.mark.parametrize("function", [mutated_input, mutated_twice])
def test_plain_mutation_needs_no_decomposition(lowered, function):
    module = Forward(function)
    lowered(module, torch.randn(IMAGE))
    program = torch.export.export(module, (torch.randn(IMAGE),), strict=False)
    assert not mutates_an_alias(program)


def test_mutation_and_batch_norm_together(lowered):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.norm(self.conv(x))
            flat = y.view(2, -1)
            y.relu_()
            return F.max_pool2d(y, 2), flat

    network = lowered(Net(), torch.randn(IMAGE))
    assert network.by_name["conv"].op.activation.name == "relu"


def conditional(x):
    if x.sum() > 0:
        x = x + 1
    return x


def values_as_sizes(x):
    return x.view(int(x.abs().sum()), -1)


def leaves_torch(x):
    return torch.from_numpy(x.numpy() + 1)


@pytest.mark.parametrize("function", [conditional, leaves_torch])
def test_what_cannot_be_traced_is_one_message_with_its_line(function, capfd):
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Forward(function).eval(), (torch.randn(IMAGE),), "net")
    message = str(caught.value)
    assert message.startswith("net: the model cannot be captured as a fixed graph")
    line = function.__code__.co_firstlineno + 1
    assert f"test_exporting.py:{line}" in message
    if function is conditional:
        assert "a branch, a loop or a shape depends on the values of a tensor" in message
    else:
        assert "it leaves PyTorch for NumPy" in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert caught.value.__cause__ is None


def test_a_model_that_raises_says_where():
    with pytest.raises(NetworkFileError) as caught:
        capture(Forward(values_as_sizes).eval(), (torch.full(IMAGE, 0.7),), "net")
    message = str(caught.value)
    assert "raises on inputs of shape (2, 4, 8, 8) at test_exporting.py:" in message
    assert "RuntimeError: shape" in message


def test_exporting_keeps_the_users_tensors():
    inputs = torch.randn(IMAGE)
    before = inputs.clone()
    export_program(Forward(mutated_input).eval(), (inputs,), "net")
    assert torch.equal(inputs, before)
