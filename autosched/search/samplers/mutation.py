"""Local search: change the best schedule so far in a few neighbouring layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from autosched.network.graph import failing_layer
from autosched.probing.joint_problem import JointProblem
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.search.samplers.optuna_trials import REJECTION, search_space

_MAX_RUN = 4


class MutationSampler(BaseSampler):
    """A (1+1) evolution whose moves change a run of one to four adjacent layers.

    Layers that disagree pay a reshard, so changing neighbours together gets out of minima in
    which each single change is worse. It starts with the fastest candidate of each layer; until the
    device accepts a schedule, it changes the last one where it was rejected.
    """

    def __init__(self, joint: JointProblem, seed: int | None = None) -> None:
        self._network = joint.network
        self._space = search_space(joint)
        self._random = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 - Optuna's interface
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
    ) -> dict[str, BaseDistribution]:
        """Return the whole space."""
        return self._space

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Return the best schedule so far with a few adjacent layers changed."""
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        ours = [item for item in ended if item.params.keys() == search_space.keys()]
        if not ours:
            return {name: _first(domain) for name, domain in search_space.items()}
        finished = [item for item in ours if item.state is TrialState.COMPLETE]
        if finished:
            parent, place = min(finished, key=lambda item: item.value or float("inf")), None
        else:
            parent = ours[-1]
            place = self._rejected_at(parent)
        child = parent.params
        while search_space and child == parent.params:
            child = self._mutated(parent.params, search_space, place)
        return child

    def _rejected_at(self, trial: FrozenTrial) -> str | None:
        if REJECTION not in trial.user_attrs:
            return None
        kind, place = trial.user_attrs[REJECTION]
        return failing_layer(self._network, Rejection(RejectionKind(kind), "", place))

    def _mutated(
        self, values: Mapping[str, Any], space: Mapping[str, BaseDistribution], place: str | None
    ) -> dict[str, Any]:
        """Change a run of layers anywhere, or one that ``place`` belongs to."""
        names = list(space)
        length = int(self._random.integers(1, _MAX_RUN + 1))
        if place in names:
            start = max(0, names.index(place) - int(self._random.integers(length)))
        else:
            start = int(self._random.integers(len(names)))
        mutated = dict(values)
        for name in names[start : start + length]:
            domain = space[name]
            assert isinstance(domain, CategoricalDistribution)  # noqa: S101 - all of ours are
            mutated[name] = domain.choices[int(self._random.integers(len(domain.choices)))]
        return mutated

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample a parameter outside the joint space at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


def _first(domain: BaseDistribution) -> Any:
    assert isinstance(domain, CategoricalDistribution)  # noqa: S101 - all of ours are
    return domain.choices[0]
