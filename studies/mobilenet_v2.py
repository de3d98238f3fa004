"""MobileNetV2 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``mobilenet_v2(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import mobilenet_v2

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(mobilenet_v2(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
