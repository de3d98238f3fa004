"""A super-resolution network with pixel shuffle, 224x224 to 672x672, with random weights.

Architecture: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network" (ESPCN), CVPR 2016, on the luminance channel, in the four
layers and with the ReLU of PyTorch's own example.
"""

import torch
from torch import nn

from autosched import init_unit_variance

FACTOR = 3

torch.manual_seed(0)

model = init_unit_variance(
    nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, FACTOR**2, 3, padding=1),
        nn.PixelShuffle(FACTOR),
    ),
    torch.randn(2, 1, 224, 224),
)
input_shape = (1, 1, 224, 224)
