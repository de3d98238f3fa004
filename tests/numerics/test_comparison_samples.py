import pytest
import torch

from autosched.network.graph import Layer
from autosched.network.operators import Activation, Binary, Conv2d, Input, LayerNorm, Unary
from autosched.network.reference import evaluate_layer
from autosched.numerics.comparison import sample_inputs, sample_weights

SHAPE = (1, 64, 16, 16)


def test_values_are_the_same_for_the_same_seed():
    first, second, other = (sample_inputs(Input(), [SHAPE], seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_values_are_exact_in_bfloat16():
    (values,) = sample_inputs(Input(), [SHAPE], 0)
    assert torch.equal(values.bfloat16().float(), values)


@pytest.mark.parametrize("name", ["sqrt", "rsqrt", "log"])
def test_roots_and_logarithms_get_positive_arguments(name: str):
    (values,) = sample_inputs(Unary(Activation(name)), [SHAPE], 0)
    assert float(values.min()) >= 0.5


def test_divisors_keep_away_from_zero():
    first, second = sample_inputs(Binary("div"), [SHAPE, SHAPE], 0)
    assert float(first.abs().min()) < 0.1
    assert float(second.abs().min()) >= 0.5
    assert float(second.min()) < 0


@pytest.mark.parametrize(
    "op",
    [
        Conv2d(64, 32, (3, 3), padding=(1, 1, 1, 1)),
        Conv2d(64, 64, (5, 5), padding=(2, 2, 2, 2), groups=64),
        LayerNorm(1e-5),
    ],
    ids=["dense", "depthwise", "norm"],
)
def test_outputs_vary_about_as_inputs_do(op: Conv2d | LayerNorm):
    channels = op.out_channels if isinstance(op, Conv2d) else SHAPE[1]
    layer = Layer("layer", op, ("x",), (1, channels, *SHAPE[2:]))
    weights = sample_weights(layer, 0)
    output = evaluate_layer(layer, sample_inputs(op, [SHAPE], 0), weights)
    assert 0.5 < float(output.std()) < 2.0


def test_a_layer_without_parameters_gets_none():
    assert sample_weights(Layer("x", Unary(Activation("relu")), ("y",), SHAPE), 0) is None


def test_the_weights_of_a_product_are_exact_in_three_bits():
    layer = Layer("conv", Conv2d(24, 40, (3, 3)), ("x",), (1, 40, 6, 6))
    weights = sample_weights(layer, 3)
    assert weights is not None
    sizes = weights.weight.abs().unique()
    steps = sizes / sizes[sizes > 0].min()
    assert torch.equal(steps, steps.round())
    assert 4 <= steps.max() <= 7


def test_what_is_compared_keeps_away_from_the_number():
    op = Unary(Activation("unary_gt", (0.25,)))
    (values,) = sample_inputs(op, [SHAPE], 0)
    assert float((values - 0.25).abs().min()) >= 0.49
    assert 0.1 < float((values > 0.25).float().mean()) < 0.9
