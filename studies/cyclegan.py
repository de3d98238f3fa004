"""The generator of CycleGAN for 256x256 images, with random weights.

Architecture: Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks", ICCV 2017: nine residual blocks, instance norms, padding by reflection.
"""

import torch
from torch import nn

from autosched import init_unit_variance

BLOCKS = 9
CHANNELS = 64


def reflected(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a convolution of the image mirrored at its borders."""
    return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel))


def normed(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.InstanceNorm2d(channels), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions with instance norms, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            normed(reflected(channels, channels, 3), channels),
            reflected(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions make."""
        return x + self.body(x)


class Generator(nn.Sequential):
    """Two halvings, nine residual blocks, two doublings."""

    def __init__(self) -> None:
        wide, wider = 2 * CHANNELS, 4 * CHANNELS
        super().__init__(
            normed(reflected(3, CHANNELS, 7), CHANNELS),
            normed(nn.Conv2d(CHANNELS, wide, 3, 2, 1), wide),
            normed(nn.Conv2d(wide, wider, 3, 2, 1), wider),
            *(Residual(wider) for _ in range(BLOCKS)),
            normed(nn.ConvTranspose2d(wider, wide, 3, 2, 1, output_padding=1), wide),
            normed(nn.ConvTranspose2d(wide, CHANNELS, 3, 2, 1, output_padding=1), CHANNELS),
            reflected(CHANNELS, 3, 7),
            nn.Tanh(),
        )


torch.manual_seed(0)

model = init_unit_variance(Generator(), torch.randn(2, 3, 96, 96))
input_shape = (1, 3, 256, 256)
