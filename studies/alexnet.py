"""AlexNet for 224x224 images, as torchvision defines it, with random weights.

Architecture: Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
arXiv 1404.5997. ``alexnet(weights="DEFAULT")`` alone has trained weights.
"""

import torch
from torchvision.models import alexnet

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(alexnet(weights=None), torch.randn(8, 3, 224, 224))
input_shape = (1, 3, 224, 224)
