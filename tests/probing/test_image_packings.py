"""Which ways of packing images are tried, and which one is taken."""

import itertools

import pytest
import torch

from autosched.budget import Budget
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import Conv2d, Input, Linear, Output, Reshape
from autosched.network.rewrites.packed_images import pack_images
from autosched.probing import image_packings
from autosched.probing.image_packings import (
    PackingEstimate,
    PackingSite,
    best_packing,
    estimate_packings,
    likely_packings,
)
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from tests.examples.networks import BOARD


def chain(batch: int, *widths: int, side: int = 32) -> Network:
    """Convolutions from so many channels to so many, one behind the other."""
    layers = [Layer("x", Input(), (), (batch, widths[0], side, side))]
    weights = {}
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        op = Conv2d(before, after, (3, 3), padding=(1, 1, 1, 1), has_bias=False)
        shape = (batch, after, side, side)
        layers.append(Layer(f"conv{number}", op, (layers[-1].name,), shape))
        weights[f"conv{number}"] = Weights(torch.ones(after, before, 3, 3))
    layers.append(Layer("y", Output(), (layers[-1].name,), layers[-1].shape))
    return Network("chain", tuple(layers), weights)


def ways(network: Network) -> list[int]:
    return [way.packing.images for way in likely_packings(network)]


def test_narrow_layers_are_packed_by_divisors_of_the_batch() -> None:
    assert ways(chain(4, 4, 16, 16)) == [2, 4]
    assert ways(chain(6, 4, 8, 8)) == [2, 3, 6]


def test_at_most_three_ways_are_tried_those_that_fill_tiles_best() -> None:
    assert ways(chain(12, 1, 4, 4)) == [4, 6, 12]


@pytest.mark.parametrize(
    "network",
    [
        chain(1, 4, 16, 16),
        chain(4, 32, 64, 32),
        chain(4, 3, 64, 64),
        chain(4, 3, 128, 16, 128),
    ],
    ids=["one image", "whole tiles", "a narrow input alone", "more products than it saves"],
)
def test_nothing_is_tried_where_nothing_is_saved(network: Network) -> None:
    assert ways(network) == []


def test_ways_that_are_not_worth_a_look_have_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of 64 images of 512 channels would be 38 GB a layer."""
    made: list[tuple[int, str]] = []

    def pack(network: Network, images: int) -> Network:
        packed = pack_images(network, images)
        made.append((images, packed.weights["conv0"].weight.device.type))
        return packed

    monkeypatch.setattr(image_packings, "pack_images", pack)
    assert ways(chain(64, 512, 512, 512)) == []
    assert {device for _, device in made} == {"meta"}
    made.clear()
    assert ways(chain(6, 4, 8, 8)) == [2, 3, 6]
    assert [images for images, device in made if device == "cpu"] == [2, 3, 6]


def test_nothing_is_tried_where_a_layer_forbids_it() -> None:
    shapes = (4, 6, 8, 8), (4, 384), (4, 2)
    network = Network(
        "flat",
        (
            Layer("x", Input(), (), shapes[0]),
            Layer("flat", Reshape(), ("x",), shapes[1]),
            Layer("fc", Linear(384, 2, has_bias=False), ("flat",), shapes[2]),
            Layer("y", Output(), ("fc",), shapes[2]),
        ),
        {"fc": Weights(torch.ones(2, 384))},
    )
    assert ways(network) == []


def estimates(*times_us: float | None) -> list[PackingEstimate]:
    network = chain(4, 4, 16)
    networks = [network, *likely_packings(network)]
    return [PackingEstimate(*pair) for pair in zip(networks, times_us, strict=True)]


@pytest.mark.parametrize(
    ("times_us", "images"),
    [
        ((100.0, 60.0, 50.0), 4),
        ((100.0, 60.0, 59.0), 2),
        ((100.0, 99.0, 98.0), 1),
        ((100.0, 110.0, 98.0), 1),
        ((100.0, None, 50.0), 4),
        ((None, 60.0, 50.0), 1),
    ],
    ids=["fastest", "alike", "hardly faster", "slower", "no schedule", "nothing to compare with"],
)
def test_the_fastest_is_taken_but_for_little(
    times_us: tuple[float | None, ...], images: int
) -> None:
    assert best_packing(estimates(*times_us)).images == images


@pytest.mark.parametrize(
    ("widths", "efforts"),
    [((8, 8, 8), ["quick", "quick"]), ((8, 8), ["first look"] * 2)],
    ids=["close", "far"],
)
def test_what_is_close_is_looked_at_once_more(
    store: Store, monkeypatch: pytest.MonkeyPatch, widths: tuple[int, ...], efforts: list[str]
) -> None:
    network = chain(2, *widths, side=192)
    networks = [network, *likely_packings(network)]
    told: list[int] = []
    if "quick" not in efforts:
        monkeypatch.setattr(image_packings, "CLOSE", 1.0)

    def estimated(budget: Budget) -> list[PackingEstimate]:
        site = PackingSite(store, device, DeviceKey(BOARD.name, "mock", "0.81.1"))
        return estimate_packings(
            networks, site, lambda way, *_: told.append(way.packing.images), budget
        )

    with WorkerDevice(BOARD) as device:
        assert [item.latency_us for item in estimated(Budget.of(0.0))] == [None, None]
        found = estimated(Budget())
    assert set(told) == {1, 2}
    assert [item.effort for item in found] == efforts
    apart_us, together_us = (item.latency_us for item in found)
    assert apart_us is not None
    assert together_us is not None
    assert 0 < together_us < apart_us
