"""Executes steps alone, one after the other, and keeps each verdict as it comes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from autosched.device.interface import LayerTest
from autosched.device.revisions import current_execution_revisions
from autosched.schedule.outcomes import (
    AGAINST,
    LayerExecution,
    Rejection,
    Verdict,
    judged,
    verdict_of,
)
from autosched.store.database import Store
from autosched.store.executions import (
    ExecutionKey,
    ExecutionRecord,
    ExecutionSite,
    find_executions,
    save_execution,
)
from autosched.verification.steps import ExecutionStep


class LayerExecutor(Protocol):
    """Executes a layer alone; whatever goes wrong is a rejection."""

    def execute_layer(self, test: LayerTest) -> LayerExecution | Rejection:
        """Execute a layer or reshard alone, and compare it with PyTorch."""


@dataclass(frozen=True)
class StepVerdict:
    """A step with what its execution came to, and whether that was known before."""

    step: ExecutionStep
    result: ExecutionRecord
    is_stored: bool

    @property
    def speaks_against(self) -> bool:
        """Whether a search leaves the configuration out."""
        return self.result.verdict in AGAINST


class Verifier:
    """Gives verdicts on steps, from the store where they are known there.

    What is stored is judged anew by ``min_concordance``, and a changed verdict is kept. With
    ``again`` whatever a stored verdict speaks against is executed once more.
    """

    def __init__(
        self,
        store: Store,
        site: ExecutionSite,
        executor: LayerExecutor,
        min_concordance: float,
        *,
        again: bool = False,
    ) -> None:
        self._store = store
        self._site = site
        self._executor = executor
        self._min_concordance = min_concordance
        known = find_executions(store, site, current_execution_revisions())
        self._known: Mapping[ExecutionKey, ExecutionRecord] = {
            key: result
            for key, result in known.items()
            if not (again and result.verdict in AGAINST)
        }

    def known(self, step: ExecutionStep) -> StepVerdict | None:
        """Return the verdict on a step if it is stored."""
        key = step.key(self._site)
        result = self._known.get(key)
        if result is None:
            return None
        return StepVerdict(step, self._judged_again(key, result), is_stored=True)

    def verdicts(
        self,
        steps: Iterable[ExecutionStep],
        begins: Callable[[ExecutionStep], object] = lambda _step: None,
    ) -> Iterator[StepVerdict]:
        """Yield the verdict on each step; ``begins`` is called before one is executed.

        Raises:
            DeviceError: if the worker cannot be started again after a crash.
            StoreError: if the database refuses.
        """
        for step in steps:
            known = self.known(step)
            if known is None:
                begins(step)
                known = StepVerdict(step, self._executed(step), is_stored=False)
            yield known

    def _judged_again(self, key: ExecutionKey, known: ExecutionRecord) -> ExecutionRecord:
        if known.concordance is None or known.verdict is Verdict.VARIES:
            return known
        verdict = judged(known.concordance, self._min_concordance)
        if verdict is known.verdict:
            return known
        found = replace(known, verdict=verdict)
        save_execution(self._store, key, found)
        return found

    def _executed(self, step: ExecutionStep) -> ExecutionRecord:
        answer = self._executor.execute_layer(LayerTest(step.request))
        result = result_of(answer, self._min_concordance)
        if result.verdict is not Verdict.LOST:
            save_execution(self._store, step.key(self._site), result)
        return result


def result_of(answer: LayerExecution | Rejection, min_concordance: float) -> ExecutionRecord:
    """Return what an execution alone came to."""
    verdict = verdict_of(answer, min_concordance)
    if isinstance(answer, Rejection):
        return ExecutionRecord(verdict, message=answer.message)
    found = answer.agreement
    message = "" if verdict is Verdict.RIGHT else f"concordance {found.concordance:.4f}"
    return ExecutionRecord(verdict, found.pcc, found.concordance, message)
