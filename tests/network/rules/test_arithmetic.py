import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import (
    Activation,
    Binary,
    Constant,
    Conv2d,
    GlobalAvgPool2d,
    Linear,
    Permute,
    Unary,
    Upsample,
)
from tests.network.modules import Function, kinds, ops

IMAGE = (2, 8, 6, 7)
TOKENS = (2, 5, 8)
VECTORS = (2, 8)
MASK = torch.rand(6, 7, generator=torch.Generator().manual_seed(0)) > 0.5
RAMP = torch.arange(8.0) / 8

REPEATED = {
    "rows and columns": (lambda x: x.mean(3, True).sigmoid() * x.mean(2, True).sigmoid(), IMAGE),
    "coordinates": (lambda x: x * x.mean(3, True) * x.mean(2, True), IMAGE),
    "pixels and channels": (lambda x: x.mean(1, True) * x.mean((2, 3), True), IMAGE),
    "images": (lambda x: x * x.mean((1, 2, 3), True), IMAGE),
    "small minus large": (lambda x: x.mean(1, True) - x, IMAGE),
    "small by large": (lambda x: x.mean(1, True) / (x.abs() + 1), IMAGE),
    "vectors": (lambda x: x - x.mean(1, True), VECTORS),
    "one vector": (lambda x: x - x.mean(0, True), VECTORS),
    "tokens": (lambda x: x * x.mean(2, True), TOKENS),
    "token": (lambda x: x * x.mean(1, True), TOKENS),
    "scores": (lambda x: (x @ x.mT) / (x @ x.mT).abs().sum(-1, True), TOKENS),
    "outer": (lambda x: x[:, :, None] * x[:, None, :], VECTORS),
    "windows": (lambda x: x.view(2, 2, 4, 6, 7) * x.view(2, 2, 4, 6, 7).mean(2, True), IMAGE),
    "larger constant": (lambda x: x + RAMP.view(8, 1, 1), (2, 1, 6, 7)),
    "constant of more dimensions": (lambda x: x + RAMP.view(8, 1, 1, 1), (2, 6, 7)),
    "images of a constant": (lambda x: x + torch.ones(3, 1, 1, 1), (1, 8, 6, 7)),
}


@pytest.mark.parametrize(("function", "shape"), REPEATED.values(), ids=REPEATED)
def test_either_operand_may_be_repeated(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


FUNCTIONS = {
    "maximum": (lambda x: torch.maximum(x, x.mean((2, 3), True)), IMAGE),
    "minimum with a number": (lambda x: torch.minimum(x, torch.tensor(0.3)), IMAGE),
    "maximum with channels": (lambda x: torch.max(x, RAMP.view(1, 8, 1, 1)), IMAGE),
    "a choice": (lambda x: torch.where(MASK, x, torch.tensor(0.5)), IMAGE),
    "a choice of two": (lambda x: torch.where(MASK, x, 2 * x), IMAGE),
    "a mask": (lambda x: x.masked_fill(MASK, -2.0), IMAGE),
    "an infinite mask": (lambda x: x.masked_fill(MASK, -torch.inf).softmax(-1), IMAGE),
    "addcmul": (lambda x: torch.addcmul(x, x, x.sigmoid(), value=0.5), IMAGE),
    "addcdiv": (lambda x: torch.addcdiv(x, x, x.exp()), IMAGE),
    "addcmul of constants": (lambda x: torch.addcmul(RAMP, x, RAMP), VECTORS),
    "lerp": (lambda x: torch.lerp(x, x.relu(), 0.3), IMAGE),
    "alpha": (lambda x: torch.add(x, x.relu(), alpha=0.3), IMAGE),
    "alpha of a constant": (lambda x: torch.sub(x, RAMP, alpha=0.3), VECTORS),
    "rsub": (lambda x: torch.rsub(x, x.relu(), alpha=0.3), IMAGE),
    "a number by a tensor": (lambda x: 3 / (x.abs() + 1), IMAGE),
    "channels by a tensor": (lambda x: RAMP.view(8, 1, 1) / (x.abs() + 1), IMAGE),
    "numbers and vectors": (lambda x: 2 * x + 1, VECTORS),
    "constants and vectors": (lambda x: torch.cat([x * RAMP, RAMP - x], 1), VECTORS),
}


@pytest.mark.parametrize(("function", "shape"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_two_tensors_or_of_a_constant(lowered, function, shape):
    lowered(Function(function), torch.randn(shape))


def test_one_side_alone_is_repeated(lowered):
    module = Function(lambda x: x.mean(1, True) * F.relu(x.mean((2, 3), True)))
    network = lowered(module, torch.randn(IMAGE))
    assert kinds(network) == [Conv2d, GlobalAvgPool2d, Unary, Conv2d, Binary]
    assert Upsample not in kinds(network)


def test_arithmetic_with_numbers_on_vectors_is_one_function_each(lowered):
    assert ops(lowered(Function(lambda x: x * 2 + 1), torch.randn(VECTORS))) == [
        Unary(Activation("mul_unary_sfpu", (2.0,))),
        Unary(Activation("add_unary_sfpu", (1.0,))),
    ]
    assert kinds(lowered(Function(lambda x: x * RAMP), torch.randn(VECTORS))) == [Constant, Binary]


def test_a_constant_below_one_is_a_reciprocal(lowered):
    network = lowered(Function(lambda x: 1 / (1 + x.exp())), torch.randn(VECTORS))
    assert ops(network)[-1] == Unary(Activation("recip"))
    assert Linear not in kinds(network)


def test_a_sum_goes_from_pixel_to_pixel_as_one_of_its_terms_does(lowered):
    """Tokens in the order of patches, as in MobileViT, stay so from block to block."""

    def blocks(x, one, two):
        tokens = x.reshape(1, 8, 4, 2, 4, 2).permute(0, 3, 5, 2, 4, 1).reshape(4, 16, 8)
        attended = F.scaled_dot_product_attention(*one(tokens).chunk(3, 2))
        first = tokens - attended
        attended = F.scaled_dot_product_attention(*two(first).chunk(3, 2))
        return attended + first

    network = lowered(Function(blocks, nn.Linear(8, 24), nn.Linear(8, 24)), torch.randn(1, 8, 8, 8))
    permuted = [layer for layer in network if isinstance(layer.op, Permute)]
    assert len(permuted) == 5  # the queries, keys and values of the first, its source, the result
    (second,) = (layer for layer in network if layer.op == Binary("add"))
    assert second.shape == (4, 8, 16, 1)
