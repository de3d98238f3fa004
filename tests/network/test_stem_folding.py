"""A folded stem computes what the convolution does, in torch."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, is_pointwise
from autosched.network.stem_folding import MAX_FOLDED_CHANNELS, fold_image, fold_stem, fold_weights

RESNET = Conv2d(3, 64, (7, 7), (2, 2), (3, 3, 3, 3))


def convolved(image: torch.Tensor, op: Conv2d, weights: Weights) -> torch.Tensor:
    top, bottom, left, right = op.padding
    padded = F.pad(image, (left, right, top, bottom))
    return F.conv2d(padded, weights.weight, weights.bias, op.stride)


def assert_folding_keeps(
    op: Conv2d, size: tuple[int, int], channels: int = 0, batch: int = 2
) -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(batch, op.in_channels, *size, generator=generator)
    shape = (op.out_channels, op.in_channels, *op.kernel)
    bias = torch.randn(op.out_channels, generator=generator) if op.has_bias else None
    weights = Weights(torch.randn(shape, generator=generator), bias)
    stem = fold_stem(op, tuple(image.shape), channels)
    assert stem is not None
    folded = fold_image(image, stem)
    assert tuple(folded.shape) == stem.folded
    assert stem.op.stride == (1, 1)
    assert min(stem.op.padding) >= 0
    found = convolved(folded, stem.op, fold_weights(weights, stem))
    expected = convolved(image, op, weights)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        ((7, 7), (2, 2), (3, 3, 3, 3), (32, 32)),
        ((3, 3), (2, 2), (1, 1, 1, 1), (32, 30)),
        ((3, 3), (2, 2), (0, 1, 0, 1), (32, 32)),
        ((6, 6), (2, 2), (2, 2, 2, 2), (32, 32)),
        ((4, 4), (2, 2), (0, 0, 0, 0), (16, 16)),
        ((2, 2), (2, 2), (1, 1, 1, 1), (16, 16)),
        ((4, 4), (4, 4), (0, 4, 2, 2), (32, 32)),
        ((7, 7), (4, 4), (3, 3, 3, 3), (32, 64)),
        ((11, 11), (4, 4), (2, 2, 2, 2), (63, 63)),
        ((7, 5), (2, 1), (3, 3, 2, 2), (20, 21)),
        ((5, 7), (1, 3), (2, 2, 1, 4), (20, 21)),
        ((5, 3), (3, 2), (4, 0, 2, 1), (19, 23)),
    ],
)
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_folded_convolution_computes_the_same(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    size: tuple[int, int],
    has_bias: bool,
) -> None:
    assert_folding_keeps(Conv2d(3, 8, kernel, stride, padding, has_bias=has_bias), size)


@given(
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(*[st.integers(0, 5)] * 4),
    size=st.tuples(st.integers(4, 24), st.integers(4, 24)),
    channels=st.integers(1, 4),
    in_memory=st.sampled_from([0, 4, 8]),
)
def test_whatever_folds_computes_the_same(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    size: tuple[int, int],
    channels: int,
    in_memory: int,
) -> None:
    op = Conv2d(channels, 3, kernel, stride, padding)
    assume(size[0] + sum(padding[:2]) >= kernel[0] and size[1] + sum(padding[2:]) >= kernel[1])
    assume(fold_stem(op, (2, channels, *size), in_memory))
    assert_folding_keeps(op, size, in_memory)


@pytest.mark.parametrize("channels", [0, 8])
def test_the_stem_of_resnet_is_a_four_by_four_convolution(channels: int) -> None:
    stem = fold_stem(RESNET, (1, 3, 224, 224), channels)
    assert stem is not None
    depth = 4 * (channels or 3)
    assert stem.op == replace(
        RESNET, in_channels=depth, kernel=(4, 4), stride=(1, 1), padding=(2, 1, 2, 1)
    )
    assert stem.folded == (1, depth, 112, 112)
    assert_folding_keeps(RESNET, (224, 224), channels, batch=1)


def test_the_layer_folds_as_the_capture_of_torchvisions_resnet_has_it() -> None:
    torchvision = pytest.importorskip("torchvision.models")
    from autosched.network.capture.capture import capture  # noqa: PLC0415 - slow to import

    torch.manual_seed(0)
    model = torchvision.resnet50(weights=None).eval()
    stem_only = torch.nn.Sequential(model.conv1, model.bn1).eval()
    image = torch.randn(1, 3, 224, 224)
    network = capture(stem_only, (image,))
    layer = next(item for item in network if isinstance(item.op, Conv2d))
    assert isinstance(layer.op, Conv2d)
    stem = fold_stem(layer.op, (1, 3, 224, 224))
    assert stem is not None
    weights = fold_weights(network.weights[layer.name], stem)
    assert tuple(weights.weight.shape) == (64, 12, 4, 4)
    found = convolved(fold_image(image, stem), stem.op, weights)
    with torch.no_grad():
        expected = stem_only(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "op",
    [
        replace(RESNET, stride=(1, 1)),
        replace(RESNET, groups=3),
        replace(RESNET, dilation=(2, 2)),
        replace(RESNET, in_channels=MAX_FOLDED_CHANNELS // 4 + 1),
        replace(RESNET, kernel=(1, 1), padding=(0, 0, 0, 0)),
        replace(RESNET, kernel=(2, 2), padding=(0, 0, 0, 0)),
    ],
)
def test_other_convolutions_have_no_folded_form(op: Conv2d) -> None:
    assert fold_stem(op, (1, 3, 224, 224)) is None


def test_an_image_whose_last_pixels_are_not_read_is_not_folded() -> None:
    op = Conv2d(1, 1, (5, 4), (4, 4))
    assert fold_stem(op, (1, 1, 9, 8)) is not None
    assert fold_stem(op, (1, 1, 9, 10)) is None


def test_a_single_window_becomes_a_product_of_all_pixels() -> None:
    """Also where each pixel takes more channels in memory than it has."""
    op, shape = Conv2d(3, 8, (5, 2), (3, 1)), (4, 3, 5, 2)
    image, weights = torch.randn(shape), Weights(torch.randn(8, 3, 5, 2), torch.randn(8))
    for channels in (0, 8):
        stem = fold_stem(op, shape, channels)
        assert stem is not None
        assert is_pointwise(stem.op)
        found = convolved(fold_image(image, stem), stem.op, fold_weights(weights, stem))
        torch.testing.assert_close(found, convolved(image, op, weights))


@pytest.mark.parametrize(
    "op",
    [
        Conv2d(4, 8, (5, 2), padding=(1, 0, 0, 0)),
        Conv2d(4, 8, (5, 2), groups=2),
        Conv2d(4, 8, (4, 2)),
    ],
)
def test_several_windows_are_no_product(op: Conv2d) -> None:
    assert fold_stem(op, (1, 4, 5, 2)) is None
