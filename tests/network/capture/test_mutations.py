import pytest
import torch
from torch import nn

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.capture.exporting import first_written_parameter

INPUTS = (torch.zeros(1, 3, 8, 8),)


class Net(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.conv, self.change = nn.Conv2d(3, 8, 3), change

    def forward(self, x):
        self.change(self.conv)
        return self.conv(x)


def halve(conv):
    conv.weight.data.mul_(0.5)


def test_the_line_that_writes_and_the_parameter_are_found():
    line = halve.__code__.co_firstlineno + 1
    assert first_written_parameter(Net(halve), INPUTS) == f"test_mutations.py:{line} (conv.weight)"


def test_a_module_that_writes_nothing_has_no_such_line():
    assert first_written_parameter(Net(lambda conv: conv.weight * 2), INPUTS) == ""


def test_the_message_names_them():
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Net(halve).eval(), INPUTS, "net")
    message = str(caught.value)
    assert "test_mutations.py:" in message
    assert "(conv.weight): it changes a parameter in each call" in message
