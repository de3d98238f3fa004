"""The samplers by the names that ``--sampler`` takes."""

from collections.abc import Callable
from dataclasses import dataclass

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from autosched.errors import SearchError
from autosched.probing.joint_problem import JointProblem
from autosched.search.samplers.joint_sampler import JointSampler
from autosched.search.samplers.mutation import MutationSampler


@dataclass(frozen=True)
class SamplerKind:
    """One entry: its name, what it does in a line, and how it is made."""

    name: str
    title: str
    make: Callable[[JointProblem, int | None], BaseSampler]


SAMPLERS = {
    kind.name: kind
    for kind in (
        SamplerKind(
            "joint",
            "exact optimum of the probed tables, corrected by every trial",
            lambda joint, seed: JointSampler(joint, seed=seed),
        ),
        SamplerKind(
            "mutation",
            "(1+1) evolution that changes adjacent layers together",
            lambda joint, seed: MutationSampler(joint, seed=seed),
        ),
        SamplerKind(
            "tpe",
            "Optuna's tree-structured Parzen estimator, multivariate",
            lambda _joint, seed: TPESampler(seed=seed, multivariate=True),
        ),
        SamplerKind("nsga2", "Optuna's NSGA-II", lambda _joint, seed: NSGAIISampler(seed=seed)),
        SamplerKind(
            "random", "uniform over the tables", lambda _joint, seed: RandomSampler(seed=seed)
        ),
    )
}


def make_sampler(name: str, joint: JointProblem, seed: int | None) -> BaseSampler:
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
