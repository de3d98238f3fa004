"""EfficientNet-B0 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019.
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import efficientnet_b0

torch.manual_seed(0)

model = efficientnet_b0(weights=None).eval()
input_shape = (1, 3, 224, 224)
