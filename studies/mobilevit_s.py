"""MobileViT-S for 256x256 images, in plain PyTorch, with random weights.

Architecture: Mehta, Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly
Vision Transformer", ICLR 2022: inverted residuals, and blocks in which each of the four positions
of a 2x2 patch attends to the same position of all other patches.
"""

import torch
from torch import nn
from torch.nn import functional

from autosched import init_unit_variance

CLASSES = 1000
HEADS = 4
PATCH = 2


class Block(nn.Sequential):
    """Convolution, batch norm and SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Four times the channels, a depthwise convolution, and back (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        wide = 4 * inputs
        self.body = nn.Sequential(
            Block(inputs, wide),
            Block(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's result, added to its input where the shapes agree."""
        return x + self.body(x) if self.shortcut else self.body(x)


class Attention(nn.Module):
    """Self-attention of tokens of shape (sequences, tokens, features)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.qkv, self.project = nn.Linear(features, 3 * features), nn.Linear(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend with four heads."""
        sequences, tokens, features = x.shape
        heads = self.qkv(x).reshape(sequences, tokens, 3, HEADS, features // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.project(attended.transpose(1, 2).reshape(sequences, tokens, features))


class Encoder(nn.Module):
    """A transformer layer, normed first, whose hidden layer has twice the features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(features), Attention(features))
        self.mix = nn.Sequential(
            nn.LayerNorm(features),
            nn.Linear(features, 2 * features),
            nn.SiLU(),
            nn.Linear(2 * features, features),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend, then mix the features of each token."""
        x = x + self.attend(x)
        return x + self.mix(x)


class MobileViTBlock(nn.Module):
    """Convolutions for what is near, a transformer for what is far."""

    def __init__(self, channels: int, features: int, depth: int) -> None:
        super().__init__()
        self.near = nn.Sequential(
            Block(channels, channels, 3), nn.Conv2d(channels, features, 1, bias=False)
        )
        self.far = nn.Sequential(*(Encoder(features) for _ in range(depth)), nn.LayerNorm(features))
        self.leave = Block(features, channels)
        self.join = Block(2 * channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Unfold the image into sequences of patches, and fold it again."""
        local = self.near(x)
        batch, features, height, width = local.shape
        rows, columns = height // PATCH, width // PATCH
        patches = local.reshape(batch * features * rows, PATCH, columns, PATCH).transpose(1, 2)
        patches = patches.reshape(batch, features, rows * columns, PATCH * PATCH)
        tokens = patches.transpose(1, 3).reshape(batch * PATCH * PATCH, rows * columns, features)
        tokens = self.far(tokens).reshape(batch, PATCH * PATCH, rows * columns, features)
        patches = tokens.transpose(1, 3).reshape(batch * features * rows, columns, PATCH, PATCH)
        folded = patches.transpose(1, 2).reshape(batch, features, height, width)
        return self.join(torch.cat([x, self.leave(folded)], 1))


class MobileViT(nn.Sequential):
    """Five stages, of which the last three attend, and a classifier."""

    def __init__(self) -> None:
        super().__init__(
            Block(3, 16, 3, 2),
            InvertedResidual(16, 32),
            *(InvertedResidual(32, 64, 2), InvertedResidual(64, 64), InvertedResidual(64, 64)),
            *(InvertedResidual(64, 96, 2), MobileViTBlock(96, 144, 2)),
            *(InvertedResidual(96, 128, 2), MobileViTBlock(128, 192, 4)),
            *(InvertedResidual(128, 160, 2), MobileViTBlock(160, 240, 3)),
            Block(160, 640),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(640, CLASSES)),
        )


torch.manual_seed(0)

# Attention tells its tokens apart, and counts for more than the convolutions it goes beside.
model = init_unit_variance(
    MobileViT(), torch.randn(2, 3, 256, 256), gains={"*.qkv": 2, "*.leave.1": 3}
)
input_shape = (1, 3, 256, 256)
