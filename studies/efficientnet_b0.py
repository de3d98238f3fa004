"""EfficientNet-B0 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``efficientnet_b0(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import efficientnet_b0

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(efficientnet_b0(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
