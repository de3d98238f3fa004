"""Mixes of formats: what they lose is what the sum of the layers' errors foretells."""

from statistics import median
from typing import cast

import pytest
import torch
from torch import nn

from autosched.bench.format_mixes import Additivity, DrawnMix, MixDrawer
from autosched.boards import find_board
from autosched.device.machine import ttnn_version
from autosched.network.capture.capture import capture
from autosched.search.open_study import create_study
from autosched.search.settings import Settings
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_schedule


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(16, 32, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.conv1 = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Conv2d(32, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(x).relu())
        return cast("torch.Tensor", self.head((self.conv1(x) + x).relu()))


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> MixDrawer:
    torch.manual_seed(0)
    network = capture(_Net().eval(), (torch.randn(1, 16, 16, 16),), "net", check=False)
    board = find_board("n150")
    settings = Settings(device="mock", min_pcc=0.99, search_formats=True)
    storage = f"sqlite:///{tmp_path_factory.mktemp('mixes') / 'store.sqlite3'}"
    with create_study(network, "n150", storage=storage, settings=settings, jobs=1) as study:
        errors = study.errors()
    default = default_schedule(network, "n150", ttnn_version(), Formats())
    return MixDrawer(network, board, default, LayerFormats(network, Formats()), errors)


def test_errors_of_mixes_add_up(drawer: MixDrawer) -> None:
    mixes = tuple(drawer.drawn(30, seed=0))
    found = Additivity("net", "n150", 1, mixes)
    assert found.correlation is not None
    assert found.log_correlation is not None
    assert found.correlation > 0.95
    assert found.log_correlation > 0.95
    assert 1 <= found.typical_ratio < 1.5
    assert {"correlation", "log_correlation", "mixes"} <= found.to_plain().keys()


def test_a_seed_draws_the_same_mixes(drawer: MixDrawer) -> None:
    heard: list[int] = []
    first, again, other = (list(drawer.drawn(3, seed, heard.append)) for seed in (1, 1, 2))
    assert first == again != other
    assert heard == [0, 1, 2] * 3


def test_mixes_with_more_exact_layers_lose_less(drawer: MixDrawer) -> None:
    mixes = sorted(drawer.drawn(30, seed=0), key=lambda mix: mix.exact_share)
    inexact, exact = mixes[:10], mixes[-10:]
    losses = [median(mix.emulated for mix in group) for group in (exact, inexact)]
    assert losses[0] < losses[1] / 2


def test_too_few_mixes_have_no_correlation() -> None:
    found = Additivity("net", "n150", 1, (DrawnMix(0.5, 0.1, 0.2), DrawnMix(0.5, 0.2, 0.4)))
    assert found.correlation is None
    assert found.typical_ratio == pytest.approx(2)
