"""VGG-16 for 224x224 images, as torchvision defines it, with random weights.

Architecture: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015 (configuration D, without batch norms).
The weights are scaled so that a wrong layer shows in the outputs; the speed of a schedule does not
depend on them. ``vgg16(weights="DEFAULT")`` alone has trained ones.
"""

import torch
from torchvision.models import vgg16

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(vgg16(weights=None), torch.randn(2, 3, 224, 224))
input_shape = (1, 3, 224, 224)
