import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.errors import UnsupportedOperatorError
from autosched.network.operators import Conv2d, ConvTranspose2d, Linear
from tests.network.modules import Function, WithParameter, kinds, ops

IMAGE, SERIES, VOLUME = (2, 8, 6, 6), (2, 8, 12), (1, 4, 5, 7, 6)

FUNCTIONS = {
    "windows": (lambda x: F.unfold(x, 3, padding=1, dilation=2), IMAGE),
    "from windows": (lambda x: F.fold(F.unfold(x, 2, stride=2), (6, 6), 2, stride=2), IMAGE),
    "windows of a series": (lambda x: x.unfold(2, 4, 2), SERIES),
    "long windows of a long series": (
        lambda x: (2 * x).unfold(2, 258, 256)[..., 1:] + x.unfold(2, 257, 256),
        (1, 4, 256 * 40 + 2),
    ),
    "short windows of a long series": (lambda x: x.unfold(-1, 3, 1).sum(-1), (2, 4, 3000)),
    "windows with gaps of a long series": (lambda x: x.unfold(1, 5, 7), (2, 5003, 8)),
    "computed kernels": (lambda x: F.conv2d(x[:1], x[1:, :4].reshape(4, 2, 3, 6), groups=4), IMAGE),
    "computed kernels of a series": (lambda x: F.conv1d(x, x[:1, :, :3], padding=1), SERIES),
    "uneven maxima": (lambda x: F.adaptive_max_pool2d(x, (4, 5)), IMAGE),
    "the largest of a series": (lambda x: F.adaptive_max_pool1d(x, 1), SERIES),
    "uneven maxima of a series": (lambda x: F.adaptive_max_pool1d(x, 5), SERIES),
    "uneven maxima of volumes": (lambda x: F.adaptive_max_pool3d(x, (2, 3, 4)), VOLUME),
    "uneven means of volumes": (lambda x: F.adaptive_avg_pool3d(x, (2, 3, 4)), VOLUME),
    "means of volumes of features": (
        lambda x: F.adaptive_avg_pool3d((2 * x).movedim(-1, 1), 1),
        (1, 1, 2, 3, 40),
    ),
    "pools of an image without a batch": (
        lambda x: F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1),
        IMAGE[1:],
    ),
    "means of volumes of one channel": (
        lambda x: F.avg_pool3d(x, (3, 2, 2), 2, 1, count_include_pad=False),
        (2, 1, 5, 7, 6),
    ),
    "volumes in windows over the edge": (
        lambda x: F.max_pool3d(x, (2, 3, 3), 2, (1, 0, 1), ceil_mode=True),
        VOLUME,
    ),
    "volumes in windows that begin beyond": (
        lambda x: F.max_pool3d(x, 2, (4, 2, 2), 1, ceil_mode=True),
        VOLUME,
    ),
    "volumes": (
        lambda x: F.max_pool3d(x[:, :, None].repeat(1, 1, 4, 1, 1), (3, 2, 2), 2, 1),
        IMAGE,
    ),
}


@pytest.mark.parametrize(("function", "shape"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_an_operator_is_made_of_computes_the_same(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_images_and_series_without_a_batch_are_convolved(lowered):
    lowered(nn.Conv2d(8, 4, 3, stride=2, padding=1), torch.randn(IMAGE[1:]))
    lowered(nn.Conv1d(8, 4, 3, groups=2), torch.randn(SERIES[1:]))


@pytest.mark.parametrize(
    ("kernel", "step", "cut", "more", "outputs"),
    [(128, 64, 0, 0, 1), (192, 64, 10, 5, 3), (66, 33, 33, 30, 2)],
)
def test_long_kernels_spread_a_series_by_steps(lowered, kernel, step, cut, more, outputs):
    """ttnn 0.81.1 never ends on one of 512 numbers in steps of 256."""
    module = nn.ConvTranspose1d(6, outputs, kernel, step, cut, more)
    found = ops(lowered(module, torch.randn(2, 6, 14)))
    assert not any(isinstance(op, ConvTranspose2d) for op in found)


def test_computed_kernels_of_a_transposed_series_are_refused(lowered):
    module = Function(lambda x: F.conv_transpose1d(x, x[:1, :, :3].transpose(0, 1)))
    with pytest.raises(UnsupportedOperatorError, match="conv_transpose"):
        lowered(module, torch.randn(1, 4, 9))


def test_volumes_are_convolved_slice_by_slice(lowered):
    module = nn.Conv3d(4, 6, 3, stride=(2, 1, 1), padding=(1, 0, 1), groups=2)
    lowered(module, torch.randn(1, 4, 5, 6, 6))


@pytest.mark.parametrize(
    "module",
    [
        nn.ConvTranspose3d(4, 6, 2, stride=2),
        nn.ConvTranspose3d(4, 6, 3, (2, 1, 2), (1, 0, 1), (1, 0, 1), groups=2, dilation=(1, 2, 1)),
    ],
)
def test_volumes_are_enlarged_slice_by_slice(lowered, module):
    lowered(module, torch.randn(1, 4, 3, 4, 5))


@pytest.mark.parametrize(
    "module",
    [
        nn.AvgPool3d(2),
        nn.AvgPool3d((1, 2, 2)),
        nn.AvgPool3d(3, 2, 1),
        nn.AvgPool3d(3, 1, 1, count_include_pad=False),
    ],
)
def test_volumes_are_averaged_slice_by_slice(lowered, module):
    lowered(module, torch.randn(1, 4, 4, 6, 8))


def test_a_local_response_norm_takes_its_means_by_products_of_channels(lowered):
    network = lowered(nn.LocalResponseNorm(5), torch.randn(2, 16, 6, 6))
    products = [op for op in ops(network) if isinstance(op, Conv2d)]
    assert {op.kernel for op in products} == {(1, 1)}
    assert [op.out_channels for op in products] == [20, 16]
    assert len(ops(network)) == 5


@pytest.mark.parametrize("channels", [192, 200])
def test_many_channels_are_convolved_with_their_computed_kernels_place_by_place(lowered, channels):
    def wide(x):
        kernels = torch.tanh(x[:, :, :5, :5]).reshape(channels, 1, 5, 5)
        return F.conv2d(x, kernels, None, (2, 1), (2, 1), (1, 2), channels)

    network = lowered(Function(wide), torch.randn(1, channels, 9, 12))
    assert Conv2d not in kinds(network)


def test_kernels_may_be_computed_for_a_parameter(lowered):
    lowered(WithParameter(lambda x, w: F.conv2d(w, x), 1, 8, 6, 6), torch.randn(3, 8, 3, 3))


@pytest.mark.parametrize(
    ("convolution", "shape"),
    [
        (nn.Conv2d(1, 12, (1, 6)), (5, 1, 1, 6)),
        (nn.Conv1d(1, 12, 16, stride=2, bias=False), (5, 1, 16)),
    ],
)
def test_a_kernel_as_long_as_a_row_is_a_linear_layer(lowered, convolution, shape):
    network = lowered(nn.Sequential(convolution, nn.ReLU()), torch.randn(shape))
    assert not any(isinstance(op, Conv2d) for op in ops(network))
    assert any(isinstance(op, Linear) for op in ops(network))


def test_one_as_large_as_a_higher_image_stays_a_convolution(lowered):
    network = lowered(nn.Conv2d(1, 12, (4, 6)), torch.randn(5, 1, 4, 6))
    assert any(isinstance(op, Conv2d) for op in ops(network))


@pytest.mark.parametrize("padding", [0, 7])
def test_a_long_kernel_is_one_of_few_steps(lowered, padding):
    network = lowered(nn.Conv1d(2, 6, 96, stride=32, padding=padding), torch.randn(2, 2, 301))
    (convolution,) = (op for op in ops(network) if isinstance(op, Conv2d))
    assert (convolution.in_channels, convolution.kernel) == (64, (3, 1))
