"""A U-Net whose way down is ResNet-34, for 256x256 images, with random weights.

Architecture: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015, with torchvision's ResNet-34 as its encoder and nearest upsampling on
the way up, as segmentation libraries build it; one class.
"""

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet34

from autosched import init_unit_variance

DOWN = (64, 64, 128, 256, 512)
UP = (256, 128, 64, 32, 16)


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class ResNetUNet(nn.Module):
    """Five stages of ResNet-34 down, five up by nearest upsampling, joined by concatenation."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        encoder = resnet34(weights=None)
        self.down = nn.ModuleList(
            [
                nn.Sequential(encoder.conv1, encoder.bn1, encoder.relu),
                nn.Sequential(encoder.maxpool, encoder.layer1),
                *(encoder.layer2, encoder.layer3, encoder.layer4),
            ]
        )
        below = (DOWN[-1], *UP[:-1])
        skipped = (*DOWN[-2::-1], 0)
        self.up = nn.ModuleList(
            double_convolution(lower + side, outputs)
            for lower, side, outputs in zip(below, skipped, UP, strict=True)
        )
        self.classify = nn.Conv2d(UP[-1], outputs, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logit of the foreground for every pixel."""
        features = []
        for stage in self.down:
            x = stage(x)
            features.append(x)
        x = features.pop()
        for block in self.up:
            x = functional.interpolate(x, scale_factor=2)
            x = block(torch.cat([x, features.pop()], 1) if features else x)
        return self.classify(x)


torch.manual_seed(0)

# What came through the lower levels counts for more than what skipped them.
model = init_unit_variance(
    ResNetUNet(), torch.randn(2, 3, 256, 256), gains={"down.4.*.bn2": 1.5, "up.*.4": 1.5}
)
input_shape = (1, 3, 256, 256)
