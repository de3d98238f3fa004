"""ResNet-50 for 224x224 images, as torchvision defines it, with random weights.

Architecture: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016;
torchvision's variant puts the stride on the 3x3 convolution of a bottleneck. The speed of a
schedule does not depend on the weights; pass ``weights="DEFAULT"`` for trained ones.
"""

import torch
from torchvision.models import resnet50

torch.manual_seed(0)

model = resnet50(weights=None).eval()
input_shape = (1, 3, 224, 224)
