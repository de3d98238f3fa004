"""ConvNeXt-T for 224x224 images, as torchvision defines it, with random weights.

Architecture: Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``convnext_tiny(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import convnext_tiny

from autosched import init_unit_variance

torch.manual_seed(0)

# With the layer scale that training starts from, 1e-6, no block would count.
model = init_unit_variance(
    convnext_tiny(weights=None, layer_scale=1.0), torch.randn(2, 3, 224, 224)
)
input_shape = (1, 3, 224, 224)
