"""ResNet-18 for 224x224 images, as torchvision defines it, with random weights.

Architecture: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``resnet18(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import resnet18

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(resnet18(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
