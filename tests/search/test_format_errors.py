"""Formats that are held and miss a floor, on the real mock device and as emulated."""

import re
from typing import NamedTuple, cast

import pytest
import torch
from torch import nn

from autosched.errors import FloorError
from autosched.network.capture.capture import capture
from autosched.network.graph import Network
from autosched.search.open_study import create_study
from autosched.search.settings import Settings
from autosched.search.study import Study


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(16, 64, 3, padding=1)
        self.conv = nn.Conv2d(64, 64, 3, padding=1)
        self.head = nn.Conv2d(64, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        return cast("torch.Tensor", self.head((self.conv(x) + x).relu()))


class Held(NamedTuple):
    """A study of fixed formats that misses its floor by far: how it ended, after what trials."""

    network: Network
    storage: str
    error: FloorError
    trials: int


def fixed(network: Network, storage: str, min_pcc: float, name: str) -> Study:
    settings = Settings(device="mock", effort="quick", allow_known_faults=True, min_pcc=min_pcc)
    return create_study(network, "n150", storage=storage, name=name, settings=settings)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    torch.manual_seed(0)
    network = capture(_Net().eval(), (torch.randn(1, 16, 32, 32),), "net")
    storage = f"sqlite:///{tmp_path_factory.mktemp('held') / 'store.sqlite3'}"
    with fixed(network, storage, 0.99999, "far") as study:
        with pytest.raises(FloorError) as raised:
            study.optimize(trials=20)
        return Held(network, storage, raised.value, len(study.summaries))


def test_what_misses_the_floor_by_far_ends_the_search(held: Held) -> None:
    assert held.trials == 3
    told = str(held.error)
    assert re.search(r"of 3, the most exact has a PCC of 0\.99\d+, emulated", told)
    assert re.search(r"Most of the error is of (stem|conv|head)", told)
    assert "--formats search" in told


def test_it_ends_at_once_when_it_goes_on(held: Held) -> None:
    with fixed(held.network, held.storage, 0.99999, "far") as study:
        with pytest.raises(FloorError):
            study.optimize(trials=20)
        assert len(study.summaries) == held.trials


def test_what_nearly_meets_the_floor_has_all_its_trials(held: Held) -> None:
    near = 1.0 - held.error.lost / 1.1
    with fixed(held.network, held.storage, near, "near") as study:
        with pytest.raises(FloorError, match="of 5, the most exact"):
            study.optimize(trials=5)
        assert len(study.summaries) == 5


def test_where_nothing_but_the_default_is_asked_for_it_is_no_error(held: Held) -> None:
    with fixed(held.network, held.storage, 0.99999, "default alone") as study:
        assert study.optimize(trials=1) is None
