"""What of a schedule, or of a search's candidates, is to be executed: each distinct thing once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autosched.device.interface import ProbeRequest, Request, ReshardRequest
from autosched.device.revisions import execution_revision_of, reshard_execution_revision
from autosched.network.graph import Layer, Network
from autosched.network.operators import Constant, HostOp, LayerOp
from autosched.probing.executed_steps import executed_steps, layer_config, layer_request
from autosched.probing.joint_problem import JointProblem
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import ProbeOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TensorLayout
from autosched.store.executions import ExecutedConfig, ExecutionKey, ExecutionSite
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
