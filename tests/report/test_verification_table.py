from dataclasses import replace
from pathlib import Path

import pytest

from autosched.errors import StoreError
from autosched.report.execution_table import VerdictRow
from autosched.report.verification_table import VerifiedSchedule, add_verified, check_page
from autosched.schedule.outcomes import Verdict

RIGHT = VerdictRow(("conv1",), "height", Verdict.RIGHT, 0.9999, 0.9998, "", is_stored=False)
WRONG = VerdictRow(("conv2",), "block", Verdict.WRONG, 0.5, 0.4, "", is_stored=False)
LACKING = VerdictRow(("mean",), "DRAM", Verdict.NOT_SIMULATED, None, None, "U", is_stored=False)
MADE = VerifiedSchedule(
    "resnet18",
    1,
    "n150",
    "bfloat8_b weights, bfloat8_b, LoFi",
    "449.1 µs (estimated)",
    Verdict.RIGHT,
    0.99951,
    1.0,
    (RIGHT, LACKING),
    75.0,
    "simulated, ttnn 0.81.1",
)


def rows(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith("| ")][2:]


def test_a_row_says_what_came_of_it(tmp_path: Path):
    page = tmp_path / "verified.md"
    add_verified(page, MADE)
    assert rows(page) == [
        "| resnet18 | 1 | n150 | bfloat8_b weights, bfloat8_b, LoFi | 449.1 µs (estimated) | right "
        "| 0.9995 | 100.0% | 1 of 1 | 0.9998 | mean (not simulated) | 1 min 15 s "
        "| simulated, ttnn 0.81.1 |"
    ]


def test_a_schedule_that_did_not_run_has_no_figures(tmp_path: Path):
    page = tmp_path / "verified.md"
    add_verified(page, replace(MADE, whole=None, pcc=None, top1=None, rows=(LACKING,)))
    assert "| not executed as a whole | - | - | 0 of 0 | - |" in rows(page)[0]


def test_a_study_has_one_row_the_last(tmp_path: Path):
    page = tmp_path / "verified.md"
    for made in (MADE, replace(MADE, board="p150"), replace(MADE, rows=(RIGHT, WRONG))):
        add_verified(page, made)
    first, second = rows(page)
    assert "| n150 |" in first
    assert "| 1 of 2 | 0.4000 |" in first
    assert "| p150 |" in second


def test_another_page_is_left_alone(tmp_path: Path):
    page = tmp_path / "README.md"
    page.write_text("# Mine\n")
    with pytest.raises(StoreError, match="is no page of verified schedules"):
        check_page(page)
    with pytest.raises(StoreError, match="there is no such directory"):
        check_page(tmp_path / "gone" / "verified.md")
    assert page.read_text() == "# Mine\n"
