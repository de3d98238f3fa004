import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.operators import Binary, Input, Unary
from tests.network.modules import Function, ops

IMAGE = (2, 4, 12, 12)


def batch_norm_results(x):
    ones = torch.ones(4)
    operator = torch.ops.aten._native_batch_norm_legit_no_training
    return operator(x, ones, ones, ones, ones, 0.1, 1e-5)


def refused(module, *shapes):
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(module.eval(), tuple(torch.randn(shape) for shape in shapes))
    return str(caught.value)


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
    assert "test_rulebook.py:" in message


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


@pytest.mark.parametrize(
    ("function", "shapes", "reason"),
    [
        (lambda x: x[x > 0], [IMAGE], "aten.index.Tensor"),
        (lambda x: x.nonzero(), [IMAGE], "depends on the values of a tensor; keep all shapes"),
        (lambda x: x.argmax(1), [IMAGE], "its result is torch.int64"),
        (lambda x: x > 0, [IMAGE], "result 0 is a mask; return it as numbers"),
        (lambda x: x**x, [IMAGE], "base and exponent are both tensors"),
        (lambda x: x**0, [IMAGE], "to the power of 0"),
        (lambda x: (-2) ** x, [IMAGE], "powers of -2"),
        (lambda x: F.pad(x, (1, 1), value=-torch.inf), [IMAGE], "before max pooling alone"),
        (lambda x: torch.fft.fft2(x, (4, 4)).abs(), [IMAGE], "its result is torch.complex64"),
        (lambda x: x * x.sum().item(), [IMAGE], "aten.item"),
        (lambda x: x + torch.rand(4, 1, 1), [IMAGE], "aten.rand"),
        (lambda x: x + F.dropout(torch.ones(4, 1, 1)), [IMAGE], "draws at random"),
        (lambda x: F.max_pool1d(x, 2), [(4, 12)], "not (N, C, H, W)"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True), [IMAGE], "torch.int64"),
        (lambda x: batch_norm_results(x)[1], [IMAGE], "is a constant tensor"),
        (lambda x: x.clamp(x.abs()), [IMAGE], "clamping to tensors"),
        (lambda x: F.pad(x, (1, -1, 1, 1), mode="reflect"), [IMAGE], "is not of height and width"),
        (lambda x: x.mean(), [IMAGE], "a single number, of shape ()"),
        (lambda x: F.dropout(x, training=True), [IMAGE], "drops at random"),
        (lambda x: x.repeat(1, 2, 1, 1), [(1, 4096, 2, 2)], "copying (1, 1, 1, 4096"),
        (lambda x: x.double().relu(), [IMAGE], "torch.float64"),
        (lambda x: F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1)), [IMAGE], "adds to the batch"),
        (lambda x: torch.div(x, 2, rounding_mode="floor"), [IMAGE], "rounding division"),
        (lambda x: x.max(1)[1], [IMAGE], "torch.int64"),
        (lambda x: (x + x, torch.ones(3)), [IMAGE], "result 1 is a constant tensor"),
        (lambda x: (x + x, 3), [IMAGE], "result 1 is 3, whatever the input"),
    ],
)
def test_what_cannot_be_lowered_is_refused(function, shapes, reason):
    message = refused(Function(function), *shapes)
    assert reason in message
    assert "cannot be scheduled" in message
    assert "modules.py:" in message or "return" in message


def test_control_flow_operators_are_refused():
    module = Function(lambda x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,)))
    assert "cond" in refused(module, IMAGE)


@pytest.mark.parametrize(
    ("function", "shapes", "reason"),
    [
        (
            lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
            [(2, 10, 12)],
            "drops at random",
        ),
    ],
)
def test_what_has_no_layer_is_refused_with_its_place(function, shapes, reason):
    inputs = tuple(torch.randn(shape) for shape in shapes)
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Function(function).eval(), inputs)
    assert reason in str(caught.value)
    assert "modules.py:" in str(caught.value)


def grid(x):
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    return x + torch.stack((columns, rows)).repeat(2, 1, 1).unsqueeze(0).float()


def written(x):
    steps = torch.arange(12).float()
    steps.add_(0.5)
    mask = torch.zeros(12, 12)
    mask[1:, 2:] = 3
    return x * steps + mask


@pytest.mark.parametrize(
    "function",
    [grid, written, lambda x: x * torch.arange(8).float().split(4)[1].view(4, 1, 1)],
)
def test_what_depends_on_no_input_is_a_constant(lowered, function):
    lowered(Function(function), torch.randn(IMAGE))


def test_a_detector_is_to_end_before_its_suppression():
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(12, 1)
    module = Function(lambda x: x.flatten(1)[:, torchvision.ops.nms(boxes, x[0, 0, 0], 0.5)])
    assert "give the part of the model before it" in refused(module, (1, 4, 12, 12))
