"""ResNet-152 for 224x224 images, as torchvision defines it, with random weights.

Architecture: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``resnet152(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import resnet152

from autosched import init_unit_variance

torch.manual_seed(0)

# The 36 blocks of a stage add up; without this, a late one would hardly show.
model = init_unit_variance(
    resnet152(weights=None), torch.randn(2, 3, 224, 224), gains={"layer3.[23]?.bn3": 1.3}
)
input_shape = (1, 3, 224, 224)
