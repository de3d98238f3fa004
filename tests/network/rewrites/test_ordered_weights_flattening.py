import pytest
import torch
from torch import nn

from autosched.network.capture.capture import capture_unchecked
from autosched.network.capture.capture_check import check_capture
from autosched.network.operators import Activation, Conv2d, Linear, Permute, Reshape
from autosched.network.rewrites import ordered_weights
from tests.network.modules import Function, kinds, ops


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_weights, "_SMALL", 1)


def test_a_small_linear_layer_is_a_convolution_of_one_window(lowered) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10), nn.ReLU(), nn.Linear(10, 4)
    )
    network = lowered(module, torch.randn(2, 3, 6, 6))
    assert kinds(network) == [Conv2d, Conv2d, Reshape, Linear]
    assert [layer.name for layer in network] == ["input", "0", "3", "3.flatten", "5", "output"]
    head = network.by_name["3"]
    assert head.op == Conv2d(6, 10, (4, 4), activation=Activation("relu"))
    assert head.shape == (2, 10, 1, 1)


@pytest.mark.usefixtures("large")
def test_features_of_a_large_one_are_flattened_as_they_lie(lowered) -> None:
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10))
    network = lowered(module, torch.randn(2, 3, 6, 6))
    assert ops(network)[1] == Permute((2, 6, 4, 4), (0, 2, 3, 1))
    assert [layer.shape for layer in network][2] == (2, 96)


@pytest.mark.parametrize("most", [1, 10**9])
def test_every_reader_takes_it_over(lowered, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_weights, "_SMALL", most)
    heads = [nn.Linear(96, 10), nn.Linear(96, 4, bias=False)]
    module = Function(lambda x, one, two: (one(x.flatten(1)), two(x.flatten(1))), *heads)
    network = lowered(module, torch.randn(2, 6, 4, 4))
    assert kinds(network).count(Linear if most == 1 else Conv2d) == 2


@pytest.mark.parametrize("shape", [(2, 96, 1, 1), (2, 1, 8, 12)])
def test_what_lies_so_already_is_a_reshape(lowered, shape: tuple[int, ...]) -> None:
    network = lowered(nn.Sequential(nn.Flatten(), nn.Linear(96, 10)), torch.randn(shape))
    assert kinds(network) == [Reshape, Linear]


def test_the_order_stays_where_others_read_it(lowered) -> None:
    def both(x: torch.Tensor, head: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        features = x.flatten(1)
        return head(features), features

    module = Function(both, nn.Linear(96, 10))
    network = lowered(module, torch.randn(2, 6, 4, 4))
    assert kinds(network) == [Reshape, Linear]


@pytest.mark.usefixtures("large")
def test_a_capture_with_it_is_compared_by_its_layers() -> None:
    """Where rounding grows, each layer is compared alone: with what it makes of the same inputs."""
    module = Function(
        lambda x, conv, head: torch.sin(1e6 * head(conv(x).flatten(1))),
        nn.Conv2d(3, 6, 3),
        nn.Linear(96, 10),
    ).eval()
    inputs = (torch.randn(2, 3, 6, 6),)
    check_capture(module, inputs, capture_unchecked(module, inputs))
