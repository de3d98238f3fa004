from collections import Counter
from typing import get_args

import pytest
import torch

from autosched.bench import image_templates
from autosched.bench.random_networks import (
    TEMPLATES,
    Template,
    drawn_network,
    random_formats,
    random_network,
)
from autosched.network.operators import Convolution, HostOutput, Input, LayerOp
from autosched.network.reference import evaluate_network
from autosched.numerics.comparison import sample_inputs, sample_weights
from autosched.space.formats import Formats

SEEDS = range(400)
ALONE = [template for _, template in TEMPLATES]


def test_a_seed_gives_the_same_network():
    assert random_network(7) == random_network(7)
    assert random_network(7) != random_network(8)


@pytest.mark.parametrize("template", ALONE, ids=lambda template: template.__name__)
def test_shapes_are_what_pytorch_computes(template: Template):
    for seed in range(4):
        network = drawn_network(template, seed)
        weights = {layer.name: sample_weights(layer, seed) for layer in network}
        network.weights.update({k: v for k, v in weights.items() if v is not None})  # type: ignore[attr-defined]
        shapes = [layer.shape for layer in network if isinstance(layer.op, Input)]
        outputs = evaluate_network(network, sample_inputs(Input(), shapes, seed))
        assert [tuple(output.shape) for output in outputs] == [network.layers[-1].shape]
        assert all(torch.isfinite(output).all() for output in outputs)


@pytest.mark.parametrize("template", ALONE, ids=lambda template: template.__name__)
def test_every_layer_but_the_output_is_read(template: Template):
    for seed in range(20):
        *layers, output = drawn_network(template, seed)
        assert {layer.name for layer in layers} == {
            name for layer in (*layers, output) for name in layer.inputs
        }


def test_every_operator_comes_up():
    found = {type(layer.op) for seed in SEEDS for layer in random_network(seed)}
    # What the host makes for the caller alone runs no kernel.
    assert found == set(get_args(LayerOp)) - {HostOutput}


def test_convolutions_are_two_networks_of_five():
    total = sum(weight for weight, _ in TEMPLATES)
    convolutions = {
        *(image_templates.conv, image_templates.depthwise, image_templates.grouped),
        *(image_templates.downsampling, image_templates.stem, image_templates.patches),
        *(image_templates.series, image_templates.transposed),
    }
    around = [weight for weight, item in TEMPLATES if item in convolutions]
    assert sum(around) / total == pytest.approx(0.4, abs=0.03)


def test_convolutions_come_in_all_forms():
    ops = [
        layer.op
        for seed in SEEDS
        for layer in random_network(seed)
        if isinstance(layer.op, Convolution)
    ]
    assert {1 < op.groups < op.in_channels for op in ops} == {True, False}
    assert any(op.kernel == (1, 1) and op.stride == (2, 2) for op in ops)
    assert {op.dilation for op in ops} == {(1, 1), (2, 2)}
    assert {op.has_bias for op in ops} == {True, False}


def test_half_of_the_formats_are_the_default_ones():
    formats = [random_formats(seed) for seed in SEEDS]
    assert formats == [random_formats(seed) for seed in SEEDS]
    others = Counter(item for item in formats if item != Formats())
    assert sum(others.values()) == pytest.approx(len(SEEDS) / 2, abs=40)
    for field, count in (
        ("weights", 3),
        ("activations", 2),
        ("end_activations", 2),
        ("fidelity", 3),
        ("end_fidelity", 3),
    ):
        assert len({getattr(item, field) for item in others}) == count
