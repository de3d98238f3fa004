import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import NetworkFileError, UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.operators import Binary, Conv2d, GlobalAvgPool2d, Linear, Pool2d, Reshape
from tests.network.modules import Function


def count(network, kind):
    return sum(isinstance(layer.op, kind) for layer in network)


def test_resnet18(lowered):
    network = lowered(torchvision.models.resnet18(weights=None), torch.randn(2, 3, 64, 64))
    assert (count(network, Conv2d), count(network, Binary), count(network, Linear)) == (20, 8, 1)
    assert (count(network, Pool2d), count(network, GlobalAvgPool2d)) == (1, 1)
    assert len(network.layers) == 34
    assert network.batch == 2
    add = network.by_name["layer2.0.add"]
    assert add.inputs == ("layer2.0.conv2", "layer2.0.downsample.0")
    assert add.op.activation.name == "relu"
    assert network.by_name["layer2.0.conv2"].op.activation is None
    assert network.by_name["avgpool"].shape == (2, 512, 1, 1)
    # The second block of each stage and the first of stage 1 repeat earlier layers.
    assert len({network.layer_signature(layer) for layer in network}) < 28


def test_mobilenet_v2(lowered):
    network = lowered(torchvision.models.mobilenet_v2(weights=None), torch.randn(1, 3, 64, 64))
    assert count(network, Conv2d) == 52
    depthwise = network.by_name["features.2.conv.1.0"].op
    assert depthwise.groups == depthwise.in_channels == 96
    assert depthwise.activation.name == "relu6"


def test_squeeze_and_excite(lowered):
    network = lowered(
        torchvision.models.mobilenet_v3_small(weights=None), torch.randn(1, 3, 64, 64)
    )
    assert network.by_name["features.1.block.1.mul"].op == Binary("mul")
    assert network.by_name["features.1.block.1.fc2"].op.activation.name == "hardsigmoid"
    assert network.by_name["classifier.0"].op.activation.name == "hardswish"
    assert count(network, Reshape) == 1


class Sorted(nn.Module):
    def forward(self, x):
        return x.sort(1)[0]


class Unsupported(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 8, 3), Sorted())

    def forward(self, x):
        x = self.block(x)
        x = x.cumprod(1)
        return F.grid_sample(x, x.permute(0, 2, 3, 1)[..., :2], align_corners=False)


def test_every_unsupported_operator_is_named_with_its_place():
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Unsupported().eval(), (torch.randn(1, 3, 8, 8),), "net")
    line = Unsupported.forward.__code__.co_firstlineno
    message = str(caught.value)
    assert message.startswith("net: 3 operators cannot be scheduled:\n")
    within = Sorted.forward.__code__.co_firstlineno + 1
    assert f"  block.1.sort (aten.sort.default) at test_capture.py:{within}: " in message
    for name, operator, offset in (
        ("cumprod", "aten.cumprod.default", 2),
        ("grid_sampler", "aten.grid_sampler.default", 3),
    ):
        assert f"  {name} ({operator}) at test_capture.py:{line + offset}: " in message


def test_a_model_that_returns_nothing_is_refused():
    with pytest.raises(NetworkFileError, match="net: the model returns no tensor; end its forward"):
        capture(Function(lambda _: None).eval(), (torch.randn(1, 3, 8, 8),), "net")


def test_quantized_modules_are_refused_by_name():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8)).eval()
    quantized = torch.ao.quantization.quantize_dynamic(module, {nn.Linear})
    with pytest.raises(NetworkFileError, match="layer 1 is a quantized module"):
        capture(quantized, (torch.randn(1, 1, 8, 8),))


def test_training_mode_is_refused():
    inputs = (torch.randn(1, 3, 8, 8),)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    with pytest.raises(NetworkFileError, match=r"the module is in training mode; call model\.eval"):
        capture(module, inputs)
    module.eval()[1].train()
    with pytest.raises(NetworkFileError, match="its submodule 1 is in training mode"):
        capture(module, inputs)


def test_a_network_keeps_no_more_than_its_weights(lowered):
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    network = lowered(module, torch.randn(1, 3, 8, 8))
    assert set(network.weights) == {"0", "2"}
    assert network.weights["0"].weight.data_ptr() != module[0].weight.data_ptr()
    assert network.weights["2"].weight.data_ptr() == module[2].weight.data_ptr()


def test_channels_last_weights_become_contiguous(lowered):
    module = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
    lowered(module, torch.randn(1, 3, 8, 8))


def test_a_wrong_input_shape_names_model_and_place():
    class Net(nn.Module):
        def forward(self, x):
            return F.conv2d(x, torch.ones(4, 3, 3, 3))

    with pytest.raises(NetworkFileError, match=r"net: .*\(1, 5, 8, 8\) at test_capture.py:"):
        capture(Net().eval(), (torch.randn(1, 5, 8, 8),), "net")
