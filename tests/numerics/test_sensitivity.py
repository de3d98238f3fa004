from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.network.operators import Output
from autosched.network.reference import evaluate_network
from autosched.numerics.comparison import agreement
from autosched.numerics.emulation import emulate_outputs
from autosched.numerics.sensitivity import (
    Errors,
    FormatKey,
    format_key,
    from_bytes,
    loss,
    sensitivities,
    to_bytes,
    typical_errors,
)
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    MatmulConfig,
    MatmulProgram,
    Precision,
    with_precision,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DataType as D
from autosched.space.formats import ACTIVATION_TYPES, PRECISIONS, Formats
from autosched.space.layer_formats import default_schedule

EXACT, ROUGH = PRECISIONS[-1], PRECISIONS[0]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(32, 64, 3, padding=1)
        self.second = nn.Conv2d(64, 64, 1)
        self.third = nn.Conv2d(64, 64, 3, padding=1)
        self.fc = nn.Linear(64, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        x = (self.third(self.second(x).relu()) + x).relu()
        return cast("torch.Tensor", self.fc(x.mean((2, 3)) * 4.0))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return capture(_Net().eval(), (torch.randn(4, 32, 12, 12),), "net")


@pytest.fixture(scope="module")
def found(network: Network) -> dict[str, dict[FormatKey, Errors]]:
    return dict(sensitivities(network, PRECISIONS, ACTIVATION_TYPES))


def test_every_layer_with_formats_is_measured(
    network: Network, found: dict[str, dict[FormatKey, Errors]]
) -> None:
    assert {"first", "second", "third", "add", "fc"} <= set(found)
    assert not {layer.name for layer in network if isinstance(layer.op, Output)} & set(found)
    assert set(found["add"]) == {(None, dtype, 0) for dtype in ACTIVATION_TYPES}
    assert set(found["third"]) >= {
        (item, dtype, 0) for item in PRECISIONS for dtype in ACTIVATION_TYPES
    }
    assert {tiles for item, _, tiles in found["fc"] if item is not None} == {2}


@pytest.mark.parametrize("layer", ["first", "second", "third", "fc"])
def test_fewer_bits_cost_more(layer: str, found: dict[str, dict[FormatKey, Errors]]) -> None:
    tiles = 2 if layer == "fc" else 0
    lost = [
        loss(found[layer][precision, D.BFLOAT16, tiles])
        for precision in (EXACT, PRECISIONS[1], ROUGH)
    ]
    assert lost == sorted(lost)
    assert lost[-1] > 10 * lost[0] > 0


def emulated_loss(network: Network, schedule: Schedule) -> float:
    made = emulate_outputs(network, schedule, network.samples, 8)
    names = [layer.name for layer in network if isinstance(layer.op, Output)]
    truths = zip(names, evaluate_network(network, network.samples), strict=True)
    return max(1.0 - agreement(made[name], truth).pcc for name, truth in truths)


def predicted_loss(
    network: Network, schedule: Schedule, found: dict[str, dict[FormatKey, Errors]]
) -> float:
    total = np.zeros_like(next(iter(found["add"].values())))
    for layer in network:
        config = schedule.layers[layer.name]
        if layer.name in found and isinstance(config, Conv2dConfig | MatmulConfig | EltwiseConfig):
            total += found[layer.name][format_key(config, config.output_dtype)]
    return loss(total)


@pytest.mark.parametrize(
    "precision",
    [
        PRECISIONS[1],
        Precision(D.BFLOAT8_B, Fidelity.HIFI2),
        Precision(D.BFLOAT8_B, Fidelity.HIFI2, float32_sums=True),
    ],
    ids=str,
)
def test_errors_of_layers_add_up(
    network: Network, found: dict[str, dict[FormatKey, Errors]], precision: Precision
) -> None:
    formats = Formats(activations=D.BFLOAT16)
    schedule = default_schedule(network, "n150", "0.81.1", formats)
    layers = {
        name: with_precision(config, precision) if isinstance(config, Conv2dConfig) else config
        for name, config in schedule.layers.items()
    }
    schedule = replace(schedule, layers=layers)
    predicted, actual = predicted_loss(network, schedule, found), emulated_loss(network, schedule)
    assert 0.4 < predicted / actual < 2.5


def test_longer_sums_in_bfloat16_lose_more_in_a_linear_layer() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2048, 64)).eval()
    network = capture(module, (torch.randn(2, 2048).abs(),), "linear")
    precision = Precision(D.BFLOAT16, Fidelity.HIFI4)
    (found,) = dict(sensitivities(network, (precision,), (D.BFLOAT16,))).values()
    lost = {tiles: loss(errors) for (_, _, tiles), errors in found.items()}
    assert list(lost) == [2, 16, 128]
    assert lost[128] > 2 * lost[2]

    def config(tiles: int) -> MatmulConfig:
        return MatmulConfig(program=MatmulProgram("mcast_in0", (8, 8), tiles, 1, 1, 1, 1))

    keys = [format_key(config(tiles), D.BFLOAT16)[2] for tiles in (1, 3, 6, 64, 1000)]
    assert keys == [2, 2, 16, 128, 128]
    wide = with_precision(config(64), replace(precision, float32_sums=True))
    assert format_key(wide, D.BFLOAT16)[2] == 2


def test_of_random_products_what_has_more_bits_loses_less() -> None:
    keys = [(how, dtype, 0) for how in (None, *PRECISIONS) for dtype in ACTIVATION_TYPES]
    found = typical_errors(keys)
    for how in (None, *PRECISIONS):
        if how is None or how.weights is not D.BFLOAT8_B or how.fidelity is not Fidelity.LOFI:
            assert found[how, D.BFLOAT16, 0] < found[how, D.BFLOAT8_B, 0]
    assert max(found, key=lambda key: found[key])[0] == ROUGH
    assert found[EXACT, D.BFLOAT16, 0] < 1e-5
    in_bfloat16 = replace(EXACT, float32_sums=False)
    assert found[in_bfloat16, D.BFLOAT16, 0] > 5 * found[EXACT, D.BFLOAT16, 0]


def test_known_layers_are_left_out(network: Network) -> None:
    left = dict(
        sensitivities(network, PRECISIONS[:1], ACTIVATION_TYPES, known={"first", "second", "fc"})
    )
    assert "third" in left
    assert "first" not in left


def test_what_is_stored_comes_back(found: dict[str, dict[FormatKey, Errors]]) -> None:
    again = from_bytes(to_bytes(found["third"]))
    assert set(again) == set(found["third"])
    for key, errors in found["third"].items():
        assert loss(again[key]) == pytest.approx(loss(errors), rel=0.02)


@pytest.mark.parametrize("blob", [b"", b"no archive"])
def test_damaged_bytes_are_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_bytes(blob)


def test_a_loss_sees_what_is_across_not_a_scale() -> None:
    along = np.array([[0.5, 0.0, 0.0, 0.0]], np.float32)
    across = np.array([[0.0, 0.3, 0.4, 0.0]], np.float32)
    assert loss(along) == 0.0
    assert loss(across) == pytest.approx(1.0 - 1.0 / np.sqrt(1.25))


def test_noise_adds_up_in_squares_and_biases_as_they_are() -> None:
    noise = np.array([[0.0, 0.0, 0.0, 0.01]], np.float32)
    bias = np.array([[0.0, 0.1, 0.0, 0.0]], np.float32)
    assert loss(noise) == pytest.approx(loss(bias), rel=1e-4)
    assert loss(noise + noise) == pytest.approx(2 * loss(noise), rel=0.02)
    assert loss(bias + bias) == pytest.approx(4 * loss(bias), rel=0.05)
    assert loss(bias - bias) == 0.0


def test_sums_in_bfloat16_are_biased_and_sums_in_float32_are_not(
    found: dict[str, dict[FormatKey, Errors]],
) -> None:
    narrow, wide = (
        found["third"][Precision(D.BFLOAT16, Fidelity.HIFI4, float32_sums=sums), D.BFLOAT16, 0][0]
        for sums in (False, True)
    )
    assert narrow[0] > 10 * abs(wide[0])
