"""The ready-made network files of ``studies/``."""

import time

import pytest
import torch

from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.operators import Conv2d
from tests.examples.small_studies import CASES, SMALL, STUDIES, study_module


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


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_studies_compute_what_their_modules_do(lowered, name, shape):
    """At a small size, which changes no layer's parameters."""
    lowered(study_module(name), torch.randn(shape))


def test_every_study_is_compared_with_its_module():
    assert set(SMALL) == {file.stem for file in STUDIES.glob("*.py")}
