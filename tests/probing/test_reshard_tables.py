from dataclasses import replace
from typing import TYPE_CHECKING, cast

from autosched.network.graph import Layer
from autosched.network.operators import Conv2d
from autosched.probing.reshard_tables import probe_pairs
from autosched.schedule.tensors import DRAM_TILE, DataType, PageLayout
from tests.examples.layouts import WHOLE_GRID, height
from tests.probing.test_lower_bound import Reshards

if TYPE_CHECKING:
    from autosched.probing.probe_book import ProbeBook

LAYER = Layer("conv", Conv2d(16, 16, (3, 3)), ("x",), (1, 16, 64, 64))
ROWS = replace(height(64, 16, WHOLE_GRID), page=PageLayout.ROW_MAJOR, dtype=DataType.BFLOAT16)
FILLED = replace(ROWS, shard_shape=(64, 32))


def test_rows_filled_up_with_channels_are_brought_nowhere() -> None:
    wrong = [(DRAM_TILE, FILLED), (FILLED, ROWS), (FILLED, DRAM_TILE)]
    right = [(DRAM_TILE, ROWS), (ROWS, DRAM_TILE)]
    book = Reshards(otherwise_us=5.0)
    table = probe_pairs({"conv": (LAYER, [*wrong, *right])}, cast("ProbeBook", book))["conv"]
    assert set(book.asked) == set(table.times_us) == set(right)
    assert table.impossible == set(wrong)


def test_rows_of_whole_tiles_of_channels_are() -> None:
    wide = replace(LAYER, shape=(1, 32, 64, 64))
    book = Reshards(otherwise_us=5.0)
    table = probe_pairs({"conv": (wide, [(DRAM_TILE, FILLED)])}, cast("ProbeBook", book))["conv"]
    assert set(table.times_us) == {(DRAM_TILE, FILLED)}
