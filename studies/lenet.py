"""LeNet-5 for 32x32 images of digits, in plain PyTorch, with random weights.

Architecture: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 1998, with max pooling and ReLU as it is written today.
"""

import torch
from torch import nn

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(
    nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(400, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, 10),
    ),
    torch.randn(64, 1, 32, 32),
)
input_shape = (1, 1, 32, 32)
