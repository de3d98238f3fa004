"""ResNet-50 for 224x224 images, as torchvision defines it, with random weights.

Architecture: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016;
torchvision's variant puts the stride on the 3x3 convolution of a bottleneck. The weights are scaled
so that a wrong layer shows in the outputs; the speed of a schedule does not depend on them.
``resnet50(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import resnet50

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(resnet50(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
