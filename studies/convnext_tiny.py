"""ConvNeXt-T for 224x224 images, as torchvision defines it, with random weights.

Architecture: Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022.
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import convnext_tiny

torch.manual_seed(0)

model = convnext_tiny(weights=None).eval()
input_shape = (1, 3, 224, 224)
