"""Layers that are asked together, as if one after the other."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from autosched.errors import SearchError
from autosched.probing.candidates import Asking, ask_together
from autosched.probing.probe_book import Ask, ProbeBook


class Echo:
    """A book that answers with what it is asked, and keeps its batches."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def ask_all(
        self,
        asks: Sequence[Ask],
        arrived: Callable[[int], object] = lambda _index: None,
    ) -> list[Any]:
        self.batches.append(list(asks))
        for index in range(len(asks)):
            arrived(index)
        return list(asks)

    @property
    def book(self) -> ProbeBook:
        return cast("ProbeBook", self)


def in_steps(name: str, *sizes: int, fails: bool = False) -> Asking[list[Any]]:
    """Asks so much in each step, and returns the answers of all."""
    found: list[Any] = []
    for step, size in enumerate(sizes):
        answers = yield cast("Any", [f"{name}{step}{part}" for part in range(size)])
        found += answers
    if fails:
        raise SearchError(name)
    return found


def test_each_gets_its_own_answers() -> None:
    echo = Echo()
    askings = [("a", in_steps("a", 2, 1)), ("b", in_steps("b", 1, 0, 2)), ("c", in_steps("c"))]
    found = dict(ask_together(echo.book, askings))
    assert found == {"a": ["a00", "a01", "a10"], "b": ["b00", "b20", "b21"], "c": []}


def test_the_steps_of_several_make_one_batch() -> None:
    echo = Echo()
    list(ask_together(echo.book, [(name, in_steps(name, 1, 1)) for name in "ab"]))
    assert [batch for batch in echo.batches if batch] == [["a00", "b00"], ["a10", "b10"]]


def test_a_few_at_a_time_so_that_they_end_one_by_one() -> None:
    echo = Echo()
    names = [f"{number}-" for number in range(20)]
    found = ask_together(echo.book, ((name, in_steps(name, 1, 1)) for name in names))
    assert next(found)[0] == "0-"
    asked = {ask.partition("-")[0] for batch in echo.batches for ask in batch}
    assert 1 < len(asked) < 10
    assert [key for key, _ in found] == names[1:]


def test_whoever_begins_or_gets_an_answer_is_told() -> None:
    told: list[str] = []
    askings = [("a", in_steps("a", 2)), ("b", in_steps("b"))]
    list(ask_together(Echo().book, askings, told.append))
    assert told == ["a", "b", "a", "a"]


def test_the_first_that_fails_is_named_however_long_it_takes() -> None:
    askings = [
        ("a", in_steps("a", 1, 1, 1)),
        ("late", in_steps("late", 1, 1, fails=True)),
        ("early", in_steps("early", fails=True)),
        *((str(number), in_steps("x", 1)) for number in range(9)),
    ]
    found = ask_together(Echo().book, askings)
    assert next(found)[0] == "a"
    with pytest.raises(SearchError, match="late"):
        list(found)
