import pytest

from autosched.cli.steps.search_request import Wishes, parse_duration
from autosched.errors import SearchError
from autosched.search.settings import Settings


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


def test_a_wish_leaves_all_other_settings_alone() -> None:
    settings = Settings(
        network_file="net.py", allow_host=True, pinned=["*:memory=l1"], allow_known_faults=True
    )
    wished = Wishes(seed=3).over(settings)
    assert wished.to_plain() == {**settings.to_plain(), "seed": 3}
