"""Images of a batch in the channels of a network's tensors: the same numbers, handed on alike."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from autosched.errors import NetworkFileError
from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.operators import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Gather,
    Input,
    Output,
    Permute,
    Reshape,
    Slice,
)
from autosched.network.reference import evaluate_network
from autosched.network.rewrites.packed_images import pack_images
from tests.network.modules import Function, WithParameter


@pytest.fixture
def packed(lowered):
    """Capture a module, pack so many images, and compare the packed network with it."""

    def pack(module: nn.Module, images: int, *inputs: torch.Tensor):
        network = lowered(module, *inputs)
        found = pack_images(network, images)
        assert found.packing.images == images
        assert found.batch == network.batch
        for mine, theirs in zip(
            evaluate_network(found, inputs), evaluate_network(network, inputs), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
        return found

    return pack


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape)


def layers_of(network, kind):
    return [layer for layer in network if isinstance(layer.op, kind)]


@pytest.mark.parametrize("count", [2, 4])
def test_convolutions_have_a_block_of_weights_for_each_image(packed, count):
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 5, 1, bias=False)
    )
    network = packed(module, count, images(4, 3, 12, 10))
    (source,), (output,) = layers_of(network, Input), layers_of(network, Output)
    assert source.shape == (4 // count, 3 * count, 12, 10)
    assert output.shape == (4 // count, 5 * count, 6, 5)
    assert network.caller_shape(source) == (4, 3, 12, 10)
    assert network.caller_shape(output) == (4, 5, 6, 5)
    first, last = (layer.op for layer in layers_of(network, Conv2d))
    assert (first.in_channels, first.out_channels, first.groups) == (3 * count, 8 * count, 1)
    assert (last.in_channels, last.out_channels, last.groups) == (8 * count, 5 * count, 1)
    assert network.packing.apart == ()


def test_one_image_each_is_the_network_as_it_is(lowered):
    network = lowered(nn.Conv2d(3, 4, 3), images(2, 3, 8, 8))
    assert pack_images(network, 1) is network


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 12, 3, padding=1, groups=6, bias=False),
        nn.Conv2d(6, 4, 3, padding=2, dilation=2, groups=2),
        nn.ConvTranspose2d(6, 4, 2, 2),
        nn.ConvTranspose2d(6, 4, 3, 2, 1, 1, groups=2, bias=False),
    ],
    ids=["depthwise", "multiplied", "grouped", "transposed", "transposed groups"],
)
@pytest.mark.parametrize("behind", ["one input", "a concatenation", "a part"])
def test_every_kind_of_convolution(packed, convolution, behind):
    def function(x, y, convolution, last):
        read = {
            "one input": lambda: torch.relu(x),
            "a concatenation": lambda: torch.cat([x[:, :2].sigmoid(), y], 1),
            "a part": lambda: torch.cat([y, y], 1)[:, 1:7],
        }[behind]()
        return last(functional.hardswish(convolution(read)))

    last = nn.Conv2d(convolution.out_channels, 3, 1)
    module = Function(function, convolution, last)
    network = packed(module, 2, images(4, 6, 6, 8), images(4, 4, 6, 8))
    assert network.packing.apart == ()


def test_a_concatenation_costs_nothing_where_a_convolution_reads_it(packed):
    def function(x, first, second, last):
        joined = torch.cat([first(x), second(x)], 1)
        enlarged = functional.interpolate(functional.max_pool2d(joined, 2), scale_factor=2)
        return last(torch.relu(enlarged))

    parts = (nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 2, 1), nn.Conv2d(7, 4, 3))
    network = packed(Function(function, *parts), 4, images(4, 3, 8, 8))
    assert len(layers_of(network, Conv2d)) == 3
    assert layers_of(network, Concat)[0].shape == (1, 28, 8, 8)


def test_a_concatenation_that_is_handed_back_is_put_in_order(packed):
    module = Function(lambda x, y: (torch.cat([x, y], 1), torch.cat([y, x], 1).relu()))
    network = packed(module, 2, images(2, 3, 4, 4), images(2, 5, 4, 4))
    assert len(layers_of(network, Conv2d)) == 2
    assert [layer.shape for layer in layers_of(network, Output)] == [(1, 16, 4, 4)] * 2
    assert isinstance(network.layers[-2].op, Output)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("sides", [(1, 1), (4, 6)])
def test_constants_for_each_channel_and_pixel(packed, channels, batch, sides):
    def function(x, y, weight):
        joined = torch.cat([x[:, 1:2], y], 1)
        return x * weight + 1.5, weight - torch.relu(joined), x.mean((2, 3), keepdim=True) / weight

    module = WithParameter(function, batch, channels, *sides)
    module.weight.data.abs_().add_(0.5)
    packed(module, 2, images(4, 3, 4, 6), images(4, 2, 4, 6))


def test_constants_beside_channels(packed):
    def function(x, weight):
        return torch.cat([x, weight.expand(4, 2, 4, 6)], 1).square()

    packed(WithParameter(function, 1, 2, 1, 6), 2, images(4, 3, 4, 6))


def test_attention_of_channels_and_of_pixels(packed):
    def function(x, squeeze, excite, mask):
        scale = excite(torch.relu(squeeze(x.mean((2, 3), keepdim=True)))).sigmoid()
        pixels = mask(x).sigmoid()
        return x * scale * pixels, torch.maximum(pixels, torch.cat([x, x * 2], 1))

    parts = (nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1), nn.Conv2d(6, 1, 3, padding=1))
    network = packed(Function(function, *parts), 2, images(4, 6, 5, 5))
    assert network.packing.apart == ()


def test_what_works_on_each_channel_for_itself(packed):
    def function(x, norm):
        x = functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)
        x = functional.pad(functional.leaky_relu(norm(x), 0.2), (1, 1, 2, 2))
        x = functional.pixel_shuffle(x.sigmoid(), 2)
        x = functional.pad(torch.cat([x, x], 1).tanh(), (3, 3, 3, 3), mode="reflect")
        return functional.interpolate(x[:, :, 1:-1, ::2], scale_factor=2, mode="bilinear")

    norm = nn.GroupNorm(4, 8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    network = packed(Function(function, norm), 2, images(4, 8, 100, 100))
    assert layers_of(network, Gather)
    assert network.packing.apart == ()


def test_images_are_taken_apart_for_what_mixes_channels(packed):
    """Once for each tensor, and never again packed; a vector is a view."""

    def function(x, convolution, head):
        x = convolution(x)
        weights = x.softmax(1)
        return weights * x, x.square(), head(x.mean((2, 3)))

    module = Function(function, nn.Conv2d(3, 8, 3), nn.Linear(8, 5))
    network = packed(module, 2, images(4, 3, 6, 6))
    (apart,) = layers_of(network, Permute)
    assert apart.shape == (4, 8, 4, 4)
    assert [layer.shape for layer in layers_of(network, Output)] == [
        *[(4, 8, 4, 4), (2, 16, 4, 4)],
        *[(4, 5)],
    ]
    assert len(network.packing.apart) == 3
    (vector,) = layers_of(network, Reshape)
    assert network.input_shapes(vector) == ((2, 16, 1, 1),)


def test_one_tensor_packed_and_one_apart_are_read_apart(packed):
    def function(x, y):
        joined = torch.relu(x.reshape(4, 2, 3, 5).softmax(1)) + y.relu()
        return joined, torch.cat([joined, y.relu()], 1)

    network = packed(Function(function), 2, images(4, 30), images(4, 2, 3, 5))
    assert len(layers_of(network, Permute)) == 2
    assert not layers_of(network, Slice)


def test_a_packed_network_is_packed_no_further(lowered):
    network = pack_images(lowered(nn.Conv2d(3, 4, 3), images(4, 3, 8, 8)), 2)
    assert pack_images(network, 2) is network
    with pytest.raises(NetworkFileError, match="2 images packed into channels already"):
        pack_images(network, 4)


@pytest.mark.parametrize("io", ["nhwc", "nchw,device"])
def test_images_in_the_devices_order_are_not_packed(io):
    with pytest.raises(NetworkFileError, match="only images in PyTorch's are packed"):
        capture(nn.Conv2d(3, 4, 3).eval(), (images(4, 3, 8, 8),), io=io, pack_images=2)


@pytest.mark.parametrize(
    ("module", "shape", "count", "words"),
    [
        (nn.Conv2d(3, 4, 3), (4, 3, 8, 8), 3, "the number has to divide the batch, 4"),
        (nn.Conv2d(3, 4, 3), (4, 3, 8, 8), 0, "the number has to divide the batch, 4"),
        (nn.Linear(6, 2), (4, 6), 2, r"no input is a batch of 4 images \(N, C, H, W\)"),
        (nn.Softmax(1), (4, 3, 8, 8), 2, r"layer parts.0 \(Softmax\) mixes channels"),
        (nn.Flatten(), (4, 3, 8, 8), 2, r"\(Reshape\) mixes channels, or reads its images apart"),
        (nn.Identity(), (4, 3, 8, 8), 2, "no layer works on them"),
    ],
    ids=["three", "none", "vectors", "softmax", "flattened", "nothing"],
)
def test_why_a_network_cannot_be_packed(lowered, module, shape, count, words):
    with pytest.raises(NetworkFileError, match=words):
        pack_images(lowered(Function(lambda x, part: part(x), module), images(*shape)), count)


@pytest.mark.parametrize("count", [2, 4])
def test_the_shallow_unet(count):
    """The whole network is packed: no layer more than it has, and nothing taken apart."""
    loaded = load_network_file("studies/unet_small.py")
    inputs = images(4, 4, 64, 32)
    network = capture(loaded.module, (inputs,), "unet_small", check=False)
    packed = pack_images(network, count)
    assert [layer.name for layer in packed] == [layer.name for layer in network]
    with torch.no_grad():
        truth = loaded.module(inputs)
    (result,) = evaluate_network(packed, [inputs])
    torch.testing.assert_close(result, truth, atol=1e-5 * float(truth.abs().max()), rtol=0)
    assert not layers_of(packed, ConvTranspose2d)
