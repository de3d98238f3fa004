"""What one joint choice costs and holds: the problem's rules applied step by step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autosched.solver.problem import Candidate, Problem, Waiting, is_live

Moves = Mapping[tuple[int, int], int]
"""(layer just run, tensor) to the layout that the tensor moves to."""


@dataclass(frozen=True)
class Reshard:
    """A copy of ``producer``'s tensor made for input ``index`` of ``consumer``."""

    producer: int
    consumer: int
    index: int
    source: int
    target: int
    time_us: float


@dataclass(frozen=True)
class Move:
    """A change of a live tensor's own layout right after layer ``after`` ran; DRAM is a spill."""

    tensor: int
    after: int
    source: int
    target: int
    time_us: float


@dataclass(frozen=True)
class Assignment:
    """One joint choice.

    ``candidates`` has the chosen candidate of each layer, ``residencies`` the layout in which each
    tensor waits once its step is over, ``peak_bytes`` the most L1 per core during each layer's
    step. ``cost_us`` is infinite if a reshard or move in it is impossible.
    """

    cost_us: float
    candidates: tuple[int, ...]
    residencies: tuple[int, ...]
    moves: tuple[Move, ...]
    reshards: tuple[Reshard, ...]
    peak_bytes: tuple[int, ...]

    def fits(self, capacity_bytes: int) -> bool:
        """Whether no step needs more L1 per core than there is."""
        return max(self.peak_bytes, default=0) <= capacity_bytes


class _Walk:
    """State of a walk over the execution order."""

    def __init__(self, problem: Problem, candidates: Sequence[int]) -> None:
        self.problem = problem
        self.candidates = candidates
        self.resident: dict[int, int] = {}
        self.readers = {index: list(read) for index, read in enumerate(problem.consumers)}
        self.residencies = [0] * len(problem.layers)
        self.peaks = [0] * len(problem.layers)
        self.cost_us = 0.0
        self.moves: list[Move] = []
        self.reshards: list[Reshard] = []

    def step(self, layer: int, moves: Moves) -> None:
        chosen = self.problem.layers[layer].candidates[self.candidates[layer]]
        size = self.problem.layout_bytes
        saved = chosen.saved_bytes if self._may_free(layer, chosen) else 0
        inputs = self._reshard_inputs(layer, chosen.input_layouts)
        self._see(layer, inputs + size[chosen.output_layout] + chosen.cb_bytes - saved)
        for producer in set(self.problem.layers[layer].producers):
            self.readers[producer].remove(layer)
            if not self.readers[producer]:
                del self.resident[producer]
        self.cost_us += chosen.time_us
        self.residencies[layer] = chosen.output_layout
        if self.readers[layer]:
            self.resident[layer] = chosen.output_layout
        self._see(layer, size[chosen.output_layout] if not self.readers[layer] else 0)
        for tensor in sorted(self.resident):
            if moves.get((layer, tensor), self.resident[tensor]) != self.resident[tensor]:
                self._move(layer, tensor, moves[layer, tensor])
        self.residencies[layer] = self.resident.get(layer, chosen.output_layout)

    def _see(self, layer: int, extra_bytes: int) -> None:
        live = sum(self.problem.layout_bytes[layout] for layout in self.resident.values())
        self.peaks[layer] = max(self.peaks[layer], live + extra_bytes)

    def _may_free(self, layer: int, chosen: Candidate) -> bool:
        producers = self.problem.layers[layer].producers
        return bool(producers) and (
            self.resident[producers[0]] != chosen.input_layouts[0]
            or self.readers[producers[0]] == [layer]
        )

    def _reshard_inputs(self, layer: int, wanted: Sequence[int]) -> int:
        """Reshard what must be, and return the bytes of copies beyond the tensors still live."""
        size = self.problem.layout_bytes
        producers = self.problem.layers[layer].producers
        extra = 0
        for index, (producer, target) in enumerate(zip(producers, wanted, strict=True)):
            source = self.resident[producer]
            if source != target:
                time_us = self.problem.layers[layer].reshard_us(index, source, target)
                self.reshards.append(Reshard(producer, layer, index, source, target, time_us))
                self.cost_us += time_us
                extra += size[target]
                self._see(layer, extra)
            if producer not in producers[index + 1 :] and self.readers[producer] == [layer]:
                pairs = zip(producers, wanted, strict=True)
                if all(layout != source for tensor, layout in pairs if tensor == producer):
                    extra -= size[source]
        return extra

    def _move(self, layer: int, tensor: int, target: int) -> None:
        source = self.resident[tensor]
        time_us = self.problem.layers[tensor].moves.get((source, target), math.inf)
        self._see(layer, self.problem.layout_bytes[target])
        self.moves.append(Move(tensor, layer, source, target, time_us))
        self.cost_us += time_us
        self.resident[tensor] = target


def evaluate(problem: Problem, candidates: Sequence[int], moves: Moves | None = None) -> Assignment:
    """Apply the problem's rules to one candidate per layer and the moves chosen.

    Pins, prohibitions, learned constraints and the capacity are the caller's to check.
    """
    walk = _Walk(problem, candidates)
    for layer in problem.order:
        walk.step(layer, moves or {})
    return Assignment(
        walk.cost_us,
        tuple(candidates),
        tuple(walk.residencies),
        tuple(walk.moves),
        tuple(walk.reshards),
        tuple(walk.peaks),
    )


def violates(problem: Problem, assignment: Assignment) -> bool:
    """Whether a choice is all that any learned constraint of the problem forbids together."""
    place = {layer: step for step, layer in enumerate(problem.order)}

    def waits(item: Waiting) -> bool:
        if not is_live(problem, place, item.tensor, item.at):
            return False
        chosen = assignment.candidates[item.tensor]
        layout = problem.layers[item.tensor].candidates[chosen].output_layout
        for move in assignment.moves:
            if move.tensor == item.tensor and place[move.after] < place[item.at]:
                layout = move.target
        return layout == item.layout

    return any(
        all(assignment.candidates[layer] == chosen for layer, chosen in nogood.chosen)
        and all(map(waits, nogood.waiting))
        for nogood in problem.nogoods
    )
