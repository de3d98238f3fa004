"""The samplers by the names that ``--sampler`` takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autosched.budget import UNLIMITED, Budget
from autosched.errors import SearchError
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.search.samplers.joint_sampler import JointSampler
from autosched.search.samplers.mutation import MutationSampler
from autosched.store.trials import TrialRecord


class Proposer(Protocol):
    """Says which schedule of one joint problem is worth the next trial."""

    def propose(self, budget: Budget = UNLIMITED) -> Selection | None:
        """Return a joint choice, None if there is none left or the budget ends.

        It may be one that was told before; then it is told again, and the next one asked for.
        """

    def tell(self, selection: Selection, record: TrialRecord) -> None:
        """Learn what became of a joint choice, also of one that somebody else proposed."""


@dataclass(frozen=True)
class SamplerKind:
    """One entry: its name, what it does in a line, and how it is made."""

    name: str
    title: str
    make: Callable[[JointProblem, int | None], Proposer]


def _tpe(joint: JointProblem, seed: int | None) -> Proposer:
    from autosched.search.samplers.optuna_trials import tpe  # noqa: PLC0415 - loads optuna

    return tpe(joint, seed)


def _nsga2(joint: JointProblem, seed: int | None) -> Proposer:
    from autosched.search.samplers.optuna_trials import nsga2  # noqa: PLC0415 - as above

    return nsga2(joint, seed)


def _random(joint: JointProblem, seed: int | None) -> Proposer:
    from autosched.search.samplers.optuna_trials import uniform  # noqa: PLC0415 - as above

    return uniform(joint, seed)


SAMPLERS = {
    kind.name: kind
    for kind in (
        SamplerKind(
            "joint", "exact optimum of the probed tables, corrected by every trial", JointSampler
        ),
        SamplerKind(
            "mutation", "(1+1) evolution that changes adjacent layers together", MutationSampler
        ),
        SamplerKind("tpe", "Optuna's tree-structured Parzen estimator, multivariate", _tpe),
        SamplerKind("nsga2", "Optuna's NSGA-II", _nsga2),
        SamplerKind("random", "uniform over the tables", _random),
    )
}


def make_sampler(name: str, joint: JointProblem, seed: int | None) -> Proposer:
    """Return the sampler called ``name``.

    Raises:
        SearchError: if there is none; the message lists those there are.
    """
    check_sampler(name)
    return SAMPLERS[name].make(joint, seed)


def check_sampler(name: str) -> None:
    """Raise SearchError if there is no sampler called ``name``."""
    if name not in SAMPLERS:
        raise SearchError(f"unknown sampler {name!r}; it is one of {', '.join(SAMPLERS)}")
