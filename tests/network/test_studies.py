"""The ready-made network files of ``studies/``."""

import runpy
import time
from pathlib import Path

import pytest
import torch

from autosched.network.capture import capture
from autosched.network.graph import Conv2d
from autosched.network.loading import load_network_file

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.parametrize(
    ("name", "layers", "convolutions"), [("resnet18", 34, 20), ("resnet50", 75, 53)]
)
def test_studies_load_and_capture_quickly(name, layers, convolutions):
    loaded = load_network_file(str(STUDIES / f"{name}.py"))
    assert loaded.name == name
    assert [tuple(x.shape) for x in loaded.example_inputs] == [(1, 3, 224, 224)]
    start = time.process_time()
    network = capture(loaded.module, loaded.example_inputs, loaded.name)
    assert time.process_time() - start < 30
    assert len(network.layers) == layers
    assert sum(isinstance(layer.op, Conv2d) for layer in network) == convolutions


def test_studies_have_the_same_weights_every_time():
    first, second = (load_network_file(str(STUDIES / "resnet18.py")).module for _ in range(2))
    assert torch.equal(first.fc.weight, second.fc.weight)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet18", (1, 3, 64, 64)),
        ("mobilenet_v2", (2, 3, 64, 64)),
        ("unet", (1, 3, 32, 48)),
        ("unet_small", (1, 4, 48, 32)),
        ("super_resolution", (2, 1, 20, 12)),
        pytest.param("mobilenet_v3_large", (2, 3, 64, 64), marks=pytest.mark.soak),
        pytest.param("efficientnet_b0", (2, 3, 64, 64), marks=pytest.mark.soak),
        pytest.param("densenet121", (1, 3, 64, 64), marks=pytest.mark.soak),
        pytest.param("vgg16", (1, 3, 32, 32), marks=pytest.mark.soak),
        pytest.param("resnet50", (1, 3, 64, 64), marks=pytest.mark.soak),
        pytest.param("resnet152", (1, 3, 64, 64), marks=pytest.mark.soak),
        pytest.param("deeplabv3_resnet50", (1, 3, 64, 64), marks=pytest.mark.soak),
    ],
)
def test_studies_compute_what_their_modules_do(lowered, name, shape):
    """At a small size, which changes no layer's parameters."""
    lowered(runpy.run_path(str(STUDIES / f"{name}.py"))["model"], torch.randn(shape))


def test_every_study_is_compared_with_its_module():
    compared = {
        case.values[0] if hasattr(case, "values") else case[0]
        for mark in test_studies_compute_what_their_modules_do.pytestmark
        for case in mark.args[1]
    }
    assert compared == {file.stem for file in STUDIES.glob("*.py")}
