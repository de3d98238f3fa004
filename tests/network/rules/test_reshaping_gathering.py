import pytest
import torch
from torch import nn

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from tests.network.modules import Function, ops

IMAGE = (2, 8, 6, 7)
ORDER = torch.tensor([3, 1, 0, -6, 7, 5, 6, 4])

FUNCTIONS = {
    "flip": (lambda x: x.flip(3), IMAGE),
    "flip of two": (lambda x: x.flip((2, 1)), IMAGE),
    "channels": (lambda x: x[:, ORDER], IMAGE),
    "mask": (lambda x: x[:, ORDER > 3], IMAGE),
    "rows": (lambda x: x.index_select(2, torch.tensor([1, 1, 4])), IMAGE),
    "tokens": (lambda x: x[:, torch.tensor([0, 2])], (2, 5, 8)),
    "features": (lambda x: x[:, ORDER], (2, 8)),
}


@pytest.mark.parametrize(("function", "shape"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_elements_are_taken_in_a_constant_order(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_the_order_they_have_is_nothing(lowered):
    assert ops(lowered(Function(lambda x: x[:, torch.arange(8)]), torch.randn(IMAGE))) == []


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x[ORDER % 2, :, ORDER % 6], "several index tensors"),
        (lambda x: x.index_select(1, x[0, :3, 0, 0].int()), "computed from the input"),
    ],
)
def test_other_indices_are_refused(function, reason):
    module: nn.Module = Function(function).eval()
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(module, (torch.randn(IMAGE),))
    assert reason in str(caught.value)
