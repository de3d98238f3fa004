"""A YOLO-style detector for 640x640 images, in plain PyTorch, with random weights.

Architecture: that of YOLOv8s (Ultralytics, 2023) as its published diagram has it: CSP blocks with
two convolutions (after Wang et al., "CSPNet", CVPRW 2020), fast spatial pyramid pooling (after He
et al., "Spatial Pyramid Pooling in Deep Convolutional Networks", ECCV 2014), a path aggregation
neck (Liu et al., CVPR 2018) and three decoupled heads. The network ends at the outputs of its
heads: the distributions of box distances and the class scores of each cell, which the host decodes.
"""

import torch
from torch import nn

from autosched import init_unit_variance

CLASSES = 80
BINS = 16


class Block(nn.Sequential):
    """Convolution, batch norm and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.SiLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions, with a shortcut in the backbone."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(channels, channels, 3), Block(channels, channels, 3))
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's result, added to its input where there is a shortcut."""
        return x + self.body(x) if self.shortcut else self.body(x)


class CrossStage(nn.Module):
    """A CSP block: half of the channels pass a chain whose every step is kept."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.enter = Block(inputs, outputs)
        self.chain = nn.ModuleList(Residual(half, shortcut) for _ in range(depth))
        self.leave = Block((2 + depth) * half, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Split, run the chain, and put everything together."""
        parts = list(self.enter(x).chunk(2, 1))
        for step in self.chain:
            parts.append(step(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class PyramidPooling(nn.Module):
    """Three poolings one after the other, which together see what ever larger ones would."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = Block(channels, channels // 2), Block(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenate the input with one, two and three poolings of it."""
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Head(nn.Module):
    """Boxes and classes of one feature map, each by two convolutions and a classifier."""

    def __init__(self, channels: int, box_width: int, class_width: int) -> None:
        super().__init__()
        self.boxes, self.classes = (
            nn.Sequential(
                Block(channels, width, 3), Block(width, width, 3), nn.Conv2d(width, outputs, 1)
            )
            for width, outputs in ((box_width, 4 * BINS), (class_width, CLASSES))
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the box distributions and the class scores of each cell."""
        return self.boxes(x), self.classes(x)


class Detector(nn.Module):
    """Backbone, neck and three heads at strides 8, 16 and 32; ``width`` is the stem's channels."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        second, third, fourth, fifth = (width * 2**level for level in range(1, 5))
        self.stem = nn.Sequential(
            Block(3, width, 3, 2), Block(width, second, 3, 2), CrossStage(second, second, 1)
        )
        self.stage3 = nn.Sequential(Block(second, third, 3, 2), CrossStage(third, third, 2))
        self.stage4 = nn.Sequential(Block(third, fourth, 3, 2), CrossStage(fourth, fourth, 2))
        self.stage5 = nn.Sequential(
            Block(fourth, fifth, 3, 2),
            CrossStage(fifth, fifth, 1),
            PyramidPooling(fifth),
        )
        self.enlarge = nn.Upsample(scale_factor=2)
        self.top4 = CrossStage(fifth + fourth, fourth, 1, shortcut=False)
        self.top3 = CrossStage(fourth + third, third, 1, shortcut=False)
        self.down3, self.down4 = Block(third, third, 3, 2), Block(fourth, fourth, 3, 2)
        self.out4 = CrossStage(third + fourth, fourth, 1, shortcut=False)
        self.out5 = CrossStage(fourth + fifth, fifth, 1, shortcut=False)
        self.heads = nn.ModuleList(
            Head(channels, 4 * BINS, max(third, CLASSES)) for channels in (third, fourth, fifth)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the box distributions and class scores at strides 8, 16 and 32."""
        third = self.stage3(self.stem(x))
        fourth = self.stage4(third)
        fifth = self.stage5(fourth)
        fourth = self.top4(torch.cat([self.enlarge(fifth), fourth], 1))
        third = self.top3(torch.cat([self.enlarge(fourth), third], 1))
        fourth = self.out4(torch.cat([self.down3(third), fourth], 1))
        fifth = self.out5(torch.cat([self.down4(fourth), fifth], 1))
        maps = zip(self.heads, (third, fourth, fifth), strict=True)
        return tuple(output for head, feature in maps for output in head(feature))


torch.manual_seed(0)

model = init_unit_variance(Detector(), torch.randn(2, 3, 320, 320))
input_shape = (1, 3, 640, 640)
