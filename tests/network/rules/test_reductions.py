import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Binary, Conv2d, GlobalAvgPool2d, Linear, Pool2d
from tests.network.modules import Function, kinds, ops

IMAGE = (2, 8, 6, 7)
TOKENS = (2, 5, 8)
VECTORS = (3, 8)


def heads(x):
    parts = F.normalize(x.view(2, 5, 2, 4).transpose(1, 2), dim=-1)
    return parts.transpose(1, 2).reshape(TOKENS)


def response(x):
    """Global response normalisation of ConvNeXt V2 (Woo et al., CVPR 2023)."""
    norms = torch.norm(x, dim=(1, 2), keepdim=True)
    return x * (norms / (norms.mean(-1, keepdim=True) + 1e-6)) + x


def layer_norm(x):
    mean = x.mean(1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)


def in_windows(x):
    batch, channels, height, width = x.shape
    return x.view(batch, channels, 2, height // 2, width // 2, 2).permute(0, 3, 2, 4, 1, 5)


FUNCTIONS = {
    "mean of a side": (lambda x: x.mean(3), IMAGE),
    "mean of an image": (lambda x: x.mean((1, 2, 3)), IMAGE),
    "mean of windows": (lambda x: x.view(2, 8, 3, 2, 7).mean(3), IMAGE),
    "mean of tokens": (lambda x: x.mean(1), TOKENS),
    "mean of a batch": (lambda x: x - x.mean(0, keepdim=True), VECTORS),
    "mean of images": (lambda x: x - x.mean(0, keepdim=True), IMAGE),
    "sum of pixels": (lambda x: x.sum((2, 3)), IMAGE),
    "sum of rows": (lambda x: x.sum(2), IMAGE),
    "sum of all": (lambda x: x / x.sum(), (2, 3)),
    "sum of tokens": (lambda x: x.sum(1), TOKENS),
    "sum of features": (lambda x: x.sum(-1), TOKENS),
    "sum of scores": (lambda x: (x @ x.mT).sum(-1), TOKENS),
    "sum in groups": (lambda x: x.view(2, 4, 2, 6, 7).sum(2), IMAGE),
    "sum of groups": (lambda x: x.view(2, 4, 2, 6, 7).sum(1), IMAGE),
    "sum of both": (lambda x: x.view(2, 4, 2, 6, 7).sum((1, 3)), IMAGE),
    "sum of size 1": (lambda x: x.sum(1), (2, 1, 6, 7)),
    "largest channel": (lambda x: x.max(1, keepdim=True)[0], IMAGE),
    "smallest channel": (lambda x: x.min(dim=1).values, IMAGE),
    "largest of a side": (lambda x: x.amax(3), IMAGE),
    "largest token": (lambda x: x.max(1)[0], TOKENS),
    "largest feature": (lambda x: x - x.amax(1, keepdim=True), VECTORS),
    "largest of all": (lambda x: x / x.abs().max(), IMAGE),
    "largest in groups": (lambda x: x.view(2, 4, 2, 6, 7).amax((1, 3)), IMAGE),
    "smallest of all": (lambda x: x - x.amin(), VECTORS),
    "normalised channels": (F.normalize, IMAGE),
    "normalised vectors": (F.normalize, VECTORS),
    "normalised tokens": (lambda x: F.normalize(x, dim=-1), TOKENS),
    "normalised heads": (heads, TOKENS),
    "normalised by sums": (lambda x: F.normalize(x, p=1, dim=1), IMAGE),
    "norm of pixels": (lambda x: torch.norm(x, dim=(2, 3), keepdim=True), IMAGE),
    "norm of order 3": (lambda x: torch.norm(x, p=3, dim=1), IMAGE),
    "norm of the largest": (lambda x: torch.linalg.vector_norm(x, float("inf"), 1), IMAGE),
    "global response norm": (response, (2, 6, 7, 8)),
    "layer norm by hand": (layer_norm, IMAGE),
    "variance": (lambda x: x.var(1, keepdim=True), IMAGE),
    "deviation": (lambda x: x.std((2, 3), unbiased=False), IMAGE),
    "deviation of tokens": (lambda x: x.std(-1), TOKENS),
    "logarithm of the sum": (lambda x: x.logsumexp(1), IMAGE),
    "mean of a stack": (lambda x: torch.stack([x, x.relu(), 2 * x], 1).mean(1), IMAGE),
    "largest in windows of many pixels": (lambda x: in_windows(x).amax((2, 5)), (1, 48, 28, 28)),
    "largest of the tokens of some windows": (
        lambda x: x.view(2, 4, 196, 2, 24).transpose(2, 3).amax(1),
        (2, 784, 48),
    ),
    "largest of many channels": (lambda x: x.flatten(1).view(2, 3, 9000).amax(1), (2, 27000)),
    "largest of a stack": (lambda x: torch.stack([x, x.relu(), 2 * x], 1).amax(1), IMAGE),
}


@pytest.mark.parametrize(("function", "shape"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_any_dimensions_can_be_reduced(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_the_largest_of_many_windows_keeps_the_channels(lowered):
    """Hiera's: as channels they were 150,528, for which no pool has room."""
    tokens = Function(lambda x: x.view(1, 4, 784, 96).amax(1))
    network = lowered(tokens, torch.randn(1, 3136, 96))
    (shape,) = [layer.shape for layer in network if isinstance(layer.op, Pool2d)]
    assert shape == (1, 96, 1, 784)


def test_the_sum_of_a_stack_is_a_chain_of_sums(lowered):
    module = Function(lambda x, y: torch.stack([x, y, x]).sum(0))
    network = lowered(module, torch.randn(IMAGE), torch.randn(IMAGE))
    assert ops(network) == [Binary("add"), Binary("add")]


def test_what_ttnn_has_for_images_is_used(lowered):
    assert kinds(lowered(Function(lambda x: x.mean((2, 3), True)), torch.randn(IMAGE))) == [
        GlobalAvgPool2d
    ]
    assert kinds(lowered(Function(lambda x: x.sum(1, True)), torch.randn(IMAGE))) == [Conv2d]
    assert kinds(lowered(Function(lambda x: x.sum(1, True)), torch.randn(VECTORS))) == [Linear]
    assert kinds(lowered(Function(lambda x: x.amax((2, 3), True)), torch.randn(IMAGE))) == [Pool2d]


def test_many_channels_are_summed_without_a_large_matrix(lowered):
    network = lowered(Function(lambda x: x.view(1, 2100, 2, 2).sum(2)), torch.randn(1, 4200, 2, 1))
    assert max(weights.weight.numel() for weights in network.weights.values()) < 1 << 22
