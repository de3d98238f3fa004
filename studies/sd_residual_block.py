"""A residual block of Stable Diffusion's U-Net at 64x64 latent pixels, with random weights.

Architecture: Rombach, Blattmann, Lorenz, Esser, Ommer, "High-Resolution Image Synthesis with Latent
Diffusion Models", CVPR 2022: group norms of 32 groups, SiLU, and the embedding of the time step
added to every pixel. The first of the decoder's last level: 960 channels come in, 320 go out.
"""

import torch
from torch import nn

from autosched import init_unit_variance

INPUTS, OUTPUTS, EMBEDDING = 960, 320, 1280


class ResidualBlock(nn.Module):
    """Two normed convolutions with the time step between them, beside a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            nn.GroupNorm(32, INPUTS), nn.SiLU(), nn.Conv2d(INPUTS, OUTPUTS, 3, padding=1)
        )
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(EMBEDDING, OUTPUTS))
        self.leave = nn.Sequential(
            nn.GroupNorm(32, OUTPUTS), nn.SiLU(), nn.Conv2d(OUTPUTS, OUTPUTS, 3, padding=1)
        )
        self.shortcut = nn.Conv2d(INPUTS, OUTPUTS, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Return the features of the next block, from those before and the time's embedding."""
        features = self.enter(x) + self.time(time)[:, :, None, None]
        return self.shortcut(x) + self.leave(features)


torch.manual_seed(0)

example_inputs = (torch.randn(1, INPUTS, 64, 64), torch.randn(1, EMBEDDING))
model = init_unit_variance(
    ResidualBlock(), torch.randn(2, INPUTS, 64, 64), torch.randn(2, EMBEDDING)
)
