import time

import pytest

from autosched.errors import StudyError
from autosched.service.bounds import BoundKeeper, bound_of_study
from tests.examples.studied import Studied
from tests.service.conftest import awaited


def test_the_bound_is_the_search_s_own(studied: Studied) -> None:
    found = bound_of_study(studied.url, studied.record.name)
    assert found["bound"]["bound_us"] == pytest.approx(studied.bound_us)
    assert found["bound"]["bound_kind"] == "estimated"
    assert found["unprobed"] == ""
    assert found["probes"] > 0


def test_a_study_that_is_not_there_has_none(studied: Studied) -> None:
    with pytest.raises(StudyError):
        bound_of_study(studied.url, "nobody")


def test_it_is_proven_once_for_what_is_known_and_again_for_more(studied: Studied) -> None:
    told: list[str] = []
    keeper = BoundKeeper(studied.url, told.append)
    name = studied.record.name
    keeper.start()
    try:
        assert keeper.ask(name, (1, 1)) is None
        first = awaited(lambda: keeper.ask(name, (1, 1)))
        assert first.bound["bound_us"] == pytest.approx(studied.bound_us)
        # What is newer is proven after a rest; until then the bound of before is what is known.
        assert keeper.ask(name, (2, 2)) is first
        keeper.ask("nobody", (1, 1))
        awaited(lambda: told)
        assert "nobody" in told[0]
    finally:
        keeper.stop()


def test_it_ends_at_once_with_what_it_proves(studied: Studied) -> None:
    keeper = BoundKeeper(studied.url)
    keeper.start()
    keeper.ask(studied.record.name, (1, 1))
    time.sleep(0.3)
    began = time.monotonic()
    keeper.stop()
    assert time.monotonic() - began < 5.0
    keeper.stop()
