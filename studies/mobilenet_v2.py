"""MobileNetV2 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018.
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import mobilenet_v2

torch.manual_seed(0)

model = mobilenet_v2(weights=None).eval()
input_shape = (1, 3, 224, 224)
