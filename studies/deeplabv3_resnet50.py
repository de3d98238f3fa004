"""DeepLabV3 on a dilated ResNet-50 for 520x520 images, as torchvision defines it.

Architecture: Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution for Semantic Image
Segmentation", arXiv 1706.05587, with 21 classes; 520 is the size torchvision evaluates it at. The
weights are random, and scaled so that a wrong layer shows in the outputs; the speed of a schedule
does not depend on them.
"""

import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from autosched import init_unit_variance

torch.manual_seed(0)

model = init_unit_variance(
    deeplabv3_resnet50(weights=None, weights_backbone=None), torch.randn(2, 3, 260, 260)
)
input_shape = (1, 3, 520, 520)
