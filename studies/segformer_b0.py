"""SegFormer-B0's encoder for 512x512 images, in plain PyTorch, with random weights.

Architecture: Xie, Wang, Yu, Anandkumar, Alvarez, Luo, "SegFormer: Simple and Efficient Design for
Semantic Segmentation with Transformers", NeurIPS 2021, the Mix Transformer B0: overlapping patches,
attention whose keys and values come from a smaller image, and feed-forward layers with a depthwise
convolution in between.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from autosched import init_unit_variance

WIDTHS, HEADS, REDUCTIONS, DEPTH = (32, 64, 160, 256), (1, 2, 5, 8), (8, 4, 2, 1), 2
EXPANSION = 4


def to_tokens(image: torch.Tensor) -> torch.Tensor:
    return image.flatten(2).transpose(1, 2)


def to_image(tokens: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size)


class EfficientAttention(nn.Module):
    """Self-attention of all pixels to those of an image reduced by a strided convolution."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.project = nn.Linear(width, width)
        if reduction > 1:
            self.reduce = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Attend over tokens (N, pixels, width) of an image of ``size``."""
        fewer = x
        if self.reduction > 1:
            fewer = self.norm(to_tokens(self.reduce(to_image(x, size))))
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(fewer), self.value(fewer))
        )
        attended = F.scaled_dot_product_attention(queries, keys, values)
        return self.project(attended.transpose(1, 2).flatten(2))


class MixFeedForward(nn.Module):
    """Two linear layers with a depthwise convolution between them, which knows the positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = EXPANSION * width
        self.grow, self.shrink = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.mix = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)

    def forward(self, x: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Transform tokens (N, pixels, width) of an image of ``size``."""
        mixed = to_tokens(self.mix(to_image(self.grow(x), size)))
        return self.shrink(F.gelu(mixed))


class Block(nn.Module):
    """Attention and feed-forward layer, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attention = EfficientAttention(width, heads, reduction)
        self.feed_forward = MixFeedForward(width)

    def forward(self, x: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Transform tokens (N, pixels, width) of an image of ``size``."""
        x = x + self.attention(self.norm1(x), size)
        return x + self.feed_forward(self.norm2(x), size)


class Stage(nn.Module):
    """Overlapping patches of an image, and blocks over them."""

    def __init__(self, inputs: int, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        kernel, stride = (7, 4) if inputs == 3 else (3, 2)
        self.patches = nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
        self.enter, self.leave = nn.LayerNorm(width), nn.LayerNorm(width, eps=1e-6)
        self.blocks = nn.ModuleList(Block(width, heads, reduction) for _ in range(DEPTH))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return an image of 4 or 2 times fewer pixels a side."""
        image = self.patches(image)
        size = image.shape[2:]
        x = self.enter(to_tokens(image))
        for block in self.blocks:
            x = block(x, size)
        return to_image(self.leave(x), size)


class Encoder(nn.Module):
    """Four stages, each of which hands its feature map on and out."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *WIDTHS)
        self.stages = nn.ModuleList(map(Stage, inputs, WIDTHS, HEADS, REDUCTIONS))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the feature maps at strides 4, 8, 16 and 32."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


torch.manual_seed(0)

# At unit variance, queries make attention hardly more than a mean of all values.
model = init_unit_variance(Encoder(), torch.randn(2, 3, 256, 256), gains={"*.query": 3})
input_shape = (1, 3, 512, 512)
