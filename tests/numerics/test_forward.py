from typing import cast

import torch
from torch import nn

from autosched.network.capture.capture import capture
from autosched.network.operators import Input, Output
from autosched.network.reference import evaluate_network
from autosched.numerics.forward import forward


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
