import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import (
    ActivatedOutput,
    Activation,
    Binary,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Linear,
    Output,
    Pad,
    Pool2d,
    Unary,
)
from tests.network.modules import Function, kinds, ops

IMAGE = (2, 4, 12, 12)


class Apply(nn.Module):
    """Layers as attributes, joined by a function of (module, input)."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
def test_batch_norm_folds_into_its_convolution(lowered, bias, affine, groups):
    convolution = nn.Conv2d(4, 8, 3, bias=bias, groups=groups)
    module = nn.Sequential(convolution, nn.BatchNorm2d(8, affine=affine, eps=0.1))
    before = convolution.weight.clone()
    network = lowered(module, torch.randn(IMAGE))
    assert ops(network) == [Conv2d(4, 8, (3, 3), groups=groups)]
    torch.testing.assert_close(convolution.weight, before)


def test_two_batch_norms_fold_one_after_the_other(lowered):
    module = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.ReLU())
    assert ops(lowered(module, torch.randn(IMAGE))) == [
        Conv2d(4, 8, (3, 3), activation=Activation("relu"))
    ]


def test_batch_norm_folds_into_a_linear_layer(lowered):
    module = nn.Sequential(nn.Linear(8, 5, bias=False), nn.BatchNorm1d(5))
    assert ops(lowered(module, torch.randn(3, 8))) == [Linear(8, 5)]


def test_batch_norm_of_a_shared_convolution_stands_alone(lowered):
    module = Apply(
        lambda m, x: m.norm(y := m.conv(x)) + y,
        conv=nn.Conv2d(4, 8, 3),
        norm=nn.BatchNorm2d(8),
    )
    network = lowered(module, torch.randn(IMAGE))
    assert network.by_name["norm"].op == Conv2d(8, 8, (1, 1), groups=8)
    assert network.by_name["conv"].op == Conv2d(4, 8, (3, 3))


def test_batch_norm_before_its_convolution_stands_alone(lowered):
    module = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3))
    assert ops(lowered(module, torch.randn(IMAGE))) == [
        Conv2d(4, 4, (1, 1), groups=4, activation=Activation("relu")),
        Conv2d(4, 8, (3, 3)),
    ]


def test_batch_norm_after_an_activation_is_not_folded_through_it(lowered):
    module = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
    assert [type(op) for op in ops(lowered(module, torch.randn(IMAGE)))] == [Conv2d, Conv2d]


def test_one_module_called_twice_is_folded_in_each_call(lowered):
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    network = lowered(nn.Sequential(block, block), torch.randn(IMAGE))
    assert len(ops(network)) == 2
    assert len(network.weights) == 2


def test_batch_norm_on_vectors_is_folded_into_the_linear_layers_after_it(lowered):
    module = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3, bias=False))
    assert kinds(lowered(module, torch.randn(3, 8))) == [Unary, Linear]

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.a, self.b = nn.BatchNorm1d(8), nn.Linear(8, 4), nn.Linear(8, 5)

        def forward(self, x):
            return self.a(self.norm(x)), self.b(self.norm(x))

    assert kinds(lowered(Two(), torch.randn(3, 8))) == [Linear, Linear]


def test_batch_norm_on_vectors_alone_is_a_product_and_a_sum(lowered):
    network = lowered(nn.BatchNorm1d(8), torch.randn(3, 8))
    assert kinds(network) == [Constant, Binary, Constant, Binary]


def test_batch_norm_on_vectors_that_others_read_stays(lowered):
    class Neck(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(8), nn.Linear(8, 3)

        def forward(self, x):
            x = self.norm(x)
            return x, self.head(x)

    assert Binary in kinds(lowered(Neck(), torch.randn(3, 8)))


@pytest.mark.parametrize(
    ("layer", "padding"),
    [
        (nn.Conv2d(4, 6, 3, stride=2), (0, 2, 1, 0)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 3, 2, 1)),
        (nn.AvgPool2d(4, 2), (0, 2, 1, 0)),
        (nn.AvgPool2d(4, 2, count_include_pad=False), (0, 2, 1, 0)),
        (nn.AvgPool2d(6, 2, 1), (1, 3, 2, 1)),
    ],
)
def test_zero_padding_merges_into_its_reader(lowered, layer, padding):
    module = nn.Sequential(nn.ZeroPad2d((1, 0, 0, 2)), layer)
    (op,) = ops(lowered(module, torch.randn(IMAGE)))
    assert op.padding == padding


def test_paddings_add_up_and_serve_several_readers(lowered):
    module = Apply(
        lambda m, x: m.left(y := F.pad(F.pad(x, (1, 0)), (0, 1))) + m.right(y),
        left=nn.Conv2d(4, 6, 3),
        right=nn.Conv2d(4, 6, 3),
    )
    network = lowered(module, torch.randn(IMAGE))
    assert network.by_name["left"].op.padding == (0, 0, 1, 1)
    assert network.by_name["right"].op.padding == (0, 0, 1, 1)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Sigmoid()])
def test_zero_padding_merges_into_max_pooling_of_what_is_not_negative(lowered, activation):
    module = nn.Sequential(
        nn.Conv2d(4, 6, 3), activation, nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)
    )
    network = lowered(module, torch.randn(IMAGE))
    assert ops(network)[1] == Pool2d("max", (3, 3), (2, 2), (0, 1, 0, 1))


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3)),
        nn.Sequential(nn.ReLU(), nn.ZeroPad2d(3), nn.MaxPool2d(3)),
        nn.Sequential(nn.ReLU(), nn.ZeroPad2d(1), nn.MaxPool2d(2, dilation=2)),
        nn.Sequential(nn.ReLU(), nn.ZeroPad2d(1), nn.MaxPool2d(3, ceil_mode=True)),
        nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, ceil_mode=True)),
        nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        nn.Sequential(nn.ZeroPad2d(1), nn.ReLU()),
        nn.ZeroPad2d(1),
    ],
)
def test_zero_padding_that_cannot_merge_exactly_stays(lowered, module):
    assert Pad in {type(op) for op in ops(lowered(module, torch.randn(IMAGE)))}


def test_zero_padding_merges_where_it_can_and_stays_for_the_rest(lowered):
    module = Apply(lambda m, x: (m.conv(y := F.pad(x, (2, 1))), F.relu(y)), conv=nn.Conv2d(4, 6, 3))
    network = lowered(module, torch.randn(IMAGE))
    assert network.by_name["conv"].op.padding == (0, 0, 2, 1)
    assert [op for op in ops(network) if isinstance(op, Pad)] == [Pad((0, 0, 2, 1))]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_batch_norm_folds_into_a_transposed_convolution(lowered, bias, groups):
    convolution = nn.ConvTranspose2d(4, 8, 3, stride=2, bias=bias, groups=groups)
    module = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU())
    (op,) = ops(lowered(module, torch.randn(IMAGE)))
    assert op == ConvTranspose2d(4, 8, (3, 3), (2, 2), groups=groups, activation=Activation("relu"))


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


@pytest.mark.parametrize(
    ("channels", "side", "waits"),
    [(1, 128, True), (3, 128, True), (32, 128, False), (1, 64, False)],
)
def test_the_function_of_an_output_with_few_channels_waits_for_it(lowered, channels, side, waits):
    conv = nn.Conv2d(4, channels, 1)
    model = nn.Sequential(conv, nn.Sigmoid()).eval()
    network = lowered(model, torch.randn(1, 4, side, side))
    sigmoid = Activation("sigmoid")
    assert network.by_name["0"].op.activation == (None if waits else sigmoid)
    assert network.layers[-1].op == (ActivatedOutput(sigmoid) if waits else Output())


def test_a_function_that_is_read_again_is_not_left_to_an_output(lowered):
    image = torch.randn(1, 4, 128, 128)
    network = lowered(Block(lambda m, x: (y := torch.tanh(m.conv(x)), m.conv(y))), image)
    assert network.by_name["conv"].op.activation == Activation("tanh")


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


def test_padding_with_minus_infinity_is_that_of_the_maximum_after_it(lowered):
    module = Function(lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2))
    (pool,) = ops(lowered(module, torch.randn(1, 4, 8, 8)))
    assert pool == Pool2d("max", (3, 3), (2, 2), (0, 1, 0, 1))


@pytest.mark.parametrize("sides", [(1, 1), (5, 1), (1, 5)])
@pytest.mark.parametrize("channels", [32, 42])
def test_what_scales_channels_of_one_row_or_column_has_a_bias(lowered, channels, sides):
    scale = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    network = lowered(scale, torch.randn(2, channels, *sides))
    assert ops(network) == [Conv2d(channels, channels, (1, 1), groups=channels, has_bias=True)]
    slopes = nn.PReLU(channels)
    nn.init.uniform_(slopes.weight, 0.1, 0.9)
    network = lowered(slopes, torch.randn(2, channels, *sides))
    assert all(op.has_bias for op in ops(network) if isinstance(op, Conv2d))


def test_other_convolutions_without_bias_stay_so(lowered):
    for module, sides in (
        (nn.Conv2d(8, 8, 1, groups=8, bias=False), (5, 5)),
        (nn.Conv2d(8, 8, (3, 1), groups=8, bias=False), (5, 1)),
        (nn.Conv2d(8, 8, 1, bias=False), (5, 1)),
    ):
        (op,) = ops(lowered(module, torch.randn(2, 8, *sides)))
        assert not op.has_bias


def test_padding_of_more_than_half_a_window_stays_before_a_pool(lowered):
    """As in NASNet, which moves an image by a pixel before it takes every second one."""
    shifted = nn.Sequential(nn.ZeroPad2d((-1, 1, -1, 1)), nn.AvgPool2d(1, stride=2))
    assert Pad in kinds(lowered(shifted, torch.randn(IMAGE)))
    widest = nn.Sequential(nn.ReLU(), nn.ZeroPad2d(2), nn.MaxPool2d(3))
    assert Pad in kinds(lowered(widest, torch.randn(IMAGE)))
