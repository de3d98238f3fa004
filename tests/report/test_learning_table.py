import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from autosched.cost.model import CostModel
from autosched.device.interface import ReshardRequest
from autosched.learning.session import ChangedLayer, LearningEnd, Lesson, Took
from autosched.learning.timetable import Piece
from autosched.probing.candidates import Choice
from autosched.report.learning_table import answer_line, lesson_plain, print_lesson
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import AloneTime, Rejection, RejectionKind, TimeKind
from autosched.schedule.tensors import DRAM_TILE, ShardLayout
from tests.examples import records as examples
from tests.examples.layouts import HEIGHTS

HEIGHT = Choice(Conv2dConfig(shard_layout=ShardLayout.HEIGHT), (DRAM_TILE,), DRAM_TILE, 10.0, 0, ())
BLOCK = replace(HEIGHT, config=Conv2dConfig(shard_layout=ShardLayout.BLOCK))
TIMED = AloneTime((), 12.3, 0.1)


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return Lesson(
        coefficients=CostModel.load("wormhole_b0").coefficients,
        taken=33,
        known=7,
        rejected=1,
        ended=LearningEnd.ALL,
        thought=Took(100.0, 8.0),
        before=Took(120.0, 3.0),
        after=Took(110.0, 2.0),
        probability_faster=0.9999,
        expected_loss_us=(2.0, 0.11),
        errors_log=((0.2, -0.1, 0.3), (0.01, 0.02, -0.02)),
        changed=(
            ChangedLayer(
                name="conv1",
                was=HEIGHT,
                now=BLOCK,
                thought=Took(9.0, 1.5),
                was_takes=Took(12.0, 0.1),
                was_kind=TimeKind.MEASURED,
                now_takes=Took(10.0, 0.5),
                now_kind=TimeKind.ESTIMATED,
            ),
        ),
        conversions_changed=True,
        schedule=examples.schedule(),
    )


def printed(lesson: Lesson) -> str:
    file = io.StringIO()
    print_lesson(Console(file=file, width=200, highlight=False, markup=False), lesson)
    return file.getvalue()


def test_every_time_says_where_it_is_from(lesson: Lesson) -> None:
    text = printed(lesson)
    assert "33 new times, 7 known before, 1 of them rejected; all times taken" in text
    assert "100.0 ± 8.0 µs (estimated) by the model of before" in text
    assert "120.0 ± 3.0 µs (estimated) by what was learned" in text
    assert "110.0 ± 2.0 µs (estimated) by what was learned" in text
    assert "probability above 0.999" in text
    assert "2.0% of the schedule's time before, 0.1% now" in text
    (row,) = [line for line in text.splitlines() if line.startswith("conv1")]
    assert row.split()[:3] == ["conv1", "height", "block"]
    assert "9.0 ± 1.5 estimated" in row
    assert "12.0 ± 0.1 measured" in row
    assert "10.0 ± 0.5 estimated" in row


def test_a_schedule_that_stays_is_said_to_stay(lesson: Lesson) -> None:
    same = replace(lesson, changed=(), conversions_changed=False)
    assert "It stays" in printed(same)
    moved = replace(lesson, changed=())
    assert "tensors are moved otherwise" in printed(moved)


def test_a_lesson_is_one_object(lesson: Lesson) -> None:
    plain = json.loads(json.dumps(lesson_plain(lesson)))
    assert plain["version"] == lesson.coefficients.version
    assert plain["median_error"]["learned"] == pytest.approx(0.02, abs=1e-3)
    (changed,) = plain["changed"]
    measured = {"time_us": 12.0, "error_us": 0.1, "kind": "measured"}
    assert changed["before_learned"] == measured
    assert changed["now_learned"]["kind"] == plain["schedule_of_now"]["learned"]["kind"]
    assert plain["expected_loss"] == {"before": 0.02, "learned": 0.001}


def test_an_answer_is_a_line() -> None:
    request = ReshardRequest((1, 32, 32, 32), HEIGHTS, DRAM_TILE)
    conv = Piece("signature", request, (), "conv1", HEIGHT.config)
    assert answer_line(conv, 15.0, TIMED) == "conv1 (height): 12.3 µs (measured), 15.0 estimated"
    change = Piece("signature", request, (), "", (HEIGHTS, DRAM_TILE))
    assert answer_line(change, 15.0, TIMED).startswith("a tensor (height")
    refused = Rejection(RejectionKind.L1_OVERFLOW, "no room")
    assert answer_line(conv, 15.0, refused) == "conv1 (height): rejected, L1 overflow: no room"
