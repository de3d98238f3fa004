"""MobileNetV3-Large for 224x224 images, as torchvision defines it, with random weights.

Architecture: Howard et al., "Searching for MobileNetV3", ICCV 2019.
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import mobilenet_v3_large

torch.manual_seed(0)

model = mobilenet_v3_large(weights=None).eval()
input_shape = (1, 3, 224, 224)
