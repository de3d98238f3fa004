"""Proposes the exact optimum of what is known, and learns from every trial.

Each proposal solves the joint problem over the probed tables, corrected by what trials showed:
times in place replace probed ones, and combinations the device rejected are forbidden. Once the
optimum and those next to it have been tried, times are drawn from their uncertainty (posterior
sampling) and the optimum of the draw is tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from autosched.errors import SearchError
from autosched.network.graph import failing_layer
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import MEMORY_KINDS, Rejection, RejectionKind
from autosched.schedule.tensors import labelled_edge, move_label
from autosched.search.samplers.optuna_trials import (
    LAYER_TIMES,
    REJECTION,
    from_parameters,
    search_space,
    to_parameters,
)
from autosched.solver.problem import Nogood
from autosched.solver.solver import Resolver, Solution
from autosched.solver.stages import Floats

_K_BEST = 4
# The other half of a layer's error is common to all its candidates and changes no order.
_OWN_SHARE = 0.5
_SEEN_SHARE = 0.1
_DRAWS = 8
_SOLVE_LIMIT_S = 20.0


@dataclass
class Knowledge:
    """What trials taught: which (layer, candidate) ran in place, and forbidden combinations."""

    in_place: set[tuple[int, int]] = field(default_factory=set)
    nogoods: list[Nogood] = field(default_factory=list)


class JointSampler(BaseSampler):
    """Samples whole schedules by solving the joint problem exactly.

    A probed time is uncertain by its candidate's standard error; a time seen in place by a tenth of
    it.
    """

    def __init__(self, joint: JointProblem, seed: int | None = None) -> None:
        self._joint = joint
        self._space = search_space(joint)
        self._stderr_log = [
            _OWN_SHARE * np.array([choice.stderr_log for choice in joint.tables[layer.name]])
            for layer in joint.network
        ]
        # Proposals solve the same tables over and over; only times and constraints change.
        self._resolver = Resolver(joint.problem)
        self._times_us = [
            np.array([candidate.time_us for candidate in layer.candidates])
            for layer in joint.problem.layers
        ]
        self._random = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)
        self._number = {layer.name: index for index, layer in enumerate(joint.network)}
        self._knowledge = Knowledge()
        self._best: list[dict[str, Any]] | None = None
        self._is_refused = False
        self._learned: set[int] = set()
        self._tried: set[frozenset[tuple[str, Any]]] = set()

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 - Optuna's interface
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: every layer is chosen together."""
        return self._space

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's interface
        search_space: dict[str, BaseDistribution],  # noqa: ARG002 - always the whole space
    ) -> dict[str, Any]:
        """Return the parameters of the next schedule.

        Raises:
            SearchError: if no schedule satisfies L1 and what was learned.
        """
        self._learn(study.get_trials(deepcopy=False))
        best = None
        for values in self._proposals():
            best = best or values
            if frozenset(values.items()) not in self._tried:
                best = values
                break
        if best is None:
            raise SearchError("the joint problem has no schedule left to propose")
        self._tried.add(frozenset(best.items()))
        return best

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample a parameter outside the joint space at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def solve(self) -> Solution:
        """Solve the joint problem as it is known now: the best schedule and its lower bound."""
        return self._solved(self._times_us)

    def _solved(self, times_us: Sequence[Floats], k: int = 1) -> Solution:
        return self._resolver.solve(times_us, k, _SOLVE_LIMIT_S)

    def _proposals(self) -> Iterator[dict[str, Any]]:
        if self._best is None and self._is_refused:
            # The optimum until then is forbidden now, so that the next one is new.
            yield from self._parameters(self.solve())
        if self._best is None:
            self._best = list(self._parameters(self._solved(self._times_us, _K_BEST)))
        yield from self._best
        for draw in range(_DRAWS):
            # Wider and wider, until a draw has an optimum that is new.
            noise = 2.0 ** max(0, draw - _DRAWS // 2)
            yield from self._parameters(self._solved(self._drawn(noise)))

    def _parameters(self, solution: Solution) -> Iterator[dict[str, Any]]:
        for assignment in solution.assignments:
            moved = [(move.tensor, move.after) for move in assignment.moves]
            selection = self._joint.selection(assignment.candidates, moved)
            yield to_parameters(self._joint, selection)

    def _drawn(self, noise: float) -> list[Floats]:
        """Draw the times of all candidates from their uncertainty, ``noise`` times as wide."""
        drawn = []
        for index, (times_us, stderr_log) in enumerate(
            zip(self._times_us, self._stderr_log, strict=True)
        ):
            seen = np.array([(index, n) in self._knowledge.in_place for n in range(len(times_us))])
            spread = noise * stderr_log * np.where(seen, _SEEN_SHARE, 1.0)
            drawn.append(times_us * np.exp(spread * self._random.standard_normal(len(spread))))
        return drawn

    def _learn(self, trials: Sequence[FrozenTrial]) -> None:
        for trial in trials:
            if trial.number in self._learned or not trial.state.is_finished():
                continue
            self._learned.add(trial.number)
            if not trial.params:
                continue
            self._tried.add(frozenset(trial.params.items()))
            selection = from_parameters(self._joint, trial.params)
            if trial.state is TrialState.COMPLETE:
                self._learn_times(selection, trial.user_attrs.get(LAYER_TIMES, {}))
            elif REJECTION in trial.user_attrs:
                self._learn_rejection(selection, *trial.user_attrs[REJECTION])

    def _learn_times(self, selection: Selection, times_us: Mapping[str, float]) -> None:
        """Take over the times in place; packing a fragmented L1 counts as its layer's time."""
        seen: dict[str, float] = {}
        for label, time_us in times_us.items():
            name = label if label in self._number else self._packed_for(label, selection)
            if name is not None:
                seen[name] = seen.get(name, 0.0) + time_us
        for name, time_us in seen.items():
            number, candidate = self._number[name], selection.candidates[name]
            self._knowledge.in_place.add((number, candidate))
            if self._times_us[number][candidate] != time_us:
                self._times_us[number][candidate] = time_us
                self._best, self._is_refused = None, False

    def _packed_for(self, label: str, selection: Selection) -> str | None:
        """Return the layer after which a label's tensor was packed, None for other labels."""
        edge = labelled_edge(label)
        if label != move_label(edge) or edge in selection.spills:
            return None
        return edge.consumer

    def _learn_rejection(self, selection: Selection, kind: str, place: str) -> None:
        """Forbid the combination that failed.

        It is the layer with its producers, and where memory ran out, also the producers of every
        tensor that was live then.
        """
        name = failing_layer(self._joint.network, Rejection(RejectionKind(kind), "", place))
        if name is None:
            return
        layer = self._joint.network.by_name[name]
        involved = {name, *layer.inputs}
        if RejectionKind(kind) in MEMORY_KINDS:
            involved |= self._live_at(name)
        nogood = tuple(
            sorted((self._number[item], selection.candidates[item]) for item in involved)
        )
        if nogood not in self._knowledge.nogoods:
            self._knowledge.nogoods.append(nogood)
            self._best, self._is_refused = None, True
            self._resolver.forbid(nogood)

    def _live_at(self, name: str) -> set[str]:
        step = self._number[name]
        return {
            edge.producer
            for edge in self._joint.network.edges
            if self._number[edge.producer] < step <= self._number[edge.consumer]
        }
