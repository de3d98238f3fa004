"""Local search: change the best schedule so far in a few neighbouring layers."""

from array import array
from dataclasses import replace

import numpy as np

from autosched.budget import UNLIMITED, Budget
from autosched.network.graph import failing_layer
from autosched.probing.joint_problem import JointProblem, Selection, spill_edges
from autosched.schedule.outcomes import Rejection
from autosched.schedule.tensors import Edge
from autosched.store.trials import TrialRecord

_MAX_RUN = 4
_ATTEMPTS = 1000

Genes = tuple[int, ...]
"""A joint choice: the candidate of every layer that has several, then 1 where a tensor spills."""


class MutationSampler:
    """A (1+1) evolution whose moves change a run of one to four adjacent layers.

    Layers that disagree pay a reshard, so changing neighbours together gets out of minima in
    which each single change is worse. It starts with the fastest candidate of each layer; until the
    device accepts a schedule, it changes the last one where it was rejected.
    """

    def __init__(self, joint: JointProblem, seed: int | None = None) -> None:
        self._joint = joint
        layers = [name for name, choices in joint.tables.items() if len(choices) > 1]
        self._places: list[str | Edge] = [*layers, *spill_edges(joint)]
        self._sizes = [
            len(joint.tables[place]) if isinstance(place, str) else 2 for place in self._places
        ]
        self._random = np.random.default_rng(seed)
        self._best: tuple[float, Genes] | None = None
        self._last: tuple[Genes, Rejection | None] | None = None
        self._tried: set[bytes] = set()

    def propose(self, budget: Budget = UNLIMITED) -> Selection | None:
        """Return the best schedule so far with a few adjacent layers changed, a new one.

        None if a thousand changes give nothing new, or the budget ends.
        """
        if self._last is None:
            return self._proposed((0,) * len(self._places))
        last, rejection = self._last
        parent = last if self._best is None else self._best[1]
        place = self._rejected_at(rejection) if self._best is None else None
        for attempt in range(_ATTEMPTS if self._places else 0):
            if budget.is_up:
                break
            # Around the fault there may be nothing new left.
            child = self._mutated(parent, place if attempt < _ATTEMPTS // 2 else None)
            if _key(child) not in self._tried:
                return self._proposed(child)
        return None

    def tell(self, selection: Selection, record: TrialRecord) -> None:
        """Learn which schedule is the best so far, or where the last one was rejected."""
        genes = self._genes(selection)
        self._tried.add(_key(genes))
        self._last = genes, record.rejection
        if record.rejection is None and record.latency_us is not None:
            mine = record.latency_us, genes
            if self._best is None or mine[0] < self._best[0]:
                self._best = mine

    def _proposed(self, genes: Genes) -> Selection:
        self._tried.add(_key(genes))
        values = dict(zip(self._places, genes, strict=True))
        first = Selection(dict.fromkeys(self._joint.tables, 0))
        chosen = {name: int(value) for name, value in values.items() if isinstance(name, str)}
        spills = frozenset(
            edge for edge, value in values.items() if isinstance(edge, Edge) and value
        )
        return replace(first, candidates={**first.candidates, **chosen}, spills=spills)

    def _genes(self, selection: Selection) -> Genes:
        return tuple(
            selection.candidates[place]
            if isinstance(place, str)
            else int(place in selection.spills)
            for place in self._places
        )

    def _rejected_at(self, rejection: Rejection | None) -> str | None:
        return None if rejection is None else failing_layer(self._joint.network, rejection)

    def _mutated(self, genes: Genes, place: str | None) -> Genes:
        """Change a run of layers anywhere, or one that ``place`` belongs to."""
        length = int(self._random.integers(1, _MAX_RUN + 1))
        if place in self._places:
            start = max(0, self._places.index(place) - int(self._random.integers(length)))
        else:
            start = int(self._random.integers(len(genes)))
        mutated = list(genes)
        for index in range(start, min(start + length, len(genes))):
            mutated[index] = int(self._random.integers(self._sizes[index]))
        return tuple(mutated)


def _key(genes: Genes) -> bytes:
    return array("H", genes).tobytes()
