"""DenseNet-121 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks",
CVPR 2017.
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``densenet121(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import densenet121

from autosched import init_unit_variance

torch.manual_seed(0)

# The later a layer of a dense block, the fewer others read it.
gains = {f"*.denselayer{number}.conv2": 1 + number / 16 for number in range(1, 25)}
model = init_unit_variance(
    densenet121(weights=None), torch.randn(2, 3, 224, 224), rectified_mean=0.25, gains=gains
)
input_shape = (1, 3, 224, 224)
