"""Optuna's own samplers: a joint choice as Optuna's parameters, and back.

One categorical parameter per layer with more than one candidate: the candidate's index, fastest
first. One per tensor and place where it may be spilled: "stay" or "dram".
"""

import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from autosched.budget import UNLIMITED, Budget
from autosched.probing.joint_problem import JointProblem, Selection, spill_edges
from autosched.store.optuna_mirror import quiet_optuna
from autosched.store.trials import TrialRecord

_SPILL = "spill "
_STAY, _DRAM = "stay", "dram"


class OptunaProposer:
    """Lets one of Optuna's samplers propose; its study is in memory.

    Optuna's own database storage takes 0.3 to 1 s a trial at hundreds of parameters.
    """

    def __init__(self, joint: JointProblem, sampler: BaseSampler) -> None:
        self._joint = joint
        self._space = search_space(joint)
        with quiet_optuna():
            self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._asked: tuple[Selection, optuna.Trial] | None = None
        self._tried: set[frozenset[tuple[str, Any]]] = set()

    def propose(self, budget: Budget = UNLIMITED) -> Selection | None:
        """Return what the sampler asks for, possibly once more; None once it has had all."""
        sizes = [len(joint_choices) for joint_choices in map(_choices, self._space.values())]
        if budget.is_up or len(self._tried) >= math.prod(sizes):
            return None
        asked = self._study.ask(self._space)
        selection = from_parameters(self._joint, asked.params)
        self._asked = selection, asked
        return selection

    def tell(self, selection: Selection, record: TrialRecord) -> None:
        """Finish the trial that was asked for last, or add one that ran before."""
        params = to_parameters(self._joint, selection)
        self._tried.add(frozenset(params.items()))
        ran = record.rejection is None
        state = TrialState.COMPLETE if ran else TrialState.PRUNED
        value = record.latency_us if ran else None
        if self._asked is not None and self._asked[0] is selection:
            self._study.tell(self._asked[1], value, state=state)
            return
        self._study.add_trial(
            create_trial(state=state, value=value, params=params, distributions=self._space)
        )


def tpe(joint: JointProblem, seed: int | None) -> OptunaProposer:
    """Return Optuna's tree-structured Parzen estimator."""
    return OptunaProposer(joint, TPESampler(seed=seed, multivariate=True))


def nsga2(joint: JointProblem, seed: int | None) -> OptunaProposer:
    """Return Optuna's NSGA-II."""
    return OptunaProposer(joint, NSGAIISampler(seed=seed))


def uniform(joint: JointProblem, seed: int | None) -> OptunaProposer:
    """Return draws that are uniform over the tables."""
    return OptunaProposer(joint, RandomSampler(seed=seed))


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


def _choices(domain: BaseDistribution) -> tuple[Any, ...]:
    assert isinstance(domain, CategoricalDistribution)  # noqa: S101 - all of ours are
    return domain.choices
