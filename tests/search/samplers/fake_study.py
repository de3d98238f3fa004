"""A search over a real joint space, with the solver's arithmetic in place of a device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import DeviceOp, Rejection, RejectionKind, TimeKind
from autosched.schedule.tensors import TensorLayout
from autosched.search.samplers.optuna_trials import to_parameters
from autosched.search.samplers.proposals import Proposer
from autosched.solver.evaluate import Assignment, evaluate
from autosched.store.trials import TrialRecord

Judge = Callable[[Selection], Mapping[str, float] | Rejection | None]
NOWHERE = Rejection(RejectionKind.INVALID, "", "")


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


def record_of(cost_us: float, said: Mapping[str, float] | Rejection | None) -> TrialRecord:
    """A trial that took so long, with times by layer, or was rejected."""
    now = datetime.now(timezone.utc)
    if isinstance(said, Rejection):
        return TrialRecord(None, "sampler", now, 0.1, rejection=said)
    ops = tuple(
        DeviceOp("Op", "", (), (), layer=layer, time_ns=1e3 * time_us)
        for layer, time_us in (said or {}).items()
    )
    return TrialRecord(None, "sampler", now, 0.1, cost_us, TimeKind.ESTIMATED, ops=ops)


def propose(
    joint: JointProblem, sampler: Proposer, trials: int, judge: Judge = lambda _: None
) -> Proposed:
    """Ask and tell up to ``trials`` times.

    ``judge`` may return times by layer to be told beside the cost, or a rejection.
    """
    proposed = Proposed()
    for _ in range(trials):
        selection = sampler.propose()
        if selection is None:
            break
        assessed = assess(joint, selection)
        runs = assessed.cost_us < float("inf") and assessed.fits(joint.problem.capacity_bytes)
        said = judge(selection)
        said = said if runs or isinstance(said, Rejection) else NOWHERE
        sampler.tell(selection, record_of(assessed.cost_us, said))
        proposed.parameters.append(to_parameters(joint, selection))
        proposed.selections.append(selection)
        proposed.costs_us.append(float("inf") if isinstance(said, Rejection) else assessed.cost_us)
    return proposed
