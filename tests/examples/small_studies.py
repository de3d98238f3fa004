"""The ready-made networks at sizes that a test can afford; no layer's parameters change.

Each of ``QUICK`` brings an operator that no other has; the rest only run under ``make soak``.
"""

import runpy
from pathlib import Path

import pytest
from torch import nn

STUDIES = Path(__file__).parents[2] / "studies"
SMALL = {
    "convnext_tiny": (1, 3, 64, 64),
    "deeplabv3_resnet50": (1, 3, 64, 64),
    "densenet121": (1, 3, 64, 64),
    "efficientnet_b0": (2, 3, 64, 64),
    "mobilenet_v2": (2, 3, 64, 64),
    "mobilenet_v3_large": (2, 3, 64, 64),
    "resnet152": (1, 3, 64, 64),
    "resnet18": (1, 3, 64, 64),
    "resnet50": (1, 3, 64, 64),
    "segformer_b0": (2, 3, 64, 64),
    "ssdlite320": (1, 3, 96, 96),
    "super_resolution": (2, 1, 20, 12),
    "unet": (1, 3, 32, 48),
    "unet_small": (1, 4, 48, 32),
    "vgg16": (1, 3, 32, 32),
    "vgg_unet": (1, 3, 32, 48),
    "yolo": (1, 3, 64, 96),
}
QUICK = ("mobilenet_v2", "resnet18", "segformer_b0", "super_resolution", "unet", "unet_small")
CASES = [
    pytest.param(name, shape, marks=[] if name in QUICK else [pytest.mark.soak], id=name)
    for name, shape in SMALL.items()
]


def study_module(name: str) -> nn.Module:
    """The network of ``studies/NAME.py``."""
    module = runpy.run_path(str(STUDIES / f"{name}.py"))["model"]
    assert isinstance(module, nn.Module)
    return module
