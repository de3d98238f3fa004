"""Which schedule is best among those that the model cannot tell apart: the one that risks least.

An estimate is wrong in two ways. Formulas miss by as much whatever is chosen; that changes no
choice. What the coefficients leave open of an op is large where nothing like it was timed, and the
optimum of the estimates seeks out ops of which too little time is thought. So once the fastest
schedule is known, the joint problem is solved again for time plus risk, and what takes at most a
share longer (``--risk``) runs as a trial of its own. It counts as best unless the fastest is faster
by more than the model's error.

The risk of a candidate is what coefficients leave open of its ops' times, and a share of its time
for each rare switch (what public models of ttnn hardly ever set, as in
:func:`autosched.space.convolutions.rare_switches`), and where nothing of its kind was executed
right yet. That of a reshard is a share of its time.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autosched.cost.model import CostModel
from autosched.cost.uncertainty import is_within_error
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import TimeKind
from autosched.search.run import Run
from autosched.search.samplers.proposals import Proposals
from autosched.search.trial import run_repaired
from autosched.store.trials import CAUTIOUS_SAMPLER, TrialRecord

RARE_SHARE = 0.02
"""Share of a candidate's time that each rare switch risks."""

Risks = NDArray[np.float64]
"""Microseconds by candidate of a layer."""

_ALIKE = 1e-6  # risks closer than this share are alike
_ATTEMPTS = 3


def risks_us(joint: JointProblem, cost: CostModel) -> list[Risks]:
    """Return the risk of every candidate, by layer, in microseconds."""
    return [
        np.array([_risk_us(choice, cost) for choice in joint.tables[layer.name]])
        for layer in joint.network
    ]


def _risk_us(choice: Choice, cost: CostModel) -> float:
    return cost.risk_ns(choice.ops) / 1e3 + RARE_SHARE * rarities(choice) * choice.time_us


def rarities(choice: Choice) -> int:
    """Return how many things about a candidate are rare."""
    config = choice.config
    switches = [not choice.is_executed]
    if isinstance(config, Conv2dConfig):
        switches += [
            config.enable_activation_reuse,
            config.full_inner_dim,
            config.force_split_reader is not None,
            config.config_tensors_in_dram,
            not config.compute.packer_l1_acc,
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
    chosen = None if fastest.schedule is None else joint.find(fastest.schedule)
    least_us = _risked_us(joint, chosen, risks, run, fastest)
    for _ in range(_ATTEMPTS):
        run.budget.check()
        found = proposals.least_risky(risks, limit_us, run.provenance, run.budget)
        if found is None:
            return False
        selection, schedule = found
        if chosen is not None:
            before_us, now_us = (_chosen_us(joint, it, risks) for it in (chosen, selection))
            if now_us >= before_us * (1.0 - _ALIKE):
                return False
        record = run_repaired(run.device, run.book, joint, schedule, proposals.sampler, run.budget)
        risked_us = _risked_us(joint, joint.find(record.schedule or schedule), risks, run, record)
        slower = run.book.cost.probability_faster(fastest.ops, record.ops)
        is_near = _is_within(record, limit_us) and (slower < 0.5 or is_within_error(slower))
        risks_less = is_near and risked_us < least_us
        own = replace(record, sampler=CAUTIOUS_SAMPLER) if risks_less else record
        proposals.tell(selection, schedule, run.finish(own))
        if record.rejection is None:
            return True
    return True


def _risked_us(
    joint: JointProblem,
    selection: Selection | None,
    risks: Sequence[Risks],
    run: Run,
    record: TrialRecord,
) -> float:
    """Return what a schedule that ran risks: its candidates by their tables, and its reshards."""
    cost = run.book.cost
    if selection is None:
        return cost.risk_ns(record.ops) / 1e3
    own_us = _chosen_us(joint, selection, risks)
    beside = [op for op in record.ops if op.layer not in joint.tables]
    return own_us + cost.risk_ns(beside) / 1e3


def _chosen_us(joint: JointProblem, selection: Selection, risks: Sequence[Risks]) -> float:
    chosen = zip(joint.network, risks, strict=True)
    return sum(float(own[selection.candidates[layer.name]]) for layer, own in chosen)


def _is_within(record: TrialRecord, limit_us: float) -> bool:
    return record.latency_us is not None and record.latency_us <= limit_us
