import pytest
import torch
from torch import nn
from torch.nn import functional

from autosched.network.operators import Attention, Conv2d, Permute, Slice
from tests.network.modules import Function

HEADS = 2


class Attended(nn.Module):
    """Self-attention over tokens (N, tokens, features), fused or in three projections."""

    def __init__(self, features: int, fused: bool = True, bias: bool = True) -> None:
        super().__init__()
        outputs = (3 * features,) if fused else (features,) * 3
        self.projections = nn.ModuleList(nn.Linear(features, size, bias) for size in outputs)
        self.leave = nn.Linear(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, features = x.shape
        made = torch.cat([project(x) for project in self.projections], 2)
        if len(self.projections) > 1:
            parts = [project(x) for project in self.projections]
        else:
            parts = list(made.chunk(3, 2))
        query, key, value = (
            part.reshape(batch, tokens, HEADS, -1).transpose(1, 2) for part in parts
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.leave(attended.transpose(1, 2).reshape(batch, tokens, features))


def attention_of(network):
    (layer,) = (layer for layer in network if isinstance(layer.op, Attention))
    return layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_heads_are_filled_up_to_whole_tiles(lowered, fused, bias):
    network = lowered(Attended(40, fused, bias), torch.randn(2, 9, 40))
    assert attention_of(network).shape == (2, 64, 9, 1)
    assert attention_of(network).op == Attention(HEADS, 20**-0.5)
    made = [layer.op for layer in network if isinstance(layer.op, Conv2d)]
    assert [op.out_channels for op in made] == ([192, 40] if fused else [64, 64, 64, 40])
    cuts = [layer.op for layer in network if isinstance(layer.op, Slice)]
    assert cuts == ([Slice(0, 64), Slice(64, 128), Slice(128, 192)] if fused else [])


def test_zeros_go_through_permutations(lowered):
    """As in MobileViT: the pixels of each place in a patch attend to each other."""

    def patches(x, attend):
        tokens = x.reshape(1, 24, 4, 2, 4, 2).permute(0, 3, 5, 2, 4, 1).reshape(4, 16, 24)
        folded = attend(tokens).reshape(1, 2, 2, 4, 4, 24).permute(0, 5, 3, 1, 4, 2)
        return folded.reshape(1, 24, 8, 8)

    network = lowered(Function(patches, Attended(24)), torch.randn(1, 24, 8, 8))
    assert attention_of(network).shape[1] == 64
    assert any(isinstance(layer.op, Permute) for layer in network)


def turned(x, attend):
    """As in DINOv3: queries and keys of all tokens but the first are turned by their place."""

    def with_places(tokens):
        patches = tokens[:, :, 1:]
        halves = torch.cat([-patches[..., 10:], patches[..., :10]], 3)
        return torch.cat([tokens[:, :, :1], patches * 0.5 + halves * 0.8], 2)

    parts = [project(x) for project in attend.projections]
    query, key, value = (part.reshape(1, 9, HEADS, -1).transpose(1, 2) for part in parts)
    attended = functional.scaled_dot_product_attention(with_places(query), with_places(key), value)
    return attend.leave(attended.transpose(1, 2).reshape(1, 9, 40))


def test_heads_that_no_projection_makes_stay(lowered):
    network = lowered(Function(turned, Attended(40, fused=False)), torch.randn(1, 9, 40))
    assert attention_of(network).shape[1] == 40


def test_whole_heads_stay(lowered):
    network = lowered(Attended(64), torch.randn(1, 9, 64))
    assert attention_of(network).shape == (1, 64, 9, 1)


def both(x, attend):
    query, key, value = attend.projections[0](x).chunk(3, 2)
    heads = (part.reshape(1, 9, HEADS, -1).transpose(1, 2) for part in (query, key, value))
    attended = functional.scaled_dot_product_attention(*heads)
    return attend.leave(attended.transpose(1, 2).reshape(1, 9, 40)), key


def unprojected(x, attend):
    query, key, value = attend.projections[0](x).chunk(3, 2)
    heads = (part.reshape(1, 9, HEADS, -1).transpose(1, 2) for part in (query, key, value))
    return functional.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(1, 9, 40)


def activated(x, attend):
    query, key, value = attend.projections[0](x).sigmoid().chunk(3, 2)
    heads = (part.reshape(1, 9, HEADS, -1).transpose(1, 2) for part in (query, key, value))
    attended = functional.scaled_dot_product_attention(*heads)
    return attend.leave(attended.transpose(1, 2).reshape(1, 9, 40))


@pytest.mark.parametrize("function", [both, unprojected, activated])
def test_what_others_read_is_not_filled_up(lowered, function):
    network = lowered(Function(function, Attended(40)), torch.randn(1, 9, 40))
    assert attention_of(network).shape[1] == 40
