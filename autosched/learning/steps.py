"""A joint problem with a step for each of its times: a candidate, or a change of layout, alone.

What is timed on a card is a step; what a schedule takes is a sum of steps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autosched.device.interface import Request, ReshardRequest, TensorShape
from autosched.probing.candidates import Choice, LayerQuestions
from autosched.probing.joint_problem import JointProblem
from autosched.probing.probe_book import ProbeBook, Probed, reshard_signature
from autosched.probing.reshard_tables import LayoutChange
from autosched.schedule.outcomes import TRANSFERS, DeviceOp
from autosched.solver.evaluate import Assignment
from autosched.solver.problem import Problem
from autosched.space.layers import Option

Array = NDArray[np.float64]

Spent = Counter[int]
"""How often each step is taken, by its place among the steps."""


@dataclass(frozen=True)
class Step:
    """What can be timed alone: the request, its signature, and the ops that it runs.

    ``label`` says what it is, by the first layer that may take it.
    """

    signature: str
    request: Request
    ops: tuple[DeviceOp, ...]
    label: str

    @property
    def is_of_the_device(self) -> bool:
        """Whether it runs something, and nothing on the host: no trace holds that."""
        return bool(self.ops) and all(op.code not in TRANSFERS for op in self.ops)


class Steps:
    """The steps of a joint problem, and the problem at any times of them."""

    def __init__(self, joint: JointProblem, questions: LayerQuestions, book: ProbeBook) -> None:
        self.joint = joint
        self.steps: list[Step] = []
        self._places: dict[tuple[str, Request], int] = {}
        self._candidates: list[list[int]] = []
        self._changes: dict[tuple[TensorShape, LayoutChange], int] = {}
        for layer in joint.network:
            own = []
            for choice in joint.tables[layer.name]:
                asked = questions.ask(layer, Option(choice.config, choice.input_layouts))
                label = f"{layer.name}: {choice.sharding.value or 'interleaved'}"
                own.append(self._add(Step(*asked, choice.ops, label)))
            self._candidates.append(own)
        for shape, pair in self._pairs():
            if (shape, pair) not in self._changes:
                source, target = pair
                probed = book.reshard(shape, source, target)
                ops = probed.outcome.ops if isinstance(probed, Probed) else ()
                request = ReshardRequest(shape, source, target)
                step = Step(reshard_signature(shape), request, ops, f"{source} to {target}")
                self._changes[shape, pair] = self._add(step)

    def _add(self, step: Step) -> int:
        """Return the place of a step; layers that are alike share theirs."""
        place = self._places.setdefault((step.signature, step.request), len(self.steps))
        if place == len(self.steps):
            self.steps.append(step)
        return place

    def place_of(self, signature: str, request: Request) -> int | None:
        """Return the place of a step, None if it is none of this problem."""
        return self._places.get((signature, request))

    def _pairs(self) -> Iterable[tuple[TensorShape, LayoutChange]]:
        joint = self.joint
        by_edge = ((edge.producer, table) for edge, table in joint.reshards.items())
        for name, table in (*by_edge, *joint.spills.items()):
            shape = joint.network.by_name[name].shape
            yield from ((shape, pair) for pair in table.times_us)

    def choice(self, layer: int, candidate: int) -> Choice:
        """Return a candidate of a layer, by their numbers."""
        return self.joint.tables[self.joint.network.layers[layer].name][candidate]

    def problem(self, times_us: Array) -> Problem:
        """Return the joint problem at other times of the steps, in microseconds."""
        problem = self.joint.problem
        layers = []
        for number, table in enumerate(problem.layers):
            candidates = tuple(
                replace(candidate, time_us=float(times_us[place]))
                for candidate, place in zip(table.candidates, self._candidates[number], strict=True)
            )
            reshards = tuple(
                self._retimed(times, producer, times_us)
                for times, producer in zip(table.reshards, table.producers, strict=True)
                if isinstance(times, Mapping)
            )
            moves = self._retimed(table.moves, number, times_us)
            layers.append(replace(table, candidates=candidates, reshards=reshards, moves=moves))
        return replace(problem, layers=tuple(layers))

    def _retimed(
        self, times: Mapping[tuple[int, int], float], producer: int, times_us: Array
    ) -> dict[tuple[int, int], float]:
        shape = self.joint.network.layers[producer].shape
        return {pair: float(times_us[self._change(shape, *pair)]) for pair in times}

    def _change(self, shape: TensorShape, source: int, target: int) -> int:
        return self._changes[shape, self.joint.pair(source, target)]

    def spent(self, assignment: Assignment) -> Spent:
        """Return the steps that a joint choice takes."""
        found: Spent = Counter()
        for _, place in self.placed(assignment):
            found[place] += 1
        return found

    def placed(self, assignment: Assignment) -> Iterable[tuple[tuple[int, int], int]]:
        """Yield the steps of a joint choice with where they are taken.

        That is (layer, layer) for a candidate, (tensor, consumer) for a reshard, and for a move
        (tensor, layer after which it moves) less one layer count, so that none is a reshard's.
        """
        count = len(self._candidates)
        for number, candidate in enumerate(assignment.candidates):
            yield (number, number), self._candidates[number][candidate]
        for step in assignment.reshards:
            shape = self.joint.network.layers[step.producer].shape
            yield (step.producer, step.consumer), self._change(shape, step.source, step.target)
        for move in assignment.moves:
            shape = self.joint.network.layers[move.tensor].shape
            yield (move.tensor, move.after - count), self._change(shape, move.source, move.target)

    def total(self, assignment: Assignment, times_us: Array) -> float:
        """Return what a joint choice takes at some times of the steps, in microseconds."""
        return float(
            sum(times_us[place] * count for place, count in self.spent(assignment).items())
        )
