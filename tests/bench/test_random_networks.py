import pytest
import torch

from autosched.bench.random_networks import random_network
from autosched.network.operators import Input
from autosched.network.reference import evaluate_network
from autosched.numerics.samples import sample_inputs, sample_weights

SEEDS = range(60)


def test_a_seed_gives_the_same_network():
    assert random_network(7) == random_network(7)
    assert random_network(7) != random_network(8)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 10))
def test_shapes_are_what_pytorch_computes(first: int):
    for seed in SEEDS[first : first + 10]:
        network = random_network(seed)
        weights = {layer.name: sample_weights(layer, seed) for layer in network}
        network.weights.update({k: v for k, v in weights.items() if v is not None})  # type: ignore[attr-defined]
        shapes = [layer.shape for layer in network if isinstance(layer.op, Input)]
        outputs = evaluate_network(network, sample_inputs(Input(), shapes, seed))
        assert [tuple(output.shape) for output in outputs] == [network.layers[-1].shape]
        assert all(torch.isfinite(output).all() for output in outputs)


def test_every_family_of_operators_comes_up():
    names = {type(layer.op).__name__ for seed in SEEDS for layer in random_network(seed)}
    assert names >= {
        "Conv2d", "ConvTranspose2d", "Pool2d", "GlobalAvgPool2d", "Binary", "Unary", "Concat",
        "Slice", "Upsample", "Linear", "Softmax", "LayerNorm",
    }  # fmt: skip
