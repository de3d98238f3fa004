"""Tables of formats, floors and mixes."""

from io import StringIO

import pytest
from rich.console import Console

from autosched.bench.floors import FormatRow
from autosched.bench.format_mixes import Additivity, DrawnMix
from autosched.report.coverage_table import (
    floors_markdown,
    formats_markdown,
    mixes_markdown,
    print_floors,
    print_formats,
    print_mixes,
)
from autosched.schedule.outcomes import TimeKind

SHAPE = ((1, 3, 8, 8),)
TIMED = {"latency_kind": TimeKind.ESTIMATED, "cost_model": "m-1"}
ROWS = [
    FormatRow("net", "n150", 1, SHAPE, "alike", None, 100.0, pcc=0.98, concordance=0.97, **TIMED),
    FormatRow("net", "n150", 1, SHAPE, "exact", None, 200.0, pcc=0.999, concordance=0.99, **TIMED),
    FormatRow("net", "n150", 1, SHAPE, "at 0.95", 0.95, 90.0, pcc=0.96, concordance=0.9, **TIMED),
    FormatRow("net", "n150", 1, SHAPE, "at 0.99", 0.99, 150.0, pcc=0.991, concordance=0.9, **TIMED),
    FormatRow("net", "n150", 1, SHAPE, "at 0.9999", 0.9999, pcc=0.9991, reason="blame conv1"),
]
MIXES = [Additivity("net", "n150", 1, tuple(DrawnMix(0.5, 0.1 * n, 0.2 * n) for n in (1, 2, 3)))]


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=100)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_search_is_compared_with_the_fastest_formats_alike_that_meet_its_floor() -> None:
    page = formats_markdown(ROWS, "autosched bench net.py")
    assert "| at 0.95 | 90.0 | 0.96000 | 0.90000 | 0.900 |" in page
    assert "| at 0.99 | 150.0 | 0.99100 | 0.90000 | 0.750 |" in page
    assert "| at 0.9999 | - | 0.99910 | - | - |" in page
    assert "- net, at 0.9999: blame conv1" in page
    assert "net on n150, 1x3x8x8: time estimated by cost model m-1" in page


def test_floors_stand_beside_fixed_formats() -> None:
    page = floors_markdown([ROWS[0], ROWS[3], ROWS[4]], "autosched coverage --min-pcc 0.99")
    assert "1 of 2 schedules meet their floor" in page
    assert "| net | 1x3x8x8 | 0.99 | 0.99100 | 0.90000 | 150.0 | 100.0 | 0.98000 |" in page
    assert "| net | 1x3x8x8 | 0.9999 | 0.99910 | - | - | 100.0 | 0.98000 |" in page
    assert "blame conv1" in page


def test_correlations_are_shown() -> None:
    page = mixes_markdown(MIXES, "autosched bench net.py --mixes 3")
    assert "| net on n150, batch 1 | 3 | 1.000 | 1.000 | 2.00 |" in page


def test_screens_have_the_same(console: Console) -> None:
    print_formats(console, ROWS)
    print_floors(console, ROWS)
    print_mixes(console, MIXES)
    text = said(console)
    assert "0.750" in text
    assert "blame conv1" in text
    assert "2.00" in text
