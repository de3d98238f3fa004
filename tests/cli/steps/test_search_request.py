import pytest

from autosched.cli.steps.search_request import parse_duration
from autosched.errors import SearchError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h", 3600),
        ("45", 45),
        ("0.5", 0.5),
        ("1.5h", 5400),
        ("2m 5s", 125),
        ("10min", 600),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["9" * 400, "1" + "0" * 9 + "s", "9" * 400 + "h"])
def test_what_no_clock_counts_to_is_refused(text: str) -> None:
    with pytest.raises(SearchError, match="longer than ten years"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "soon", "10 parsecs", "m", "-5s", "1m1h"])
def test_what_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SearchError, match="1h30m"):
        parse_duration(text)
