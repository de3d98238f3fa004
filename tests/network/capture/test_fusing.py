import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Activation, Binary, Concat, Input, Output, Unary

IMAGE = (2, 4, 12, 12)
RELU = Activation("relu")


class Block(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(8, 8)
        self.relu = nn.ReLU(inplace=True)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def ops(network):
    return [layer.op for layer in network if not isinstance(layer.op, (Input, Output))]


def test_activations_fuse_into_their_producers(lowered):
    network = lowered(Block(lambda m, x: m.relu(m.relu(m.conv(x)) + x)), torch.randn(IMAGE))
    assert [op.activation for op in ops(network)] == [RELU, RELU]
    network = lowered(Block(lambda m, x: F.leaky_relu(m.fc(x), 0.3)), torch.randn(2, 8))
    assert [op.activation for op in ops(network)] == [Activation("leaky_relu", (0.3,))]


def test_an_activation_does_not_fuse_where_its_input_is_read_again(lowered):
    network = lowered(Block(lambda m, x: F.relu(y := m.conv(x)) + y), torch.randn(IMAGE))
    assert network.by_name["conv"].op.activation is None
    assert network.by_name["relu"].op == Unary(RELU)


def test_an_activation_does_not_fuse_where_its_input_is_an_output(lowered):
    network = lowered(Block(lambda m, x: (y := m.conv(x), F.relu(y))), torch.randn(IMAGE))
    assert network.by_name["conv"].op.activation is None


def test_a_second_activation_stays(lowered):
    network = lowered(Block(lambda m, x: torch.tanh(m.relu(m.conv(x)))), torch.randn(IMAGE))
    assert network.by_name["conv"].op.activation == RELU
    assert network.by_name["tanh"].op == Unary(Activation("tanh"))


def test_activations_do_not_fuse_into_pooling(lowered):
    network = lowered(Block(lambda m, x: m.relu(F.max_pool2d(x, 2))), torch.randn(IMAGE))
    assert Unary(RELU) in ops(network)


def test_gates_written_by_hand(lowered):
    network = lowered(Block(lambda m, x: (y := m.conv(x)) * torch.sigmoid(y)), torch.randn(IMAGE))
    assert [op.activation for op in ops(network)] == [Activation("silu")]
    network = lowered(Block(lambda _, x: F.hardsigmoid(x) * x), torch.randn(IMAGE))
    assert ops(network) == [Unary(Activation("hardswish"))]
    network = lowered(Block(lambda _, x: x * (g := torch.sigmoid(x)) + g), torch.randn(IMAGE))
    assert ops(network) == [
        Unary(Activation("sigmoid")),
        Unary(Activation("silu")),
        Binary("add"),
    ]


def test_the_gate_of_another_tensor_stays_a_product(lowered):
    network = lowered(Block(lambda m, x: m.conv(x) * torch.sigmoid(x)), torch.randn(IMAGE))
    assert Binary("mul") in ops(network)


def test_layers_that_nobody_reads_are_removed(lowered):
    def forward(module, x):
        module.conv(x)
        F.interpolate(x, scale_factor=2)
        return module.relu(x + x)

    network = lowered(Block(forward), torch.randn(IMAGE))
    assert ops(network) == [Binary("add", RELU)]
    assert not network.weights


def test_a_split_tensor_that_is_put_together_again_is_itself(lowered):
    class Split(nn.Module):
        def forward(self, x):
            left, right = x.chunk(2, 1)
            return torch.cat([x, left, right, left.relu()], 1), torch.cat([right, left], 1)

    network = lowered(Split(), torch.randn(2, 8, 4, 4))
    whole, swapped = (layer for layer in network if isinstance(layer.op, Concat))
    x = network.layers[0].name
    assert whole.inputs[:2] == (x, x)
    assert len(swapped.inputs) == 2
    assert x not in swapped.inputs


def test_a_concat_of_all_slices_of_one_tensor_is_nothing(lowered):
    module = Joined()
    network = lowered(module, torch.randn(2, 8, 4, 4))
    assert [type(layer.op).__name__ for layer in network] == ["Input", "Unary", "Output"]


class Joined(nn.Module):
    def forward(self, x):
        return torch.cat(x.chunk(4, 1), 1).relu()
