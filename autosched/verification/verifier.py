"""Executes the steps of a schedule, or of candidates, alone, and keeps each verdict as it comes.

A step is what is to be executed of them: each distinct layer and change of layout once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from autosched.device.interface import LayerTest, ProbeRequest, Request, ReshardRequest
from autosched.device.revisions import (
    current_execution_revisions,
    execution_revision_of,
    reshard_execution_revision,
)
from autosched.network.graph import Layer, Network
from autosched.network.operators import Constant, HostOp, LayerOp
from autosched.probing.execution_judge import executed_steps, layer_config, layer_request
from autosched.probing.joint_problem import JointProblem
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import (
    AGAINST,
    LayerExecution,
    ProbeOutcome,
    Rejection,
    Verdict,
    judged,
    verdict_of,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TensorLayout
from autosched.store.database import Store
from autosched.store.executions import (
    ExecutedConfig,
    ExecutionKey,
    ExecutionRecord,
    ExecutionSite,
    find_executions,
    save_execution,
)
from autosched.store.probes import StoredProbe


@dataclass(frozen=True)
class ExecutionStep:
    """A layer or change of layout to be executed alone.

    ``places`` are the layers that have it, or the edges (see ``str(Edge)`` and ``move_label``).
    """

    request: Request
    config: ExecutedConfig
    places: tuple[str, ...]

    def key(self, site: ExecutionSite) -> ExecutionKey:
        """Return what identifies its execution at a site."""
        request = self.request
        revision = (
            execution_revision_of(type(request.op))
            if isinstance(request, ProbeRequest)
            else reshard_execution_revision()
        )
        return ExecutionKey(*self.config, revision, site)


def schedule_steps(
    network: Network, schedule: Schedule, left: Mapping[str, TensorLayout]
) -> list[ExecutionStep]:
    """Return the distinct steps of a schedule whose layers leave their outputs in ``left``.

    In execution order, the changes of layout last. What the host computes is left out, and so are
    constants, which compute nothing.
    """
    return distinct_steps(
        ExecutionStep(step.request, step.config, (step.place,))
        for step in executed_steps(network, schedule, left)
        if isinstance(step.request, ReshardRequest) or _is_executed(step.request.op)
    )


def candidate_steps(joint: JointProblem, count: int) -> list[ExecutionStep]:
    """Return the ``count`` fastest candidates of each layer's table, each distinct one once."""
    return distinct_steps(
        layer_step(joint.network, layer, choice.config, choice.input_layouts)
        for layer in joint.network
        if _is_executed(layer.op)
        for choice in joint.tables[layer.name][:count]
    )


def distinct_steps(steps: Iterable[ExecutionStep]) -> list[ExecutionStep]:
    """Return the steps, each once with all its places, in the order of their first places."""
    found: dict[ExecutedConfig, ExecutionStep] = {}
    for step in steps:
        known = found.setdefault(step.config, step)
        places = dict.fromkeys((*known.places, *step.places))
        found[step.config] = replace(known, places=tuple(places))
    return list(found.values())


def stored_steps(
    network: Network, layer: Layer, probes: Iterable[StoredProbe]
) -> list[ExecutionStep]:
    """Return the distinct steps that stored probes of a layer are, of those that ran."""
    return distinct_steps(
        layer_step(network, layer, probe.config, probe.outcome.input_layouts)
        for probe in probes
        if isinstance(probe.outcome, ProbeOutcome)
    )


def _is_executed(op: LayerOp) -> bool:
    return not isinstance(op, Constant | HostOp)


def layer_step(
    network: Network, layer: Layer, config: LayerConfig, layouts: tuple[TensorLayout, ...]
) -> ExecutionStep:
    """Return a layer in a configuration as a step; ``layouts`` are those in which it reads."""
    request = layer_request(network, layer, config, layouts)
    found = layer_config(network, layer, config, request.input_layouts or ())
    return ExecutionStep(request, found, (layer.name,))


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
