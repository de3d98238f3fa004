from collections.abc import Callable, Sequence

import pytest

from autosched.device.interface import LayerTest
from autosched.schedule.outcomes import (
    Agreement,
    LayerExecution,
    Rejection,
    RejectionKind,
    RunOutcome,
    Verdict,
)
from autosched.store.database import Store
from autosched.store.executions import SIMULATED, ExecutionSite
from autosched.verification.verifier import ExecutionStep, StepVerdict, Verifier, schedule_steps
from tests.examples.studied import Studied

SITE = ExecutionSite("wormhole_b0", "0.81.1", SIMULATED, "0123")
Answer = LayerExecution | Rejection
CRASH = Rejection(RejectionKind.CRASH, "the worker process died of SIGABRT")


class Executor:
    """Says what it is told of each layer in turn, and counts."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[LayerTest] = []
        self._answers = list(answers)

    def execute_layer(self, test: LayerTest) -> Answer:
        self.asked.append(test)
        return self._answers.pop(0)


def agreeing(concordance: float) -> LayerExecution:
    return LayerExecution(Agreement(0.9999, concordance, 0.01, 1.0), varies=False)


@pytest.fixture
def steps(studied: Studied) -> list[ExecutionStep]:
    schedule = studied.best.schedule
    assert schedule is not None
    outcome = studied.records.runs[schedule.fingerprint()]
    assert isinstance(outcome, RunOutcome)
    return schedule_steps(studied.network, schedule, outcome.output_layouts)[:3]


Verify = Callable[..., list[StepVerdict]]


@pytest.fixture
def verify(store: Store, steps: list[ExecutionStep]) -> Verify:
    def verified(
        executor: Executor, limit: float = 0.99, chosen: Sequence[ExecutionStep] = steps
    ) -> list[StepVerdict]:
        return list(Verifier(store, SITE, executor, limit).verdicts(chosen))

    return verified


def told(found: list[StepVerdict]) -> list[tuple[Verdict, bool]]:
    return [(item.result.verdict, item.is_stored) for item in found]


def test_a_crash_is_one_verdict_and_the_rest_goes_on(verify: Verify) -> None:
    executor = Executor(agreeing(0.999), CRASH, agreeing(0.5))
    found = verify(executor)
    assert told(found) == [
        (Verdict.RIGHT, False),
        (Verdict.ABORT, False),
        (Verdict.WRONG, False),
    ]
    assert [item.speaks_against for item in found] == [False, True, True]
    assert found[1].result.message == CRASH.message
    assert (found[2].result.pcc, found[2].result.concordance) == (0.9999, 0.5)


def test_what_is_stored_is_not_executed_again(verify: Verify) -> None:
    first = verify(Executor(agreeing(0.999), CRASH, agreeing(0.5)))
    again = verify(silent := Executor())
    assert silent.asked == []
    assert [item.result for item in again] == [item.result for item in first]
    assert all(item.is_stored for item in again)


def test_another_limit_judges_what_is_stored_anew(verify: Verify) -> None:
    verify(Executor(agreeing(0.995), CRASH, agreeing(0.5)))
    strict = verify(Executor(), 0.999)
    assert [verdict for verdict, _ in told(strict)] == [
        Verdict.WRONG,
        Verdict.ABORT,
        Verdict.WRONG,
    ]


def test_each_verdict_is_stored_as_it_comes(
    store: Store, steps: list[ExecutionStep], verify: Verify
) -> None:
    verdicts = Verifier(store, SITE, Executor(agreeing(0.999)), 0.99).verdicts(steps)
    next(verdicts)
    rest = Executor(agreeing(0.999), agreeing(0.999))
    assert [stored for _, stored in told(verify(rest))] == [True, False, False]


def test_a_process_that_the_system_killed_says_nothing(
    steps: list[ExecutionStep], verify: Verify
) -> None:
    killed = Rejection(RejectionKind.CRASH, "the worker process died of SIGKILL")
    assert told(verify(Executor(killed), chosen=steps[:1])) == [(Verdict.LOST, False)]
    again = verify(Executor(agreeing(0.999)), chosen=steps[:1])
    assert told(again) == [(Verdict.RIGHT, False)]
