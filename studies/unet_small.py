"""A shallow U-Net for 1056x160 images of 4 channels, with random weights.

Architecture: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015, in the small form that Tenstorrent's model collection runs: 16 to 64
channels, padded convolutions with batch norms, nearest-neighbour enlargement on the way up.
"""

import torch
from torch import nn

from autosched import init_unit_variance

WIDTHS = (16, 16, 32, 32)
BOTTOM = 64


def convolutions(inputs: int, outputs: int, count: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, *[outputs] * (count - 1)):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SmallUNet(nn.Module):
    """Two convolutions a level on the way down, three on the way up."""

    def __init__(self, inputs: int = 4, outputs: int = 1) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.down = nn.ModuleList(
            convolutions(before, after, 2)
            for before, after in zip([inputs, *WIDTHS], WIDTHS, strict=False)
        )
        self.bottom = convolutions(WIDTHS[-1], BOTTOM, 2)
        below = (BOTTOM, *WIDTHS[:0:-1])
        self.up = nn.ModuleList(
            convolutions(under + beside, beside, 3)
            for under, beside in zip(below, WIDTHS[::-1], strict=True)
        )
        self.classify = nn.Conv2d(WIDTHS[0], outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one logit for every pixel."""
        skipped = []
        for block in self.down:
            x = block(x)
            skipped.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for block in self.up:
            x = block(torch.cat([self.enlarge(x), skipped.pop()], 1))
        return self.classify(x)


torch.manual_seed(0)

model = init_unit_variance(SmallUNet(), torch.randn(2, 4, 528, 80))
input_shape = (1, 4, 1056, 160)
