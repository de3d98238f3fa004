import io

from rich.console import Console

from autosched.report.verdict_table import VerdictRow, print_verdicts, tally_of
from autosched.schedule.outcomes import Verdict

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


def test_verdicts_are_counted_in_their_order() -> None:
    assert tally_of([ABORT, RIGHT, RIGHT]) == "2 right, 1 abort"


def test_a_row_is_json() -> None:
    plain = RIGHT.to_plain()
    assert plain["verdict"] == "right"
    assert plain["places"] == ["conv1", "conv2", "conv3", "conv4"]
