"""The ready-made networks at sizes that a test can afford; no layer's parameters change.

Each of ``QUICK`` brings an operator that no other has; the rest only run under ``make soak``.
"""

from pathlib import Path

import pytest
import torch
from torch import nn

from autosched.network.capture.network_file import load_network_file

STUDIES = Path(__file__).parents[2] / "studies"
SMALL = {
    "alexnet": ((1, 3, 64, 64),),
    "convnext_tiny": ((1, 3, 64, 64),),
    "cyclegan": ((1, 3, 32, 32),),
    "deeplabv3_resnet50": ((1, 3, 64, 64),),
    "densenet121": ((1, 3, 64, 64),),
    "edsr": ((2, 3, 12, 16),),
    "efficientnet_b0": ((2, 3, 64, 64),),
    "lenet": ((2, 1, 32, 32),),
    "mobilenet_v2": ((2, 3, 64, 64),),
    "mobilenet_v3_large": ((2, 3, 64, 64),),
    "mobilevit_s": ((1, 3, 192, 192),),
    "resnet152": ((1, 3, 64, 64),),
    "resnet18": ((1, 3, 64, 64),),
    "resnet50": ((1, 3, 64, 64),),
    "sd_residual_block": ((1, 960, 8, 8), (1, 1280)),
    "segformer_b0": ((2, 3, 64, 64),),
    "shufflenet_v2": ((2, 3, 64, 64),),
    "srgan": ((2, 3, 12, 12),),
    "ssdlite320": ((1, 3, 96, 96),),
    "super_resolution": ((2, 1, 20, 12),),
    "unet": ((1, 3, 32, 48),),
    "unet_resnet34": ((1, 3, 64, 64),),
    "unet_small": ((1, 4, 48, 32),),
    "vgg16": ((1, 3, 32, 32),),
    "vgg_unet": ((1, 3, 32, 48),),
    "yolo": ((1, 3, 64, 96),),
    "yolov8n": ((1, 3, 64, 96),),
    "yolov8s": ((1, 3, 64, 96),),
}
QUICK = ("mobilenet_v2", "resnet18", "segformer_b0", "super_resolution", "unet", "unet_small")
CASES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.soak], id=name) for name in SMALL
]


def small_inputs(name: str, seed: int = 7) -> tuple[torch.Tensor, ...]:
    """Normal numbers for the network of ``studies/NAME.py``."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in SMALL[name])


def study_module(name: str) -> nn.Module:
    """The network of ``studies/NAME.py``."""
    return load_network_file(str(STUDIES / f"{name}.py")).module
