"""The joint scheduling problem as tables: what can be chosen, what it takes, what it holds in L1.

Layers, layouts and candidates are integers here; names serve messages only. Layers are numbered
so that producers come before consumers, and run in :attr:`Problem.order`. A tensor is named by
the layer that produces it. One step of the schedule is, in this order:

1. each input that does not have the layout its candidate takes is resharded, in argument order:
   a copy for this consumer only. The original is freed if nothing reads it any more.
2. the layer runs: its inputs (copies or originals), its output, ``cb_bytes`` and every other
   live tensor are in L1. ``saved_bytes`` less are, if the layer may free its first input early:
   it is a copy, or nothing reads it any more.
3. inputs that nothing reads any more and all copies are freed.
4. the inputs still live (lowest layer first), then the output, may move to another layout, such
   as a spill to DRAM; while a move runs, both copies are in L1.

At every moment the bytes per core must not exceed ``capacity_bytes``. Times are microseconds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from autosched.errors import SearchError

LayoutPair = tuple[int, int]
ReshardTimes = Mapping[LayoutPair, float] | Callable[[int, int], float]
"""Time from one layout id to another: a table, where a missing pair is impossible, or a function
that returns infinity for an impossible pair. Equal layouts take no time and are never asked."""


@dataclass(frozen=True)
class Waiting:
    """That a tensor waits in a layout when layer ``at`` begins, before that layer's reshards.

    It does not hold where the tensor is not there yet, or nothing reads it any more.
    """

    tensor: int
    at: int
    layout: int


@dataclass(frozen=True)
class Nogood:
    """A learned constraint: what may not all be so together.

    ``chosen`` has (layer, candidate) pairs, each layer once, ``waiting`` the layouts in which
    tensors wait: the same candidates may run once a tensor has moved to DRAM.
    """

    chosen: tuple[tuple[int, int], ...] = ()
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One way to run a layer.

    ``input_layouts`` has the layout it takes natively for each input. ``cb_bytes`` is the peak
    per core beside inputs and output (circular buffers, halo output); it may be negative where
    the peak of a probe is below inputs plus output. ``saved_bytes`` is what that peak is lower by
    where the layer may free its first input. ``payload`` is the caller's own index.
    """

    time_us: float
    input_layouts: tuple[int, ...]
    output_layout: int
    cb_bytes: int = 0
    payload: int = -1
    saved_bytes: int = 0


@dataclass(frozen=True)
class LayerTable:
    """One step: its producers in argument order (repeats allowed) and its candidates.

    ``reshards`` has one table per input. ``moves`` maps pairs of layouts to the time in which the
    output tensor can change between them while it waits for consumers, DRAM spill among them;
    only the pairs listed are considered. ``pinned`` fixes the candidate, ``forbidden`` excludes
    some.
    """

    name: str
    producers: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    reshards: tuple[ReshardTimes, ...] = ()
    moves: Mapping[LayoutPair, float] = field(default_factory=dict)
    pinned: int | None = None
    forbidden: frozenset[int] = frozenset()

    @property
    def allowed(self) -> tuple[int, ...]:
        """Candidates that pins and prohibitions leave."""
        chosen = range(len(self.candidates)) if self.pinned is None else (self.pinned,)
        return tuple(index for index in chosen if index not in self.forbidden)

    def reshard_us(self, index: int, source: int, target: int) -> float:
        """Time to bring input ``index`` from one layout to another; infinite when impossible."""
        if source == target:
            return 0.0
        times = self.reshards[index]
        return times(source, target) if callable(times) else times.get((source, target), math.inf)


@dataclass(frozen=True)
class Problem:
    """Layers, the L1 bytes per core of each layout id, the capacity, and learned constraints.

    ``describe`` puts a layer's candidate into words, for messages.

    Raises:
        SearchError: naming the layer, if the tables do not fit together.
    """

    layers: tuple[LayerTable, ...]
    layout_bytes: tuple[int, ...]
    capacity_bytes: int
    nogoods: tuple[Nogood, ...] = ()
    execution_order: tuple[int, ...] | None = None
    describe: Callable[[int, int], str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for index, layer in enumerate(self.layers):
            self._check_layer(index, layer)
        for nogood in self.nogoods:
            self._check_nogood(nogood)
        self._check_order()

    @property
    def order(self) -> tuple[int, ...]:
        """Layer indices in the order they run; by default as they are numbered."""
        if self.execution_order is None:
            return tuple(range(len(self.layers)))
        return self.execution_order

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each layer, the layers that read its output, in execution order, each once."""
        readers: list[list[int]] = [[] for _ in self.layers]
        for index in self.order:
            for producer in dict.fromkeys(self.layers[index].producers):
                readers[producer].append(index)
        return tuple(map(tuple, readers))

    def _check_layer(self, index: int, layer: LayerTable) -> None:
        where = f"layer {layer.name!r}"
        if not all(0 <= producer < index for producer in layer.producers):
            raise SearchError(f"{where}: its producers must be layers numbered before it")
        if len(layer.reshards) != len(layer.producers):
            raise SearchError(
                f"{where}: {len(layer.producers)} inputs need as many reshard tables, "
                f"not {len(layer.reshards)}"
            )
        for number, candidate in enumerate(layer.candidates):
            self._check_candidate(f"{where}, candidate {number}", layer, candidate)
        if layer.pinned is not None and not 0 <= layer.pinned < len(layer.candidates):
            raise SearchError(f"{where}: pinned to candidate {layer.pinned}, which does not exist")
        if not layer.allowed:
            raise SearchError(
                f"{where}: no candidate is left of {len(layer.candidates)}; unpin the layer or "
                "forbid fewer configurations"
            )

    def _check_candidate(self, where: str, layer: LayerTable, candidate: Candidate) -> None:
        if len(candidate.input_layouts) != len(layer.producers):
            raise SearchError(f"{where}: needs one input layout for each of its inputs")
        layouts = (*candidate.input_layouts, candidate.output_layout)
        if not all(0 <= layout < len(self.layout_bytes) for layout in layouts):
            raise SearchError(f"{where}: layout outside the table of {len(self.layout_bytes)}")
        if not (math.isfinite(candidate.time_us) and candidate.time_us >= 0):
            raise SearchError(f"{where}: time of {candidate.time_us} us; leave out what cannot run")

    def _check_nogood(self, nogood: Nogood) -> None:
        layers = range(len(self.layers))
        legal = all(
            layer in layers and 0 <= chosen < len(self.layers[layer].candidates)
            for layer, chosen in nogood.chosen
        )
        there = all(
            item.tensor in layers
            and item.at in layers
            and 0 <= item.layout < len(self.layout_bytes)
            for item in nogood.waiting
        )
        once = len({layer for layer, _ in nogood.chosen}) == len(nogood.chosen)
        if not (nogood.chosen or nogood.waiting) or not (legal and there and once):
            raise SearchError(
                f"learned constraint {nogood}: expected pairs of an existing layer, each once, and "
                "one of its candidates, and existing tensors in layouts of the table"
            )

    def _check_order(self) -> None:
        place = {layer: step for step, layer in enumerate(self.order)}
        if sorted(self.order) != list(range(len(self.layers))):
            raise SearchError("execution order: every layer must run exactly once")
        for index, layer in enumerate(self.layers):
            if any(place[producer] > place[index] for producer in layer.producers):
                raise SearchError(f"execution order: layer {layer.name!r} runs before its producer")


def is_live(problem: Problem, place: Mapping[int, int], tensor: int, at: int) -> bool:
    """Whether a tensor is there when a layer begins; ``place`` is each layer's in the order."""
    readers = problem.consumers[tensor]
    return bool(readers) and place[tensor] < place[at] <= place[readers[-1]]
