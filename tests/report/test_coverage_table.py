from dataclasses import replace

import pytest
from rich.console import Console

from autosched.bench.coverage import CoverageRow
from autosched.report.coverage_table import coverage_markdown, print_coverage
from autosched.schedule.outcomes import TimeKind

GOOD = CoverageRow(
    "mobilenet_v3_large",
    "n150",
    ((1, 3, 224, 224),),
    captured=True,
    capture_s=4.5,
    layers=94,
    kinds=67,
    shared_kinds=12,
    default_us=12_000.0,
    best_us=4000.0,
    latency_kind=TimeKind.ESTIMATED,
    bound_us=3960.0,
    bound_kind="mixed",
    bound_estimated_share=0.5,
    reshards=31,
    computing_share=0.8412,
    cost_model="model-1",
)
BAD = CoverageRow("bad", "n150", capture_s=0.2, reason="cumsum at net.py:5: no layer" + "!" * 400)
ROWS = [GOOD, BAD, replace(GOOD, board="p150")]


def test_the_screen_fits_80_columns_and_has_a_table_for_each_board(
    capsys: pytest.CaptureFixture[str],
):
    print_coverage(Console(width=80), ROWS)
    shown = capsys.readouterr().out.splitlines()
    title = " ".join(shown[1:3])
    assert "n150: latency estimated by cost model model-1, bounds mixed (up to 50.0%" in title
    rows = [line for line in shown if line.startswith("mobilenet")]
    assert len(rows) == 2
    assert rows[0].split()[1:] == ["67", "12,000.0", "4,000.0", "3.00x", "1.0%", "31", "84%"]
    assert all(len(line.rstrip()) <= 80 for line in rows)
    (reason,) = (line for line in shown if "cumsum" in line)
    assert reason.endswith("…")


def test_markdown_says_what_is_there_and_what_is_not():
    page = coverage_markdown(ROWS, "autosched coverage")
    assert "Made by `autosched coverage`" in page
    assert "1 of 2 networks captured, 1 scheduled; the slowest capture took 4.5 s" in page
    assert page.count("| network |") == 2
    cells = "| yes | yes | 94 | 67 | 12 | 12,000.0 | 4,000.0 | 3.00x | 1.0% | 31 | 84% |"
    assert f"| mobilenet_v3_large | 1x3x224x224 {cells}" in page
    assert "| bad | - | no | no | - | - | 0 | - | - | - | - | - | - |" in page
    assert "- bad: cumsum at net.py:5" in page
