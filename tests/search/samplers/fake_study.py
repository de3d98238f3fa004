"""Optuna's own loop over a real joint space, with the solver's arithmetic in place of a device."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import RejectionKind
from autosched.schedule.tensors import TensorLayout
from autosched.search.samplers.optuna_trials import (
    LAYER_TIMES,
    REJECTION,
    from_parameters,
    search_space,
)
from autosched.solver.evaluate import Assignment, evaluate

Judge = Callable[[Selection], dict[str, float] | list[str] | None]


@dataclass
class Proposed:
    """What a sampler proposed, and what it took; infinity where it did not run."""

    parameters: list[dict[str, Any]] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    costs_us: list[float] = field(default_factory=list)


def assess(joint: JointProblem, selection: Selection) -> Assignment:
    """Apply the problem's rules to a choice; a tensor is spilled where it is in L1 first."""
    names = [layer.name for layer in joint.network]
    moves = {}
    for edge in selection.spills:
        left = joint.tables[edge.producer][selection.candidates[edge.producer]].output_layout
        dram = joint.layouts.index(TensorLayout(dtype=left.dtype, page=left.page))
        moves[names.index(edge.consumer), names.index(edge.producer)] = dram
    return evaluate(joint.problem, [selection.candidates[name] for name in names], moves)


def propose(
    joint: JointProblem, sampler: BaseSampler, trials: int, judge: Judge = lambda _: None
) -> Proposed:
    """Ask and tell ``trials`` times.

    ``judge`` may return times by layer to be told beside the cost, or [rejection kind, layer].
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    space = search_space(joint)
    proposed = Proposed()
    for _ in range(trials):
        asked = study.ask(space)
        selection = from_parameters(joint, asked.params)
        assessed = assess(joint, selection)
        runs = assessed.cost_us < float("inf") and assessed.fits(joint.problem.capacity_bytes)
        said = judge(selection)
        proposed.parameters.append(dict(asked.params))
        proposed.selections.append(selection)
        if isinstance(said, list) or not runs:
            asked.set_user_attr(REJECTION, said or [RejectionKind.INVALID.value, ""])
            study.tell(asked, state=TrialState.PRUNED)
            proposed.costs_us.append(float("inf"))
        else:
            asked.set_user_attr(LAYER_TIMES, said or {})
            study.tell(asked, assessed.cost_us)
            proposed.costs_us.append(assessed.cost_us)
    return proposed
