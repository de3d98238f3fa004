"""ResNet-152 for 224x224 images, as torchvision defines it, with random weights.

Architecture: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import resnet152

torch.manual_seed(0)

model = resnet152(weights=None).eval()
input_shape = (1, 3, 224, 224)
