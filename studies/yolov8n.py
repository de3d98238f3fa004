"""YOLOv8n for 640x640 images with the decoding of its boxes, with random weights.

Architecture: that of ``yolo.py`` at half the width. Here the network ends as deployed models do:
the maps of the three heads become one list of cells, each box distance is the expectation of its
distribution (Li et al., "Generalized Focal Loss", NeurIPS 2020), and a cell's centre and stride
turn distances into boxes. What is left to the host is non-maximum suppression.
"""

import torch
from torch import nn
from yolo import BINS, CLASSES, Detector

from autosched import init_unit_variance

STRIDES = (8, 16, 32)


class DecodedDetector(nn.Module):
    """The detector, whose boxes are decoded; ``width`` is the stem's channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.detect = Detector(width)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each cell's box, (batch, 4, cells), and its scores, (batch, classes, cells).

        A box is a centre, a width and a height in pixels.
        """
        outputs = self.detect(x)
        maps = [torch.cat(pair, 1) for pair in zip(outputs[::2], outputs[1::2], strict=True)]
        cells = torch.cat([one.flatten(2) for one in maps], 2)
        distributions, scores = cells.split((4 * BINS, CLASSES), 1)
        batch, _, count = distributions.shape
        likely = distributions.view(batch, 4, BINS, count).transpose(1, 2).softmax(1)
        expected = torch.arange(float(BINS)).view(1, BINS, 1, 1)
        first, last = (likely * expected).sum(1).chunk(2, 1)
        centres, strides = _cells(maps)
        left_top, right_bottom = centres - first, centres + last
        boxes = torch.cat([(left_top + right_bottom) / 2, right_bottom - left_top], 1) * strides
        return boxes, scores.sigmoid()


def _cells(maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cells' centres in strides, (1, 2, cells), and their strides, (1, 1, cells)."""
    centres, strides = [], []
    for one, stride in zip(maps, STRIDES, strict=True):
        height, width = one.shape[2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()]) + 0.5)
        strides.append(torch.full((1, height * width), float(stride)))
    return torch.cat(centres, 1)[None], torch.cat(strides, 1)[None]


torch.manual_seed(0)

# Distributions with a peak, whose expectations differ from cell to cell.
model = init_unit_variance(DecodedDetector(16), torch.randn(2, 3, 320, 320), gains={"*.boxes.2": 4})
input_shape = (1, 3, 640, 640)
