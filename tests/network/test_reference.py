import pytest
import torch

from autosched.network.graph import Layer, Network
from autosched.network.operators import Activation, Input, Output, Pool2d, Unary
from autosched.network.reference import activate, evaluate_layer, evaluate_network

X = Layer("x", Input(), (), (1, 2))


def test_layers_run_in_order_and_outputs_come_back():
    network = Network(
        "net",
        (
            X,
            Layer("relu", Unary(Activation("relu")), ("x",), (1, 2)),
            Layer("output", Output(), ("relu",), (1, 2)),
            Layer("output_2", Output(), ("x",), (1, 2)),
        ),
    )
    value = torch.tensor([[-1.0, 2.0]])
    first, second = evaluate_network(network, [value])
    assert first.tolist() == [[0.0, 2.0]]
    assert second is value


def test_the_number_of_inputs_must_fit():
    network = Network("net", (X, Layer("output", Output(), ("x",), (1, 2))))
    with pytest.raises(ValueError, match="net takes 1 inputs, not 2"):
        evaluate_network(network, [torch.ones(1, 2), torch.ones(1, 2)])


def test_inputs_compute_nothing():
    with pytest.raises(TypeError, match="Input"):
        evaluate_layer(X, [])


def test_uneven_padding_of_pooling():
    image = -torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    largest = Layer("p", Pool2d("max", (2, 2), (2, 2), (0, 1, 0, 1)), ("x",), (1, 1, 2, 2))
    assert evaluate_layer(largest, [image]).flatten().tolist() == [-1, -3, -7, -9]
    average = Layer("p", Pool2d("avg", (2, 2), (2, 2), (0, 1, 0, 1)), ("x",), (1, 1, 2, 2))
    assert evaluate_layer(average, [image]).flatten().tolist() == [-3, -2.25, -3.75, -2.25]


def test_activation_parameters_are_used():
    value = torch.tensor([-2.0])
    assert activate(value, Activation("leaky_relu", (0.25,))).item() == -0.5
    assert activate(value, None) is value
