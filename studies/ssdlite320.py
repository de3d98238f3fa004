"""SSDLite on MobileNetV3-Large for 320x320 images, as torchvision defines it, with random weights.

Architecture: Howard et al., "Searching for MobileNetV3", ICCV 2019, section 6.3; the heads are
those of Sandler et al., "MobileNetV2", CVPR 2018. The network ends at the outputs of its heads,
class scores and box corrections for each of six feature maps; the host chooses boxes among them.
"""

import torch
from torch import nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from autosched import init_unit_variance


class Detector(nn.Module):
    """Backbone and heads, without the box selection."""

    def __init__(self) -> None:
        super().__init__()
        whole = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        self.backbone = whole.backbone
        self.scores = whole.head.classification_head.module_list
        self.boxes = whole.head.regression_head.module_list

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the class scores of each feature map, then the box corrections of each."""
        features = list(self.backbone(x).values())
        return tuple(
            head(feature)
            for heads in (self.scores, self.boxes)
            for head, feature in zip(heads, features, strict=True)
        )


torch.manual_seed(0)

model = init_unit_variance(Detector(), torch.randn(2, 3, 320, 320))
input_shape = (1, 3, 320, 320)
