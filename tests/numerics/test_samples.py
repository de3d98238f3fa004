from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own name for it

from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.network.operators import Input, Output
from autosched.network.reference import evaluate_network
from autosched.numerics.samples import forward, with_smaller_samples
from autosched.numerics.sensitivity import loss, sensitivities
from autosched.space.formats import ACTIVATION_TYPES, PRECISIONS


class _Segmenting(nn.Module):
    """Half as large and back, joined with what was not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.lower = nn.Conv2d(32, 32, 3, padding=1)
        self.widen = nn.ConvTranspose2d(32, 32, 2, stride=2)
        self.classify = nn.Conv2d(64, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        lower = self.widen(self.lower(F.max_pool2d(x, 2)).relu())
        return cast("torch.Tensor", self.classify(torch.cat([x, lower], 1)))


class _Classifying(nn.Module):
    def __init__(self, *, flattens: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.flattens = flattens
        self.fc = nn.Linear(32 * 16 if flattens else 32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        if self.flattens:
            return cast("torch.Tensor", self.fc(F.avg_pool2d(x, x.shape[-1] // 4).flatten(1)))
        return cast("torch.Tensor", self.fc(x.mean((2, 3))))


def captured(module: nn.Module, *shape: int) -> Network:
    torch.manual_seed(0)
    return capture(module.eval(), (torch.randn(shape),), "net")


def shapes(network: Network) -> list[tuple[int, ...]]:
    return [tuple(sample.shape) for sample in network.samples]


@pytest.mark.parametrize(
    ("module", "shape", "smaller"),
    [
        (_Segmenting(), (1, 3, 128, 128), (1, 3, 128, 128)),
        (_Segmenting(), (1, 3, 480, 640), (1, 3, 128, 160)),
        (_Segmenting(), (16, 3, 64, 64), (4, 3, 64, 64)),
        (_Segmenting(), (4, 3, 480, 640), (1, 3, 128, 160)),
        (_Classifying(flattens=False), (1, 3, 320, 320), (1, 3, 192, 192)),
        (_Classifying(flattens=False), (8, 3, 128, 128), (2, 3, 128, 128)),
        (_Classifying(flattens=True), (8, 3, 128, 128), (2, 3, 128, 128)),
        (_Classifying(flattens=True), (1, 3, 320, 320), (1, 3, 320, 320)),
    ],
)
def test_samples_are_cut_no_further_than_is_enough_and_a_network_takes(
    module: nn.Module, shape: tuple[int, ...], smaller: tuple[int, ...]
) -> None:
    network = captured(module, *shape)
    found = with_smaller_samples(network)
    assert shapes(found) == [smaller]
    assert [layer.name for layer in found] == [layer.name for layer in network]
    assert found.weights is network.weights


def test_the_middle_of_an_image_is_kept() -> None:
    network = captured(_Segmenting(), 1, 3, 480, 640)
    assert torch.equal(
        with_smaller_samples(network).samples[0], network.samples[0][:, :, 176:304, 240:400]
    )


def test_networks_without_samples_are_left_alone() -> None:
    network = replace(captured(_Segmenting(), 1, 3, 480, 640), samples=())
    assert with_smaller_samples(network) is network


def test_formats_cost_as_much_as_on_whole_images(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = captured(_Segmenting(), 1, 3, 192, 192)
    precisions = (PRECISIONS[0], PRECISIONS[-1])
    cut = dict(sensitivities(network, precisions, ACTIVATION_TYPES))
    monkeypatch.setattr("autosched.numerics.sensitivity.with_smaller_samples", lambda given: given)
    whole = dict(sensitivities(network, precisions, ACTIVATION_TYPES))
    assert cut.keys() == whole.keys()
    for layer, keys in whole.items():
        for key, errors in keys.items():
            assert loss(cut[layer][key]) == pytest.approx(loss(errors), rel=0.3, abs=1e-7), key


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return cast("torch.Tensor", x + self.second(x))


def test_each_layer_is_made_once_and_kept_as_long_as_something_reads_it() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 3, 12, 12)
    network = capture(_Residual().eval(), (image,), "net")
    with torch.no_grad():
        made = {
            layer.name: (set(live), values) for layer, live, values in forward(network, [image])
        }
    assert list(made) == [layer.name for layer in network]
    source = next(layer.name for layer in network if isinstance(layer.op, Input))
    assert source in made["first"][0]
    assert source not in made["second"][0]
    assert {"first", "second"} <= made["add"][0]
    output = next(layer.name for layer in network if isinstance(layer.op, Output))
    assert torch.equal(made[output][1], evaluate_network(network, [image])[0])
