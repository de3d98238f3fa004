import pytest

from autosched.report import words
from autosched.schedule.outcomes import Rejection, RejectionKind, TimeKind


def test_a_time_is_never_shown_without_its_kind() -> None:
    assert words.latency(1067.66, TimeKind.ESTIMATED) == "1,067.7 µs (estimated)"
    assert words.latency(2.5, TimeKind.MEASURED) == "2.5 µs (measured)"
    assert words.latency(1067.66, TimeKind.ESTIMATED, 81.0) == "1,067.7 ± 81.0 µs (estimated)"
    assert words.latency(None, None) == "none yet"


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (4320, "1 h 12 min"),
    ],
)
def test_durations(duration_s: float, text: str) -> None:
    assert words.seconds(duration_s) == text


def test_gain() -> None:
    kind = TimeKind.ESTIMATED
    assert words.gain(175.0, 100.0, kind) == "1.75x faster than ttnn's default (estimated)"
    assert words.gain(100.0, 100.0, kind) == "no faster than ttnn's default (estimated)"
    assert words.gain(None, 100.0, kind) == ""


def test_rejections_by_kind_with_the_most_frequent_first() -> None:
    counts = {RejectionKind.L1_OVERFLOW: 8, RejectionKind.INVALID: 60}
    assert words.rejections(counts) == "60 invalid configuration, 8 L1 overflow"


def test_a_rejection_is_one_short_line() -> None:
    rejected = Rejection(RejectionKind.INVALID, "first\n  second " + "x" * 500, "conv1")
    line = words.rejection(rejected)
    assert line.startswith("conv1: invalid configuration: first second xxx")
    assert len(line) < 240
