import io
import json
import math

from rich.console import Console

from autosched.report.execution_table import ExecutedRow, finite, print_outputs
from autosched.schedule.outcomes import Agreement

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
