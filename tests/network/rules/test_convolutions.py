import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Activation, Conv2d, ConvTranspose2d, Pool2d
from tests.network.modules import Function, WithParameter, ops

IMAGE = (2, 4, 12, 12)


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


@pytest.mark.parametrize(
    ("convolution", "outputs"),
    [(nn.Conv2d(5, 1, 1, bias=False), 3), (nn.Conv2d(5, 2, 1), 6), (nn.Conv2d(5, 4, 1, 2), 4)],
)
def test_the_same_product_of_parts_of_channels_is_one(lowered, convolution, outputs):
    """What makes distances of a YOLOv8's distributions."""
    module = Function(lambda x, conv: conv(x.view(2, 3, 5, -1).transpose(1, 2)), convolution)
    network = lowered(module, torch.randn(2, 15, 4, 4))
    (op,) = (op for op in ops(network) if isinstance(op, Conv2d))
    assert op.out_channels == outputs


def test_weights_share_the_modules_memory(lowered):
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(600, 3))
    network = lowered(module, torch.randn(IMAGE))
    assert network.weights["0"].weight.data_ptr() == module[0].weight.data_ptr()
    assert network.weights["2"].bias.data_ptr() == module[2].bias.data_ptr()


def test_constant_weights_may_be_computed(lowered):
    standardised = WithParameter(lambda x, w: F.conv2d(x, (w - w.mean()) / w.std()), 5, 4, 3, 3)
    (op,) = ops(lowered(standardised, torch.randn(IMAGE)))
    assert op == Conv2d(4, 5, (3, 3), has_bias=False)


@pytest.mark.parametrize("pool", [nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(2)])
def test_a_series_is_an_image_of_one_column(lowered, pool):
    convolution = nn.Conv1d(4, 6, 3, 2, padding=2, dilation=2)
    module = nn.Sequential(convolution, nn.BatchNorm1d(6), nn.ReLU(), pool)
    network = lowered(module, torch.randn(2, 4, 30))
    first, second = (layer for layer in network if isinstance(layer.op, (Conv2d, Pool2d)))
    assert (first.op.kernel, first.op.padding, first.op.stride) == ((3, 1), (2, 2, 0, 0), (2, 1))
    assert first.op.activation == Activation("relu")
    assert second.shape[3] == 1


@pytest.mark.parametrize(
    "convolution",
    [
        nn.ConvTranspose1d(8, 4, 4, 2, 1),
        nn.ConvTranspose1d(8, 4, 3, 2, 1, 1, groups=2, bias=False),
        nn.Sequential(nn.ConvTranspose1d(8, 4, 4, 2, 1), nn.BatchNorm1d(4), nn.ReLU()),
        nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(8, 4, 3, stride=2, groups=2)),
    ],
)
def test_series_are_images_of_one_column(lowered, convolution):
    network = lowered(convolution, torch.randn(2, 8, 9))
    (op,) = (op for op in ops(network) if isinstance(op, Conv2d | ConvTranspose2d))
    assert op.kernel[1] == 1
    assert len(ops(network)) == 3
