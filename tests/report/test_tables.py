import io

import pytest
from rich.console import Console
from rich.table import Table

from autosched.boards import BOARDS
from autosched.report.layer_rows import LayerRow
from autosched.report.tables import board_table, layer_table, study_table, trial_table
from autosched.schedule.outcomes import TimeKind
from autosched.store.studies import StudySummary
from tests.examples.trials import STUDY, trial

LONG = LayerRow(
    "features.layer4.1.downsample.0",
    "height, act_block_h 1568, double-buffered, activation reuse, halo moved",
    12345.6,
    TimeKind.ESTIMATED,
    0.123,
    130,
    1_400_000,
    ("Conv2d",),
)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "table",
    [
        layer_table([LONG]),
        study_table([StudySummary(STUDY, 3, 2, 12345.6, TimeKind.ESTIMATED)]),
        trial_table([trial(0, 175.0, "default"), trial(1, None)]),
        board_table(BOARDS.values()),
    ],
    ids=["layers", "studies", "trials", "boards"],
)
def test_numbers_are_whole_and_lines_fit(table: Table, width: int) -> None:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
