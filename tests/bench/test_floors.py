"""Formats side by side: times with the PCC of each, and what no schedule reaches."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import nn

from autosched.bench.floors import (
    ALIKE,
    FIXED,
    FormatComparison,
    FormatRow,
    best_alike,
    searched_at,
)
from autosched.boards import find_board
from autosched.device.pool import open_pool
from autosched.network.capture.capture import capture
from autosched.search.run import SilentObserver
from autosched.search.settings import Settings
from autosched.store.database import open_store


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(16, 64, 3, padding=1)
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1)
        self.head = nn.Conv2d(64, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        return cast("torch.Tensor", self.head((self.conv1(x) + x).relu()))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[FormatRow]:
    torch.manual_seed(0)
    network = capture(_Net().eval(), (torch.randn(1, 16, 32, 32),), "net", check=False)
    place = tmp_path_factory.mktemp("floors") / "store.sqlite3"
    ways = (*ALIKE, FIXED, searched_at(0.99), searched_at(0.9999999))
    with (
        open_store(f"sqlite:///{place}") as store,
        open_pool(find_board("n150"), jobs=1) as device,
    ):
        settings = Settings(device="mock", effort="quick", allow_known_faults=True)
        comparison = FormatComparison(network, device, store, settings)
        return [comparison.row(way, None, SilentObserver()) for way in ways]


def test_more_exact_formats_have_a_higher_pcc(rows: list[FormatRow]) -> None:
    pccs = {row.formats: row.pcc or 0.0 for row in rows}
    low, middle, high = (pccs[way.name] for way in ALIKE)
    assert 0.9 < low < middle <= high < 1
    assert pccs[FIXED.name] > low


def test_the_search_is_never_worse_than_formats_alike_that_meet_the_floor(
    rows: list[FormatRow],
) -> None:
    searched = next(row for row in rows if row.floor == 0.99)
    assert searched.meets(0.99)
    alike = best_alike(rows, 0.99)
    assert alike is not None
    assert searched.latency_us is not None
    assert alike.latency_us is not None
    assert searched.latency_us <= alike.latency_us


def test_a_floor_out_of_reach_has_the_best_pcc_in_reach(rows: list[FormatRow]) -> None:
    (row,) = (row for row in rows if row.floor == 0.9999999)
    assert row.latency_us is None
    assert row.pcc is not None
    assert 0.99 < row.pcc < 0.9999999
    assert "Most of the error is of" in row.reason
    assert not row.meets(0.5)


def test_rows_are_plain_json(rows: list[FormatRow]) -> None:
    plain = rows[0].to_plain()
    assert plain["inputs"] == [[1, 16, 32, 32]]
    assert plain["pcc"] == rows[0].pcc


def test_nothing_alike_meets_a_floor_that_is_too_high(rows: list[FormatRow]) -> None:
    assert best_alike(rows, 0.9999999) is None
    assert best_alike([replace(rows[0], pcc=None)], 0.1) is None
