"""A joint choice as Optuna's parameters, and back.

One categorical parameter per layer with more than one candidate: the candidate's index, fastest
first. One per tensor and place where it may be spilled: "stay" or "dram".
"""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.tensors import Edge
from autosched.store.trials import TrialRecord

_SPILL = "spill "
_STAY, _DRAM = "stay", "dram"


def search_space(joint: JointProblem) -> dict[str, BaseDistribution]:
    """Return the distributions of all parameters in execution order."""
    space: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(tuple(range(len(choices))))
        for name, choices in joint.tables.items()
        if len(choices) > 1
    }
    for edge in spill_edges(joint):
        space[f"{_SPILL}{edge}"] = CategoricalDistribution((_STAY, _DRAM))
    return space


def spill_edges(joint: JointProblem) -> list[Edge]:
    """Return where a tensor that still has a reader may be moved to DRAM."""
    position = {layer.name: index for index, layer in enumerate(joint.network)}
    readers: dict[str, list[str]] = {}
    for edge in joint.network.edges:
        readers.setdefault(edge.producer, []).append(edge.consumer)
    places = []
    for name in joint.spills:
        last = max(readers.get(name, [name]), key=position.__getitem__)
        steps = dict.fromkeys([name, *readers.get(name, [])])
        places += [Edge(name, step) for step in steps if step != last]
    return places


def to_parameters(joint: JointProblem, selection: Selection) -> dict[str, Any]:
    """Return the parameters of a joint choice."""
    values: dict[str, Any] = {
        name: selection.candidates[name]
        for name, choices in joint.tables.items()
        if len(choices) > 1
    }
    for edge in spill_edges(joint):
        values[f"{_SPILL}{edge}"] = _DRAM if edge in selection.spills else _STAY
    return values


def from_parameters(joint: JointProblem, values: Mapping[str, Any]) -> Selection:
    """Return the joint choice of parameters; layers without one have a single candidate."""
    return Selection(
        {name: values.get(name, 0) for name in joint.tables},
        frozenset(edge for edge in spill_edges(joint) if values.get(f"{_SPILL}{edge}") == _DRAM),
    )


def tell(study: optuna.Study, asked: optuna.Trial, record: TrialRecord) -> None:
    """Finish an asked trial with what the device said: op times by layer, or the rejection."""
    if record.rejection is not None:
        asked.set_user_attr(REJECTION, [record.rejection.kind.value, record.rejection.layer])
        study.tell(asked, state=TrialState.PRUNED)
    else:
        asked.set_user_attr(LAYER_TIMES, times_by_layer(record.ops))
        study.tell(asked, record.latency_us)


LAYER_TIMES = "layer_us"
"""User attribute of a finished trial: microseconds by layer name or edge."""
REJECTION = "rejection"
"""User attribute of a rejected trial: [kind, layer or edge]."""


def times_by_layer(ops: tuple[DeviceOp, ...]) -> Mapping[str, float]:
    """Return microseconds by layer or edge name, in the order they ran; of timed ops only."""
    times_us: dict[str, float] = {}
    for op in ops:
        if op.time_ns is not None:
            times_us[op.layer] = times_us.get(op.layer, 0.0) + op.time_ns / 1e3
    return times_us
