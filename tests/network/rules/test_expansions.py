import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Binary, Conv2d, GlobalAvgPool2d, Upsample
from tests.network.modules import Function, kinds

IMAGE = (2, 8, 6, 7)
TOKENS = (2, 5, 8)
VECTORS = (2, 6)

EXPANDED = {
    "channels": (lambda x: x[:, :1].expand(-1, 8, -1, -1).relu(), IMAGE),
    "sides": (lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 5, 4), IMAGE),
    "tokens": (lambda x: x.mean(1, keepdim=True).expand_as(x).softmax(1), TOKENS),
    "batch": (lambda x: x.expand(3, -1, -1, -1), (1, 4, 5, 6)),
    "new": (lambda x: x.unsqueeze(0).expand(3, -1, -1, -1, -1).sum(0), IMAGE),
    "vectors to images": (lambda x: x[:, :, None, None].expand(-1, -1, 4, 4), VECTORS),
    "features": (lambda x: x.sum(1, keepdim=True).expand_as(x).relu(), VECTORS),
    "scores": (lambda x: (x @ x.mT).sum(2, keepdim=True).expand(-1, -1, 3).exp(), TOKENS),
    "turned": (lambda x: x.mean(2, keepdim=True).expand_as(x).transpose(2, 3).clone(), IMAGE),
}


@pytest.mark.parametrize(("function", "shape"), EXPANDED.values(), ids=EXPANDED)
def test_what_is_expanded_is_repeated_for_readers_that_need_it(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


REPEATED = {
    "channels": (lambda x: x.repeat(1, 2, 1, 1), IMAGE),
    "sides": (lambda x: x.repeat(1, 1, 2, 3), IMAGE),
    "each channel": (lambda x: x.repeat_interleave(2, 1), IMAGE),
    "each row": (lambda x: x.repeat_interleave(2, 2), IMAGE),
    "batch": (lambda x: x.repeat(2, 1, 1), (1, 4, 5)),
    "tile": (lambda x: torch.tile(x, (3,)), VECTORS),
    "once": (lambda x: x.repeat(1, 1, 1, 1), IMAGE),
}


@pytest.mark.parametrize(("function", "shape"), REPEATED.values(), ids=REPEATED)
def test_what_is_repeated_is_beside_itself(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_a_gate_is_multiplied_as_it_is(lowered):
    module = Function(lambda x: x * F.sigmoid(x.mean((2, 3), keepdim=True)).expand_as(x))
    network = lowered(module, torch.randn(IMAGE))
    assert Binary in kinds(network)
    assert not {Upsample, Conv2d} & set(kinds(network))


def test_what_nobody_reads_in_full_is_never_repeated(lowered):
    module = Function(lambda x: x.mean((2, 3), keepdim=True).expand_as(x).contiguous() + x)
    assert kinds(lowered(module, torch.randn(IMAGE))) == [GlobalAvgPool2d, Binary]
