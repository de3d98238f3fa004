"""ShuffleNetV2 of width 1 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Ma, Zhang, Zheng, Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN
Architecture Design", ECCV 2018. ``shufflenet_v2_x1_0(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import shufflenet_v2_x1_0

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(shufflenet_v2_x1_0(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
