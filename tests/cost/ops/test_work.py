import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosched.cost.ops.work import Work, WorkStage, cycles_of, terms_of

COEFFICIENTS = {"launch": 100.0, "a": 2.0, "b": 3.0, "half": 0.5, "most": 0.9}


def _work(a: float, b: float, overlaps: tuple[str, ...] = ()) -> Work:
    return Work(
        "test", {"launch": 1.0}, (WorkStage("one", {"a": a}), WorkStage("two", {"b": b}, overlaps))
    )


def test_stages_that_overlap_entirely_take_the_longest() -> None:
    assert cycles_of(_work(50, 10), COEFFICIENTS) == 100 + 100
    assert cycles_of(_work(10, 50), COEFFICIENTS) == 100 + 150


def test_half_an_overlap_exposes_half_of_the_stage() -> None:
    assert cycles_of(_work(50, 20, ("half",)), COEFFICIENTS) == 100 + 100 + 30


def test_overlaps_multiply_what_they_leave_exposed() -> None:
    both = _work(50, 20, ("half", "most"))
    assert cycles_of(both, COEFFICIENTS) == pytest.approx(100 + 100 + 0.05 * 60)


@given(
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.sampled_from([(), ("half",), ("most",), ("half", "most")]),
)
def test_time_rises_with_work_and_never_with_overlap(
    a: float, b: float, more: float, overlaps: tuple[str, ...]
) -> None:
    work = _work(a, b, overlaps)
    time = cycles_of(work, COEFFICIENTS)
    assert cycles_of(_work(a, b + more, overlaps), COEFFICIENTS) >= time - 1e-9 * time
    assert cycles_of(_work(a, b, (*overlaps, "half")), COEFFICIENTS) <= time * (1 + 1e-9) or (
        not overlaps
    )


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_terms_sum_up_to_the_time(a: float, b: float) -> None:
    work = _work(a, b, ("half",))
    assert sum(terms_of(work, COEFFICIENTS).values()) == pytest.approx(
        cycles_of(work, COEFFICIENTS)
    )


def test_a_stage_adds_what_it_takes_turns_with() -> None:
    stages = (
        WorkStage("one", {"a": 50.0}),
        WorkStage("two", {"b": 20.0}, follows={"one": 0.5}),
    )
    work = Work("test", {"launch": 1.0}, stages)
    assert cycles_of(work, COEFFICIENTS) == 100 + 60 + 50
    assert terms_of(work, COEFFICIENTS) == {"launch": 100, "a": 50, "b": 60}


def test_who_waits_for_a_shorter_stage_is_hidden_with_it() -> None:
    stages = (
        WorkStage("one", {"a": 100.0}),
        WorkStage("two", {"b": 20.0}, follows={"one": 0.5}),
    )
    work = Work("test", {"launch": 1.0}, stages)
    assert cycles_of(work, COEFFICIENTS) == 100 + 200
    assert terms_of(work, COEFFICIENTS) == {"launch": 100, "a": 200}
