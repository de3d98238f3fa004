import pytest
import torch
from torch import nn

from autosched.errors import NetworkFileError
from autosched.network.capture.exporting import check_module, check_tensors

FLOAT = torch.ones(1, 3)


@pytest.mark.parametrize(
    ("module", "inputs", "message"),
    [
        (nn.Linear(3, 3).half(), (FLOAT,), "parameter weight is torch.float16"),
        (nn.Linear(3, 3).double(), (FLOAT,), "parameter weight is torch.float64"),
        (nn.Linear(3, 3, dtype=torch.complex64), (FLOAT,), "parameter weight is torch.complex64"),
        (nn.Linear(3, 3), (FLOAT, FLOAT.int()), "example input 1 is torch.int32"),
        (nn.Linear(3, 3), (FLOAT.half(),), "example input 0 is torch.float16"),
        (nn.Linear(3, 3, device="meta"), (FLOAT,), "parameter weight is on device 'meta'"),
        (nn.Linear(3, 3), (FLOAT.to("meta"),), "example input 0 is on device 'meta'"),
    ],
)
def test_other_formats_and_devices_are_refused(module, inputs, message):
    with pytest.raises(NetworkFileError, match=f"net.py: {message}"):
        check_tensors(module, inputs, "net.py")


def test_half_precision_buffers_are_refused_and_counters_are_not():
    module = nn.BatchNorm2d(3)
    check_tensors(module, (FLOAT,), "net.py")
    module.running_mean = module.running_mean.half()
    with pytest.raises(NetworkFileError, match="buffer running_mean is"):
        check_tensors(module, (FLOAT,), "net.py")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_refused():
    module = torch.jit.trace(nn.Linear(3, 3), FLOAT)
    with pytest.raises(NetworkFileError, match=r"net\.py: the model is a TorchScript module"):
        check_module(module, "net.py")


class Restless(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        self.norm.train()
        return self.norm(x)


def test_a_model_that_puts_itself_back_into_training_mode_says_where():
    module = Restless().eval()
    module(torch.randn(1, 3, 4, 4))
    with pytest.raises(NetworkFileError) as caught:
        check_module(module, "net")
    assert "its submodule norm is in training mode" in str(caught.value)
    assert "Restless (test_checks.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "advice"),
    [
        (torch.zeros(1, 3, dtype=torch.complex64), "real and imaginary parts as channels"),
        (torch.zeros(1, 3, dtype=torch.long), "look indices up before the network"),
        (torch.zeros(1, 3, dtype=torch.float16), "Convert it with .float()"),
        (torch.zeros(1, 3, device="meta"), "It has no values"),
    ],
)
def test_an_input_of_another_kind_says_what_to_do(tensor, advice):
    with pytest.raises(NetworkFileError) as caught:
        check_tensors(nn.ReLU(), (tensor,), "net.py")
    assert "net.py: example input 0 is" in str(caught.value)
    assert advice in str(caught.value)
