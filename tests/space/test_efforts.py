from dataclasses import astuple
from itertools import pairwise

import pytest

from autosched.errors import SearchError
from autosched.space.efforts import EFFORTS, find_effort


def test_each_effort_looks_at_no_less_than_the_one_before() -> None:
    assert list(EFFORTS) == ["quick", "default", "full"]
    sizes = [astuple(effort)[1:] for effort in EFFORTS.values()]
    for smaller, larger in pairwise(sizes):
        assert all(low <= high for low, high in zip(smaller, larger, strict=True))
    assert find_effort("full") is EFFORTS["full"]


def test_an_unknown_effort_is_refused_with_those_there_are() -> None:
    with pytest.raises(SearchError, match="'max'; it is one of quick, default, full"):
        find_effort("max")
