"""YOLOv8s for 640x640 images with the decoding of its boxes, with random weights.

Architecture: that of ``yolov8n.py`` at twice the width, which is that of ``yolo.py``.
"""

import torch
from yolov8n import DecodedDetector

from autosched import init_unit_variance

torch.manual_seed(0)

# Distributions with a peak, whose expectations differ from cell to cell.
model = init_unit_variance(DecodedDetector(32), torch.randn(2, 3, 320, 320), gains={"*.boxes.2": 4})
input_shape = (1, 3, 640, 640)
