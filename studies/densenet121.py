"""DenseNet-121 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks",
CVPR 2017.
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import densenet121

torch.manual_seed(0)

model = densenet121(weights=None).eval()
input_shape = (1, 3, 224, 224)
