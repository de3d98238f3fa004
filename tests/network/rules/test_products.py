"""Products of tensors and attention, with the views around them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.network.operators import Attention, Linear, Matmul, Permute, Softmax
from tests.network.modules import Function, WithParameter, kinds, ops, scrambled

IMAGE = (2, 12, 4, 6)
TOKENS = (2, 10, 12)


class SelfAttention(nn.Module):
    """Multi-head attention over the pixels of an image, keys and values from a smaller one."""

    def __init__(self, written_out: bool):
        super().__init__()
        self.q, self.kv, self.out = nn.Linear(12, 12), nn.Linear(12, 24), nn.Linear(12, 12)
        self.reduce = nn.Conv2d(12, 12, 2, 2)
        self.written_out = written_out

    def forward(self, x):
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        small = self.reduce(tokens.transpose(1, 2).reshape(x.shape)).flatten(2).transpose(1, 2)
        q = self.q(tokens).view(batch, -1, 3, 4).transpose(1, 2)
        k, v = self.kv(small).view(batch, -1, 2, 3, 4).permute(2, 0, 3, 1, 4).unbind(0)
        if self.written_out:
            shares = F.dropout(torch.softmax(q @ k.transpose(-2, -1) / 2.0, -1), 0.1, False)
            result = shares @ v
        else:
            result = F.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.out(result.transpose(1, 2).reshape(batch, -1, channels))
        return tokens.transpose(1, 2).reshape(batch, channels, height, width)


@pytest.mark.parametrize("written_out", [False, True])
def test_attention_over_pixels_needs_no_permute(lowered, written_out):
    network = lowered(scrambled(SelfAttention(written_out)), torch.randn(IMAGE))
    assert Attention(3, 0.5) in ops(network)
    assert not {Permute, Matmul, Softmax} & set(kinds(network))


def test_attention_of_three_inputs_is_rearranged(lowered):
    inputs = [torch.randn(2, 3, 7, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)]
    network = lowered(Function(F.scaled_dot_product_attention), *inputs)
    assert kinds(network) == [Permute, Permute, Permute, Attention, Permute]
    network = lowered(Function(F.scaled_dot_product_attention), *(x[:, 0] for x in inputs))
    assert Attention(1, 0.5) in ops(network)


# A row in which nothing counts would have no softmax; of these masks each has something.
SEEDED = torch.Generator().manual_seed(5)
MASKS = {
    "causal": {"is_causal": True},
    "of all": {"attn_mask": torch.rand(7, 5, generator=SEEDED)},
    "of one image": {"attn_mask": torch.rand(1, 1, 7, 5, generator=SEEDED) > 0.3},
    "of each image": {"attn_mask": torch.rand(2, 1, 7, 5, generator=SEEDED)},
    "of each head": {"attn_mask": torch.rand(3, 7, 5, generator=SEEDED) > 0.3},
    "of each": {"attn_mask": torch.rand(2, 3, 7, 5).masked_fill(torch.eye(7, 5) > 0, -torch.inf)},
    "of each key": {"attn_mask": torch.rand(1, 5), "scale": 0.7},
}


@pytest.mark.parametrize("arguments", MASKS.values(), ids=MASKS)
def test_a_constant_mask_is_added_to_the_scores(lowered, arguments):
    def masked(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **arguments)

    inputs = [torch.randn(2, 3, 7, 4), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)]
    network = lowered(Function(masked), *inputs)
    (layer,) = [layer for layer in network if isinstance(layer.op, Attention)]
    mask = network.by_name[layer.inputs[3]]
    assert mask.shape in {(1, 7, 5), (6, 7, 5)}
    assert network.weights[mask.name].weight.isfinite().all()


def test_a_mask_without_heads(lowered):
    mask = torch.rand(2, 7, 5) > 0.3

    def masked(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    inputs = [torch.randn(2, 7, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 4)]
    lowered(Function(masked), *inputs)


def test_keys_and_values_in_different_orders_are_brought_into_one(lowered):
    def function(x, y):
        values = y.transpose(2, 3).flatten(2).transpose(1, 2)
        return F.scaled_dot_product_attention(
            x.flatten(2).transpose(1, 2), y.flatten(2).transpose(1, 2), values
        )

    lowered(Function(function), torch.randn(IMAGE), torch.randn(IMAGE))


def test_products_of_two_tensors(lowered):
    x, y = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 8, 4)
    assert Matmul() in ops(lowered(Function(torch.matmul), x, y))
    network = lowered(Function(lambda x: x @ x.transpose(-1, -2)), torch.randn(TOKENS))
    assert Matmul(transposed=True) in ops(network)
    assert Matmul(transposed=True) in ops(lowered(Function(lambda x: x @ x.T), torch.randn(3, 8)))
    network = lowered(Function(lambda x: F.softmax(x @ x.mT, -1)), torch.randn(TOKENS))
    assert Softmax(1) in ops(network)


@pytest.mark.parametrize(
    ("function", "shape", "has_bias"),
    [
        (F.linear, (5, 8), False),
        (lambda x, w: F.linear(x, w, w[:, 0]), (5, 8), True),
        (lambda x, w: x @ w, (8, 5), False),
        (lambda x, w: x.mm(w), (8, 5), False),
        (lambda x, w: x @ w.t(), (5, 8), False),
        (lambda x, w: x @ w + w[0], (8, 5), True),
        (lambda x, w: torch.addmm(w[0], x, w), (8, 5), True),
        (lambda x, w: torch.addmm(w[:1, :1], x, w), (8, 5), True),
    ],
)
def test_products_with_a_parameter(lowered, function, shape, has_bias):
    network = lowered(WithParameter(function, *shape), torch.randn(3, 8))
    assert ops(network) == [Linear(8, 5, has_bias)]


PRODUCTS = {
    "parameter on the left": (lambda x, w: w[:3, :5] @ x, (5, 8)),
    "parameter on the left of several": (lambda x, w: w[:3, :5] @ x, (2, 5, 8)),
    "parameters for each": (lambda x, w: x @ w.unflatten(1, (2, 4)).movedim(1, 0), (2, 5, 8)),
    "vector": (lambda x, w: x @ w[0], (2, 5, 8)),
    "linear layer of a vector": (lambda x, w: F.linear(x, w[0]), (2, 5, 8)),
    "linear layer of a vector and a number": (lambda x, w: F.linear(x, w[0], w[0, 0]), (2, 5, 8)),
    "repeated": (lambda x, w: (x @ w)[:1] @ x.mT, (2, 5, 8)),
    "repeated for heads": (
        lambda x, w: (x @ w).unflatten(2, (4, 2)).movedim(2, 1) @ x[:, None, :2, :2].mT,
        (2, 5, 8),
    ),
    "computed bias": (lambda x, w: torch.addmm(x, x, w, beta=2), (5, 8)),
}


@pytest.mark.parametrize(("function", "shape"), PRODUCTS.values(), ids=PRODUCTS)
def test_products_with_parameters_and_repeated_tensors(lowered, function, shape):
    lowered(WithParameter(function, 8, 8), torch.randn(shape))
