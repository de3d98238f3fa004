import pytest

from autosched.schedule.outcomes import (
    AGAINST,
    Agreement,
    LayerExecution,
    Rejection,
    RejectionKind,
    Verdict,
    verdict_of,
)

CRASH, INVALID = RejectionKind.CRASH, RejectionKind.INVALID


@pytest.mark.parametrize(
    ("concordance", "varies", "verdict"),
    [
        (0.995, False, Verdict.RIGHT),
        (0.985, False, Verdict.WRONG),
        (-1.0, False, Verdict.WRONG),
        (1.0, True, Verdict.VARIES),
    ],
)
def test_what_was_computed_is_judged(concordance: float, varies: bool, verdict: Verdict) -> None:
    answer = LayerExecution(Agreement(1.0, concordance, 0.0, 1.0), varies)
    assert verdict_of(answer, 0.99) is verdict


@pytest.mark.parametrize(
    ("kind", "message", "verdict"),
    [
        (RejectionKind.HANG, "no answer within 900 s", Verdict.HANG),
        (CRASH, "the worker process died of SIGABRT", Verdict.ABORT),
        (
            CRASH,
            "the worker process ended with exit code 1: UndefinedBehavior: noc_cmd_ctrl",
            Verdict.ABORT,
        ),
        (
            CRASH,
            "the worker process ended with exit code 1: UnimplementedFunctionality: sfpu op",
            Verdict.NOT_SIMULATED,
        ),
        (INVALID, "brisc build failed. Log: ...", Verdict.DOES_NOT_COMPILE),
        (CRASH, "KeyError: Failed to generate binaries for x", Verdict.DOES_NOT_COMPILE),
        (CRASH, "AssertionError: a defect of ours", Verdict.REJECTED),
        (RejectionKind.L1_OVERFLOW, "Out of Memory", Verdict.REJECTED),
    ],
)
def test_what_did_not_run_is_told_apart(
    kind: RejectionKind, message: str, verdict: Verdict
) -> None:
    assert verdict_of(Rejection(kind, message), 0.99) is verdict


def test_what_says_nothing_about_a_card_speaks_against_nothing() -> None:
    assert {Verdict.DOES_NOT_COMPILE, Verdict.NOT_SIMULATED, Verdict.REJECTED}.isdisjoint(AGAINST)
