"""MobileNetV3-Large for 224x224 images, as torchvision defines it, with random weights.

Architecture: Howard et al., "Searching for MobileNetV3", ICCV 2019.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``mobilenet_v3_large(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import mobilenet_v3_large

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(mobilenet_v3_large(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
