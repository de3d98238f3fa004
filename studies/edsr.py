"""EDSR of its smaller size, 128x128 to 256x256 pixels, with random weights.

Architecture: Lim, Son, Kim, Nah, Lee, "Enhanced Deep Residual Networks for Single Image
Super-Resolution", CVPR Workshops 2017: the baseline of 16 residual blocks of 64 channels, without
the shifts by the mean color, which a bias does as well.
"""

import torch
from torch import nn

from autosched import init_unit_variance

BLOCKS = 16
CHANNELS = 64
FACTOR = 2


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Residual(nn.Module):
    """Two convolutions without batch norm, added to their input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(CHANNELS, CHANNELS), nn.ReLU(inplace=True), convolution(CHANNELS, CHANNELS)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions make."""
        return x + self.body(x)


class SuperResolution(nn.Module):
    """Residual blocks at the small size; the last two layers make the large one."""

    def __init__(self) -> None:
        super().__init__()
        self.head = convolution(3, CHANNELS)
        self.body = nn.Sequential(
            *(Residual() for _ in range(BLOCKS)), convolution(CHANNELS, CHANNELS)
        )
        self.tail = nn.Sequential(
            convolution(CHANNELS, FACTOR**2 * CHANNELS),
            nn.PixelShuffle(FACTOR),
            convolution(CHANNELS, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the image, twice as high and wide."""
        x = self.head(x)
        return self.tail(x + self.body(x))


torch.manual_seed(0)

# Each block adds a little: the sum of sixteen is to stay near what the first one got.
model = init_unit_variance(
    SuperResolution(), torch.randn(2, 3, 96, 96), gains={"body.*.body.2": 0.5}
)
input_shape = (1, 3, 128, 128)
