"""The generator of SRGAN, 96x96 to 384x384 pixels, with random weights.

Architecture: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network", CVPR 2017: 16 residual blocks with batch norms and two pixel shuffles.
"""

import torch
from torch import nn

from autosched import init_unit_variance

BLOCKS = 16
CHANNELS = 64


class Residual(nn.Module):
    """Two convolutions with batch norms, added to their input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.PReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions make."""
        return x + self.body(x)


def enlarge() -> nn.Sequential:
    """Twice as high and wide: four times the channels, shuffled into pixels."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 4 * CHANNELS, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()
    )


class Generator(nn.Module):
    """Residual blocks at the small size, then two enlargements."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, CHANNELS, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(Residual() for _ in range(BLOCKS)),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
        )
        self.tail = nn.Sequential(enlarge(), enlarge(), nn.Conv2d(CHANNELS, 3, 9, padding=4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the image in values from -1 to 1, four times as high and wide."""
        x = self.head(x)
        return torch.tanh(self.tail(x + self.body(x)))


torch.manual_seed(0)

# Each block adds a little: the sum of sixteen is to stay near what the first one got.
model = init_unit_variance(Generator(), torch.randn(2, 3, 48, 48), gains={"body.*.body.4": 0.5})
input_shape = (1, 3, 96, 96)
