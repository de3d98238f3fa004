"""The frame that takes promises; the promises themselves are no tests."""

import json
import math
from datetime import date
from pathlib import Path

import pytest
import typer

from autosched.report.output import opened_output
from tests.accept.__main__ import accept, chosen, main
from tests.accept.frame import find_promises, take
from tests.accept.page import Circumstances, markdown
from tests.accept.promise import Kind, Limit, Promise, Result, Verdict, worst
from tests.examples.promises import PROMISES

BY_NAME = {promise.name: promise for promise in PROMISES}
HERE = Circumstances("abc123", "0.81.1", "3.12.1", 2, "a processor", date(2026, 11, 26))


@pytest.mark.parametrize(
    ("name", "verdict", "words"),
    [
        ("held", Verdict.HOLDS, ""),
        ("broken", Verdict.FAILS, ""),
        ("silent", Verdict.FAILS, ""),
        ("partly", Verdict.NOT_MEASURED, ""),
        ("missing", Verdict.NOT_MEASURED, "needs a crystal ball"),
        ("crashing", Verdict.FAILS, "RuntimeError: the device is on fire"),
        ("dying", Verdict.FAILS, "exit code -6"),
        ("hanging", Verdict.FAILS, "no answer within 0.5 s"),
    ],
)
def test_whatever_becomes_of_a_promise_is_a_verdict(
    name: str, verdict: Verdict, words: str
) -> None:
    result = take(BY_NAME[name])
    assert result.verdict is verdict
    assert words in result.broken + result.missing
    assert result.seconds < BY_NAME[name].time_limit_s + 15


@pytest.mark.parametrize(
    ("limit", "good", "bad", "text"),
    [
        (Limit("x", Kind.COUNTED, most=0, least=0), [0], [1, -1, math.nan], "0"),
        (Limit("x", Kind.MEASURED, "s", most=45), [45, -1], [45.1, math.inf], "at most 45 s"),
        (Limit("x", Kind.MEASURED, "GB", least=0.5), [0.5], [0.4], "at least 0.5 GB"),
        (Limit("x", Kind.COUNTED, most=2, least=1), [1, 2], [3], "at least 1, at most 2"),
    ],
)
def test_a_limit_says_what_holds(
    limit: Limit, good: list[float], bad: list[float], text: str
) -> None:
    assert all(limit.holds(figure) for figure in good)
    assert not any(limit.holds(figure) for figure in bad)
    assert limit.text == text


def test_a_limit_that_nothing_breaks_is_none() -> None:
    with pytest.raises(ValueError, match="promises nothing"):
        Limit("x", Kind.COUNTED)


def test_the_worst_speaks_for_all() -> None:
    assert worst(iter([Verdict.HOLDS, Verdict.HOLDS])) is Verdict.HOLDS
    assert worst(iter([Verdict.NOT_MEASURED, Verdict.HOLDS])) is Verdict.NOT_MEASURED
    assert worst(iter([Verdict.FAILS, Verdict.NOT_MEASURED])) is Verdict.FAILS


def test_the_page_says_limit_figure_kind_and_verdict() -> None:
    results = [
        Result(BY_NAME["held"], 1.0, {"count": 2, "time": 0.251239}),
        Result(BY_NAME["broken"], 1.0, {"count": 3000}),
        Result(BY_NAME["missing"], 1.0, missing="needs a crystal ball"),
        Result(BY_NAME["crashing"], 61.0, broken="exit code 1: on | fire"),
    ]
    page = markdown(results, HERE).splitlines()
    assert "| held | count | at most 2 | 2 | counted | holds |" in page
    assert (
        "| held | time | at least 0.1 s, at most 0.5 s | 0.2512 s | measured on this machine "
        "| holds |"
    ) in page
    assert "| broken | count | at most 2 | 3,000 | counted | **does not hold** |" in page
    assert "| missing | count | at most 2 | needs a crystal ball | counted | not measured |" in page
    assert "| crashing | count | at most 2 | no figure | counted | **does not hold** |" in page
    assert "Of 4 promises, 1 hold, 2 do not hold, 1 are not measured." in page
    assert "- `crashing`: It does not end well. Taken in 61 s." in page
    assert "  It broke: exit code 1: on | fire" in page
    (made,) = (line for line in page if line.startswith("Made with"))
    assert made == (
        "Made with: commit abc123; ttnn 0.81.1; boards n150 (mock); Python 3.12.1; 2 cores "
        "(a processor); 2026-11-26."
    )


@pytest.mark.parametrize(
    ("names", "code"), [(["held"], 0), (["held", "missing"], 0), (["broken", "held"], 1)]
)
def test_the_exit_code_tells_of_a_promise_that_does_not_hold(
    names: list[str], code: int, tmp_path: Path
) -> None:
    page = tmp_path / "promises.md"
    said: list[dict[str, object]] = []
    promises = [BY_NAME[name] for name in names]
    with opened_output(as_json=False) as output:
        assert (
            accept(output.console, promises, page, lambda plain: said.append(dict(plain))) == code
        )
    assert "| held | count |" in page.read_text()
    assert [item["name"] for item in json.loads(json.dumps(said[0]))["promises"]] == names


def test_promises_are_chosen_by_name() -> None:
    assert [promise.name for promise in chosen(PROMISES, ["missing", "held"])] == [
        "held",
        "missing",
    ]
    assert chosen(PROMISES, []) == list(PROMISES)
    with pytest.raises(typer.BadParameter, match="there is no promise 'bond'"):
        chosen(PROMISES, ["bond"])


@pytest.fixture(scope="module")
def found() -> list[Promise]:
    return find_promises()


def test_the_quick_ones_come_first_and_no_name_stands_twice(found: list[Promise]) -> None:
    limits_s = [promise.time_limit_s for promise in found]
    assert limits_s == sorted(limits_s)
    assert len({promise.name for promise in found}) == len(found) >= 11
    for promise in found:
        assert len({limit.what for limit in promise.limits}) == len(promise.limits)


def test_the_command_lists_what_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    main(["house"], listed=True)
    said = capsys.readouterr().out
    assert said.startswith("house: The import package has clear rooms")
    assert "  modules in a circle of imports: 0, counted" in said
    assert "bound: " not in said
