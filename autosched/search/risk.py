"""Which schedule is best among those that the model cannot tell apart: the one that risks least.

An estimate is wrong in two ways. Formulas miss by as much whatever is chosen; that changes no
choice. What the coefficients leave open of an op is large where nothing like it was timed, and the
optimum of the estimates seeks out ops of which too little time is thought. So once the fastest
schedule is known, the joint problem is solved again for time plus risk, and what takes at most a
share longer (``--risk``) runs as a trial of its own, which counts as best.

The risk of a candidate is what coefficients leave open of its ops' times, and a share of its time
for each rare switch: what public models of ttnn hardly ever set, so that its kernels are the least
used, and what was not executed right on a simulator yet.
"""

from dataclasses import replace

import numpy as np

from autosched.cost.model import CostModel
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import JointProblem
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import TimeKind
from autosched.search.run import Run
from autosched.search.samplers.proposals import Proposals
from autosched.search.trial import run_repaired
from autosched.solver.stages import Floats
from autosched.store.trials import CAUTIOUS_SAMPLER, TrialRecord

RARE = 0.02
"""Share of a candidate's time that each rare switch risks."""

_ATTEMPTS = 3


def risks_us(joint: JointProblem, cost: CostModel) -> list[Floats]:
    """Return the risk of every candidate, by layer, in microseconds."""
    return [
        np.array([_risk_us(choice, cost) for choice in joint.tables[layer.name]])
        for layer in joint.network
    ]


def _risk_us(choice: Choice, cost: CostModel) -> float:
    return cost.risk_ns(choice.ops) / 1e3 + RARE * rare_switches(choice) * choice.time_us


def rare_switches(choice: Choice) -> int:
    """Return how many things about a candidate are rare."""
    config = choice.config
    switches = [not choice.is_executed]
    if isinstance(config, Conv2dConfig):
        switches += [
            config.enable_activation_reuse,
            config.full_inner_dim,
            bool(config.force_split_reader),
            config.transpose_shards,
            config.act_block_w_div > 1,
        ]
    return sum(switches)


def settle(run: Run, joint: JointProblem, proposals: Proposals) -> bool:
    """Run what risks less than the fastest trial and is hardly slower; return whether it ran.

    Nothing runs where times are measured, where the study gives nothing for less risk, or where
    the fastest is the least risky one.

    Raises:
        SearchError: if the joint problem has no schedule any more.
        TimeUpError: if the budget ends.
    """
    share, fastest = run.settings.risk, run.fastest
    if not share or fastest is None or fastest.latency_us is None or run.measured is not None:
        return False
    if fastest.latency_kind is not TimeKind.ESTIMATED:
        return False
    limit_us = fastest.latency_us * (1.0 + share)
    risks = risks_us(joint, run.book.cost)
    for _ in range(_ATTEMPTS):
        run.budget.check()
        found = proposals.least_risky(risks, limit_us, run.provenance, run.budget)
        if found is None:
            return False
        selection, schedule = found
        record = run_repaired(run.device, run.book, joint, schedule, proposals.sampler, run.budget)
        risks_less = _is_within(record, limit_us) and (
            run.book.cost.risk_ns(record.ops) <= run.book.cost.risk_ns(fastest.ops)
        )
        own = replace(record, sampler=CAUTIOUS_SAMPLER) if risks_less else record
        proposals.tell(selection, schedule, run.finish(own))
        if record.rejection is None:
            return True
    return True


def _is_within(record: TrialRecord, limit_us: float) -> bool:
    return record.latency_us is not None and record.latency_us <= limit_us
