"""VGG-16 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015 (configuration D, without batch norms).
The speed of a schedule does not depend on the weights; pass ``weights="DEFAULT"`` to torchvision
for trained ones.
"""

import torch
from torchvision.models import vgg16

torch.manual_seed(0)

model = vgg16(weights=None).eval()
input_shape = (1, 3, 224, 224)
