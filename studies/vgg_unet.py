"""A U-Net whose way down is VGG16, for 256x256 images, with random weights.

Architecture: Iglovikov, Shvets, "TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet for
Image Segmentation", arXiv 1801.05746, with torchvision's VGG16 and batch norms.
"""

import torch
from torch import nn
from torchvision.models import vgg16_bn

from autosched import init_unit_variance

WIDTHS = (64, 128, 256, 512, 512)


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def stages(features: nn.Sequential) -> nn.ModuleList:
    """Cut VGG's layers in front of each pooling; the last pooling is left out."""
    found: list[list[nn.Module]] = [[]]
    for layer in features[:-1]:
        if isinstance(layer, nn.MaxPool2d):
            found.append([])
        found[-1].append(layer)
    return nn.ModuleList(nn.Sequential(*part) for part in found)


class VggUNet(nn.Module):
    """Five stages of VGG16 down, four up by transposed convolution, joined by concatenation."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.down = stages(vgg16_bn(weights=None).features)
        pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 2, stride=2) for before, after in pairs
        )
        self.up = nn.ModuleList(double_convolution(2 * after, after) for _, after in pairs)
        self.classify = nn.Conv2d(WIDTHS[0], outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probability of the foreground for every pixel."""
        skipped = []
        for stage in self.down:
            x = stage(x)
            skipped.append(x)
        skipped.pop()
        for widen, block in zip(self.widen, self.up, strict=True):
            x = block(torch.cat([widen(x), skipped.pop()], 1))
        return torch.sigmoid(self.classify(x))


torch.manual_seed(0)

# What came through the lower levels counts for more than what skipped them.
model = init_unit_variance(VggUNet(), torch.randn(2, 3, 128, 128), gains={"widen.*": 1.5})
input_shape = (1, 3, 256, 256)
