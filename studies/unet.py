"""U-Net for 480x640 images, with random weights.

Architecture: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015, with padded convolutions (sizes halve and double exactly), batch norms,
and half the paper's channels.
"""

import torch
from torch import nn

from autosched import init_unit_variance


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Four levels down by pooling, four up by transposed convolution, joined by concatenation."""

    def __init__(self, inputs: int = 3, outputs: int = 1, features: int = 32) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(4)]
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(
            double_convolution(before, after)
            for before, after in zip([inputs, *widths], widths, strict=False)
        )
        self.bottom = double_convolution(widths[-1], 2 * widths[-1])
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths)
        )
        self.up = nn.ModuleList(double_convolution(2 * width, width) for width in reversed(widths))
        self.classify = nn.Conv2d(features, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probability of the foreground for every pixel."""
        skipped = []
        for block in self.down:
            x = block(x)
            skipped.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for widen, block in zip(self.widen, self.up, strict=True):
            x = block(torch.cat([widen(x), skipped.pop()], 1))
        return torch.sigmoid(self.classify(x))


torch.manual_seed(0)

# What came through the lower levels counts for more than what skipped them.
model = init_unit_variance(UNet(), torch.randn(2, 3, 240, 320), gains={"widen.*": 1.5})
input_shape = (1, 3, 480, 640)
