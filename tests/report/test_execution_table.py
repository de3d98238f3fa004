import io
import json
import math

from rich.console import Console

from autosched.report.execution_table import (
    ExecutedRow,
    VerdictRow,
    finite,
    print_outputs,
    print_verdicts,
    tally_of,
)
from autosched.schedule.outcomes import Agreement, Verdict

BROKEN = Agreement(-1.0, -1.0, math.inf, 0.0)


def test_json_has_no_infinities() -> None:
    row = ExecutedRow("conv", "block", BROKEN, BROKEN)
    assert json.loads(json.dumps(row.to_plain(), allow_nan=False))["alone"]["pcc"] == -1.0
    assert finite({"a": math.nan, "b": {"c": math.inf}, "d": 1.0}) == {
        "a": None,
        "b": {"c": None},
        "d": 1.0,
    }


def test_an_absurd_error_has_no_figure() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_outputs(console, {"output": BROKEN}, "simulator")
    assert isinstance(console.file, io.StringIO)
    assert "huge" in console.file.getvalue()


def test_of_whole_numbers_it_says_how_many_are_equal_and_by_what_they_are_judged() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_outputs(console, {"argmax": Agreement(0.99987, 0.9998, 0.02, 1.0, 0.9989)}, "simulator")
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "argmax: equal 99.8 % of whole numbers" in shown
    assert "judged by what they are made of, PCC 0.99987" in shown


RIGHT = VerdictRow(
    ("conv1", "conv2", "conv3", "conv4"), "height", Verdict.RIGHT, 1.0, 0.99991, "", is_stored=True
)
ABORT = VerdictRow(("add",), "block", Verdict.ABORT, None, None, "died\nof it", is_stored=False)


def printed(*rows: VerdictRow) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_verdicts(console, rows, "simulator")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_says_who_has_it_and_where_it_is_from() -> None:
    text = printed(RIGHT, ABORT)
    assert "(simulated)" in text
    assert "conv1, conv2 and 2 more" in text
    assert "0.99991" in text
    assert "stored" in text
    assert "new" in text
    assert "add: abort: died of it" in text
    assert not set(text) & set("┃┏│"), "a table like all others"


def test_verdicts_are_counted_in_their_order() -> None:
    assert tally_of([ABORT, RIGHT, RIGHT]) == "2 right, 1 abort"


def test_a_row_is_json() -> None:
    plain = RIGHT.to_plain()
    assert plain["verdict"] == "right"
    assert plain["places"] == ["conv1", "conv2", "conv3", "conv4"]
