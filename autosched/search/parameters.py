"""A joint choice as Optuna's parameters, and back.

One categorical parameter per layer with more than one candidate: the candidate's index, fastest
first. One per tensor and place where it may be spilled: "stay" or "dram".
"""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from autosched.schedule import Edge
from autosched.search.joint import JointProblem, Selection

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
