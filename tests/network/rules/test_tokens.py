"""Norms, products of tensors and attention, with the views around them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture
from autosched.network.operators import (
    Activation,
    Attention,
    Binary,
    Conv2d,
    GlobalAvgPool2d,
    GroupNorm,
    Input,
    LayerNorm,
    Linear,
    Matmul,
    Output,
    Permute,
    Softmax,
)

IMAGE = (2, 12, 4, 6)
TOKENS = (2, 10, 12)


class Function(nn.Module):
    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs):
        return self.function(*inputs, *self.parts)


def ops(network):
    return [layer.op for layer in network if not isinstance(layer.op, (Input, Output))]


def kinds(network):
    return [type(op) for op in ops(network)]


def scrambled(module):
    """Fresh norms are ones and zeros, which would hide a mistake."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -1.0, 1.0)
    return module


class ConvNextBlock(nn.Module):
    """As torchvision has it: between permutes to channels last and back."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.norm, self.grow, self.shrink = nn.LayerNorm(12), nn.Linear(12, 48), nn.Linear(48, 12)
        self.scale = nn.Parameter(torch.rand(12, 1, 1))

    def forward(self, x):
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        y = self.shrink(F.gelu(self.grow(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


def test_channels_last_blocks_need_no_permute(lowered):
    network = lowered(scrambled(ConvNextBlock()), torch.randn(IMAGE))
    mix, norm, grow, shrink, add = ops(network)
    assert (mix.groups, norm, add) == (12, LayerNorm(1e-5), Binary("add"))
    assert grow == Conv2d(12, 48, (1, 1), activation=Activation("gelu"))
    assert shrink == Conv2d(48, 12, (1, 1))
    assert {layer.shape for layer in network} == {IMAGE, (2, 48, 4, 6)}


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


MASKS = {
    "causal": {"is_causal": True},
    "of all": {"attn_mask": torch.rand(7, 5)},
    "of one image": {"attn_mask": torch.rand(1, 1, 7, 5) > 0.3},
    "of each image": {"attn_mask": torch.rand(2, 1, 7, 5)},
    "of each head": {"attn_mask": torch.rand(3, 7, 5) > 0.3},
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


def test_tokens_are_pixels_of_one_column(lowered):
    tokens = torch.randn(TOKENS)
    network = lowered(scrambled(nn.Sequential(nn.Linear(12, 5), nn.GELU())), tokens)
    assert kinds(network) == [Permute, Conv2d, Permute]
    assert network.layers[2].shape == (2, 5, 10, 1)
    assert LayerNorm(1e-5) in ops(lowered(scrambled(nn.LayerNorm(12)), tokens))
    lowered(Function(lambda x: x + 1), tokens)
    lowered(Function(lambda x: 2 * x - torch.arange(12.0)), tokens)
    lowered(scrambled(nn.BatchNorm1d(10)), tokens)


def test_the_mean_over_tokens_is_that_over_pixels(lowered):
    def function(x, head):
        return head(x.flatten(2).transpose(1, 2).mean(1))

    network = lowered(Function(function, nn.Linear(12, 3)), torch.randn(IMAGE))
    assert {GlobalAvgPool2d, Linear} <= set(kinds(network))


def test_norms_without_parameters_have_ones_and_zeros(lowered):
    module = Function(lambda x: F.layer_norm(x, (12,)))
    assert LayerNorm(1e-5) in ops(lowered(module, torch.randn(TOKENS)))
    assert ops(lowered(nn.GroupNorm(3, 12, affine=False), torch.randn(IMAGE))) == [
        GroupNorm(3, 1e-5)
    ]
    assert ops(lowered(scrambled(nn.GroupNorm(3, 12)), torch.randn(IMAGE))) == [GroupNorm(3, 1e-5)]


@pytest.mark.parametrize(
    ("function", "shapes", "reason"),
    [
        (lambda x: F.layer_norm(x, (4, 6)), [IMAGE], "normalises over 2 dimensions"),
        (lambda x: F.group_norm(x, 3), [(2, 12)], "not (N, C, H, W)"),
        (
            lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=x @ x.mT),
            [TOKENS],
            "a mask that is computed from the input",
        ),
        (
            lambda x: F.scaled_dot_product_attention(x, x, x, enable_gqa=True),
            [(2, 2, 3, 4)],
            "share keys",
        ),
        (
            lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
            [TOKENS],
            "drops at random",
        ),
        (
            lambda x, y: F.scaled_dot_product_attention(x, y, y),
            [(2, 2, 3, 4), (1, 2, 3, 4)],
            "has no layer",
        ),
        (lambda x: F.softmax(x, 0), [TOKENS], "along the batch"),
    ],
)
def test_what_has_no_layer_is_refused_with_its_place(function, shapes, reason):
    inputs = tuple(torch.randn(shape) for shape in shapes)
    with pytest.raises(UnsupportedOperatorError) as caught:
        capture(Function(function).eval(), inputs)
    assert reason in str(caught.value)
    assert "test_tokens.py:" in str(caught.value)
