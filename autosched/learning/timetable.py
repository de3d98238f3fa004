"""A joint problem with a piece for each of its times: a candidate, or a change of layout, alone.

What is timed on a card is a piece; what a schedule takes is a sum of pieces.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autosched.device.interface import Request, ReshardRequest, TensorShape
from autosched.probing.candidates import Choice, LayerQuestions
from autosched.probing.joint_problem import JointProblem
from autosched.probing.probe_book import ProbeBook, Probed, reshard_signature
from autosched.probing.reshard_tables import LayoutChange
from autosched.schedule.outcomes import TRANSFERS, DeviceOp
from autosched.solver.evaluate import Assignment
from autosched.solver.problem import Problem
from autosched.solver.stages import Floats
from autosched.space.layers import Option

Spent = Counter[int]
"""How often each piece is taken, by its place among the pieces."""


@dataclass(frozen=True)
class Piece:
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


class Timetable:
    """The pieces of a joint problem, and the problem at any times of them."""

    def __init__(self, joint: JointProblem, questions: LayerQuestions, book: ProbeBook) -> None:
        self.joint = joint
        self.pieces: list[Piece] = []
        self._places: dict[tuple[str, Request], int] = {}
        self._candidates: list[list[int]] = []
        self._changes: dict[tuple[TensorShape, LayoutChange], int] = {}
        for layer in joint.network:
            own = []
            for choice in joint.tables[layer.name]:
                asked = questions.ask(layer, Option(choice.config, choice.input_layouts))
                label = f"{layer.name}: {choice.sharding.value or 'interleaved'}"
                own.append(self._add(Piece(*asked, choice.ops, label)))
            self._candidates.append(own)
        for shape, pair in self._pairs():
            if (shape, pair) not in self._changes:
                source, target = pair
                probed = book.reshard(shape, source, target)
                ops = probed.outcome.ops if isinstance(probed, Probed) else ()
                request = ReshardRequest(shape, source, target)
                piece = Piece(reshard_signature(shape), request, ops, f"{source} to {target}")
                self._changes[shape, pair] = self._add(piece)

    def _add(self, piece: Piece) -> int:
        """Return the place of a piece; layers that are alike share theirs."""
        place = self._places.setdefault((piece.signature, piece.request), len(self.pieces))
        if place == len(self.pieces):
            self.pieces.append(piece)
        return place

    def place_of(self, signature: str, request: Request) -> int | None:
        """Return the place of a piece, None if it is none of this problem."""
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

    def problem(self, times_us: Floats) -> Problem:
        """Return the joint problem at other times of the pieces, in microseconds."""
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
        self, times: Mapping[tuple[int, int], float], producer: int, times_us: Floats
    ) -> dict[tuple[int, int], float]:
        shape = self.joint.network.layers[producer].shape
        return {pair: float(times_us[self._change(shape, *pair)]) for pair in times}

    def _change(self, shape: TensorShape, source: int, target: int) -> int:
        return self._changes[shape, self.joint.pair(source, target)]

    def spent(self, assignment: Assignment) -> Spent:
        """Return the pieces that a joint choice takes."""
        found: Spent = Counter()
        for _, place in self.placed(assignment):
            found[place] += 1
        return found

    def placed(self, assignment: Assignment) -> Iterable[tuple[tuple[int, int], int]]:
        """Yield the pieces of a joint choice with where they are taken.

        That is (layer, layer) for a candidate, (tensor, consumer) for a reshard, and for a move
        (tensor, layer after which it moves) less one layer count, so that none is a reshard's.
        """
        count = len(self._candidates)
        for number, candidate in enumerate(assignment.candidates):
            yield (number, number), self._candidates[number][candidate]
        for copied in assignment.reshards:
            shape = self.joint.network.layers[copied.producer].shape
            yield (
                (copied.producer, copied.consumer),
                self._change(shape, copied.source, copied.target),
            )
        for move in assignment.moves:
            shape = self.joint.network.layers[move.tensor].shape
            yield (move.tensor, move.after - count), self._change(shape, move.source, move.target)

    def total(self, assignment: Assignment, times_us: Floats) -> float:
        """Return what a joint choice takes at some times of the pieces, in microseconds."""
        return float(
            sum(times_us[place] * count for place, count in self.spent(assignment).items())
        )
