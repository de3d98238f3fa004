import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.operators import (
    Activation,
    Binary,
    Constant,
    Conv2d,
    GlobalAvgPool2d,
    Input,
    Linear,
    Output,
    Pool2d,
    Reshape,
    Softmax,
    Unary,
    Upsample,
)

IMAGE = (2, 4, 12, 12)


class Function(nn.Module):
    """A module of one function, with an optional parameter."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(shape)) if shape else None

    def forward(self, *inputs):
        return self.function(*inputs, *([] if self.weight is None else [self.weight]))


def batch_norm_results(x):
    ones = torch.ones(4)
    operator = torch.ops.aten._native_batch_norm_legit_no_training
    return operator(x, ones, ones, ones, ones, 0.1, 1e-5)


def ops(network):
    return [layer.op for layer in network if not isinstance(layer.op, (Input, Output))]


def refused(module, *shapes):
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(module.eval(), tuple(torch.randn(shape) for shape in shapes))
    return str(caught.value)


@pytest.mark.parametrize(
    ("convolution", "padding"),
    [
        (nn.Conv2d(4, 6, 3), (0, 0, 0, 0)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (1, 1, 1, 1)),
        (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(1, 2)), (1, 1, 2, 2)),
        (nn.Conv2d(4, 6, 3, dilation=2, padding=2), (2, 2, 2, 2)),
        (nn.Conv2d(4, 8, 3, groups=2), (0, 0, 0, 0)),
        (nn.Conv2d(4, 4, 3, groups=4, padding=1), (1, 1, 1, 1)),
        (nn.Conv2d(4, 6, 3, padding="same"), (1, 1, 1, 1)),
        (nn.Conv2d(4, 6, (2, 4), padding="same"), (0, 1, 1, 2)),
        (nn.Conv2d(4, 6, 3, padding="same", dilation=(1, 3)), (1, 1, 3, 3)),
        (nn.Conv2d(4, 6, 3, padding="valid"), (0, 0, 0, 0)),
    ],
)
def test_convolutions(lowered, convolution, padding):
    network = lowered(convolution, torch.randn(IMAGE))
    (op,) = ops(network)
    assert op == Conv2d(
        4,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        padding,
        convolution.dilation,
        convolution.groups,
        convolution.bias is not None,
    )


def test_weights_share_the_modules_memory(lowered):
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(600, 3))
    network = lowered(module, torch.randn(IMAGE))
    assert network.weights["0"].weight.data_ptr() == module[0].weight.data_ptr()
    assert network.weights["2"].bias.data_ptr() == module[2].bias.data_ptr()


def test_constant_weights_may_be_computed(lowered):
    standardised = Function(lambda x, w: F.conv2d(x, (w - w.mean()) / w.std()), 5, 4, 3, 3)
    (op,) = ops(lowered(standardised, torch.randn(IMAGE)))
    assert op == Conv2d(4, 5, (3, 3), has_bias=False)


@pytest.mark.parametrize(
    ("pooling", "op"),
    [
        (nn.MaxPool2d(2), Pool2d("max", (2, 2), (2, 2))),
        (nn.MaxPool2d(3, 2, 1), Pool2d("max", (3, 3), (2, 2), (1, 1, 1, 1))),
        (nn.MaxPool2d(2, dilation=2), Pool2d("max", (2, 2), (2, 2), dilation=(2, 2))),
        (nn.MaxPool2d((5, 3), ceil_mode=True), Pool2d("max", (5, 3), (5, 3), ceil_mode=True)),
        (nn.AvgPool2d(2), Pool2d("avg", (2, 2), (2, 2))),
        (nn.AvgPool2d(3, 2, 1), Pool2d("avg", (3, 3), (2, 2), (1, 1, 1, 1))),
        (
            nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
            Pool2d("avg", (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), True, False),
        ),
        (
            nn.AvgPool2d(3, divisor_override=5),
            Pool2d("avg", (3, 3), (3, 3), divisor_override=5),
        ),
        (nn.AvgPool2d(12), GlobalAvgPool2d()),
        (
            nn.AvgPool2d(12, divisor_override=5),
            Pool2d("avg", (12, 12), (12, 12), divisor_override=5),
        ),
        (nn.AdaptiveAvgPool2d(1), GlobalAvgPool2d()),
        (nn.AdaptiveAvgPool2d((3, 4)), Pool2d("avg", (4, 3), (4, 3))),
        (nn.AdaptiveMaxPool2d(1), Pool2d("max", (12, 12), (12, 12))),
        (nn.AdaptiveMaxPool2d((6, None)), Pool2d("max", (2, 1), (2, 1))),
        (nn.AdaptiveAvgPool2d((12, 36)), Upsample("nearest", (1, 3))),
    ],
)
def test_poolings(lowered, pooling, op):
    assert ops(lowered(pooling, torch.randn(IMAGE))) == [op]


def test_pooling_with_unused_indices(lowered):
    module = Function(lambda x: F.max_pool2d(x, 2, return_indices=True)[0])
    assert ops(lowered(module, torch.randn(IMAGE))) == [Pool2d("max", (2, 2), (2, 2))]


def test_adaptive_pooling_to_its_own_size_is_nothing(lowered):
    assert ops(lowered(nn.AdaptiveAvgPool2d(12), torch.randn(IMAGE))) == []


def test_means_over_pixels(lowered):
    kept = Function(lambda x: x.mean((-1, -2), keepdim=True))
    assert ops(lowered(kept, torch.randn(IMAGE))) == [GlobalAvgPool2d()]
    network = lowered(Function(lambda x: x.mean((2, 3))), torch.randn(IMAGE))
    assert ops(network) == [GlobalAvgPool2d(), Reshape()]
    assert [layer.shape for layer in network] == [IMAGE, (2, 4, 1, 1), (2, 4), (2, 4)]


@pytest.mark.parametrize(
    ("function", "shape", "has_bias"),
    [
        (F.linear, (5, 8), False),
        (lambda x, w: F.linear(x, w, w[:, 0]), (5, 8), True),
        (lambda x, w: x @ w, (8, 5), False),
        (lambda x, w: x.mm(w), (8, 5), False),
        (lambda x, w: x @ w.t(), (5, 8), False),
        (lambda x, w: x @ w + w[0], (8, 5), True),
        (lambda x, w: torch.addmm(w[0], x, w), (8, 5), True),
        (lambda x, w: torch.addmm(w[:1, :1], x, w), (8, 5), True),
    ],
)
def test_products_with_a_parameter(lowered, function, shape, has_bias):
    network = lowered(Function(function, *shape), torch.randn(3, 8))
    assert ops(network) == [Linear(8, 5, has_bias)]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flatten(1),
        lambda x: x.view(2, -1),
        lambda x: x.reshape(2, 4, -1),
        lambda x: x.unsqueeze(0).squeeze(0).unsqueeze(1),
        lambda x: x.view(2, 2, 2, 12, 12).flatten(1),
    ],
)
def test_views_become_one_reshape(lowered, function):
    assert ops(lowered(Function(function), torch.randn(IMAGE))) == [Reshape()]


def test_views_that_end_where_they_began_are_nothing(lowered):
    module = Function(lambda x: F.relu(x.flatten(1).view(2, 4, 12, 12)))
    assert ops(lowered(module, torch.randn(IMAGE))) == [Unary(Activation("relu"))]


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


def test_softmax_counts_from_the_front(lowered):
    assert ops(lowered(nn.Softmax(-1), torch.randn(3, 8))) == [Softmax(1)]
    assert ops(lowered(nn.Softmax2d(), torch.randn(IMAGE))) == [Softmax(1)]


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


@pytest.mark.parametrize("pool", [nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2)])
def test_a_series_is_an_image_of_one_column(lowered, pool):
    convolution = nn.Conv1d(4, 6, 3, 2, padding=2, dilation=2)
    module = nn.Sequential(convolution, nn.BatchNorm1d(6), nn.ReLU(), pool)
    network = lowered(module, torch.randn(2, 4, 30))
    first, second = (layer for layer in network if isinstance(layer.op, (Conv2d, Pool2d)))
    assert (first.op.kernel, first.op.padding, first.op.stride) == ((3, 1), (2, 2, 0, 0), (2, 1))
    assert first.op.activation == Activation("relu")
    assert second.shape[3] == 1


def test_a_buffer_that_every_call_changes_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    message = refused(Counting(), IMAGE)
    assert "calls (aten.add" in message
    assert "every call changes this buffer" in message
    assert "test_lowering_rules.py:" in message


def test_what_does_nothing_is_removed(lowered):
    module = nn.Sequential(
        nn.Dropout(), nn.Dropout2d(inplace=True), nn.Identity(), nn.AlphaDropout()
    )
    assert ops(lowered(module, torch.randn(IMAGE))) == []
    module = Function(lambda x: x.clone().contiguous().detach().float().expand(2, -1, -1, -1))
    assert ops(lowered(module, torch.randn(IMAGE))) == []


def test_several_inputs_and_outputs(lowered):
    module = Function(lambda x, _unused, y: {"sum": x + y, "rest": [x, None, F.relu(y)]})
    module.function.__defaults__ = None
    inputs = [torch.randn(IMAGE) for _ in range(3)]
    with pytest.raises(TypeError):
        lowered(module, *inputs)
    module = Function(lambda x, _unused, y: (x + y, [x, F.relu(y)]))
    network = lowered(module, *inputs)
    assert [type(op) for op in ops(network)] == [Binary, Unary]
    assert sum(isinstance(layer.op, Input) for layer in network) == 3
    assert [layer.name for layer in network][-3:] == ["output", "output_2", "output_3"]


def written_into(x):
    y = 2 * x
    y[:, :1] = 0
    return y


@pytest.mark.parametrize(
    ("function", "shapes", "reason"),
    [
        (lambda x: x.cumsum(1), [IMAGE], "no layer for this operator"),
        (lambda x: x[x > 0], [IMAGE], "aten.index.Tensor"),
        (lambda x: x.nonzero(), [IMAGE], "depends on the values of a tensor; keep all shapes"),
        (lambda x: x.argmax(1), [IMAGE], "its result is torch.int64"),
        (lambda x: torch.fft.fft2(x).abs(), [IMAGE], "its result is torch.complex64"),
        (written_into, [IMAGE], "writes into a part of a tensor; put the parts together"),
        (lambda x: x * x.sum().item(), [IMAGE], "aten.item"),
        (lambda x: x + torch.rand(4, 1, 1), [IMAGE], "aten.rand"),
        (lambda x: x + F.dropout(torch.ones(4, 1, 1)), [IMAGE], "draws at random"),
        (lambda x: x + torch.ones(4, 1, 1).mul_(2), [IMAGE], "constant in place"),
        (lambda x: F.conv2d(torch.ones(1, 4, 12, 12), x), [IMAGE], "its input is a constant"),
        (F.conv2d, [IMAGE, (4, 4, 3, 3)], "weight is computed from the input"),
        (lambda x: F.conv2d(x, torch.ones(4, 4, 1, 1)), [(4, 12, 12)], "not (N, C, H, W)"),
        (lambda x: F.batch_norm(x, None, None, training=True), [IMAGE], "batch's own statistics"),
        (lambda x: F.adaptive_max_pool2d(x, 5), [IMAGE], "does not divide"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True), [IMAGE], "torch.int64"),
        (lambda x: batch_norm_results(x)[1], [IMAGE], "result 1 of"),
        (lambda x: x.mean(2), [IMAGE], "mean over height and width"),
        (lambda x: x.sum(2), [IMAGE], "sum over the channels"),
        (lambda x: x.clamp(x.abs()), [IMAGE], "clamping to what is computed"),
        (lambda x: F.pad(x, (1, -1, 1, 1), mode="reflect"), [IMAGE], "is not of height and width"),
        (lambda x: x.mean(), [IMAGE], "mean over height and width"),
        (lambda x: torch.ones(3, 3) @ x, [(3, 8)], "parameter on the left"),
        (lambda x: torch.ones(3, 3) @ x, [(2, 3, 8)], "parameter on the left"),
        (lambda x, y: x @ y, [(3, 8), (2, 8, 4)], "repeats one of them"),
        (lambda x: x @ torch.ones(8), [(3, 8)], "not (in, out)"),
        (lambda x: torch.addmm(x, x, torch.ones(8, 8)), [(3, 8)], "bias is computed"),
        (lambda x: torch.addmm(torch.ones(3, 8), x, torch.ones(8, 8)), [(3, 8)], "bias has shape"),
        (lambda x: torch.addmm(torch.ones(8), x, torch.ones(8, 8), beta=2), [(3, 8)], "beta and"),
        (lambda x: F.dropout(x, training=True), [IMAGE], "drops at random"),
        (lambda x: x.expand(6, -1, -1, -1), [(1, 4, 2, 2)], "copies (1, 4, 2, 2) to (6, 4, 2, 2)"),
        (lambda x: x.double().relu(), [IMAGE], "torch.float64"),
        (lambda x: F.pad(x, (1, 1), value=1.0), [IMAGE], "padding with zeros"),
        (lambda x: F.pad(x, (-1, 0)), [IMAGE], "padding [-1, 0]"),
        (lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), [IMAGE], "not of height and width alone"),
        (lambda x: torch.ops.aten.elu(x, 1.0, 2.0), [IMAGE], "scaled ELU"),
        (lambda x: torch.add(x, x, alpha=2), [IMAGE], "alpha"),
        (lambda x: torch.div(x, 2, rounding_mode="floor"), [IMAGE], "rounding division"),
        (lambda x: torch.ones(4, 1, 1) / x, [IMAGE], "constant divided by"),
        (lambda x, y: x + y, [IMAGE, (2, 1, 1, 12)], "must equal the first"),
        (lambda x, y: y / x, [IMAGE, (2, 1, 12, 12)], "must equal the first"),
        (lambda x: x + torch.ones(12), [(1, 4, 12, 1)], "larger than the tensor"),
        (lambda x: x + torch.ones(1, 1, 4, 12, 12), [IMAGE], "more dimensions"),
        (lambda x: (x + x, torch.ones(3)), [IMAGE], "result 1 is a constant tensor"),
        (lambda x: (x + x, 3), [IMAGE], "result 1 is 3, whatever the input"),
    ],
)
def test_what_cannot_be_lowered_is_refused(function, shapes, reason):
    message = refused(Function(function), *shapes)
    assert reason in message
    assert "cannot be scheduled" in message
    assert "test_lowering_rules.py:" in message or "return" in message


def test_control_flow_operators_are_refused():
    module = Function(lambda x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,)))
    assert "cond" in refused(module, IMAGE)


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
