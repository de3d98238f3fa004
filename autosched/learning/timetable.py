"""What may be chosen for a network, with a piece for each time: a candidate or change of layout.

What is timed alone on a card is a piece; what a schedule takes is a sum of pieces.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autosched.boards import Board
from autosched.budget import Budget
from autosched.cost.model import CostModel
from autosched.device.interface import Request, ReshardRequest, TensorShape
from autosched.errors import SearchError
from autosched.network.graph import Network
from autosched.probing.candidates import Choice, LayerQuestions, ProbedTables
from autosched.probing.joint_problem import JointProblem
from autosched.probing.layer_tables import TableBuilder
from autosched.probing.probe_book import Phase, ProbeBook, Probed, Progress, reshard_signature
from autosched.probing.problem_builder import ordered_problem
from autosched.probing.reshard_tables import LayoutChange
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import TRANSFERS, AloneTime, DeviceOp, Rejection
from autosched.solver.evaluate import Assignment
from autosched.solver.problem import Problem
from autosched.solver.stages import Floats
from autosched.space.efforts import Effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats, default_schedule
from autosched.space.layers import Option
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, ProbeKey

Spent = Counter[int]
"""How often each piece is taken, by its place among the pieces."""


@dataclass(frozen=True)
class Piece:
    """What can be timed alone: the request, its signature, and the ops that it runs.

    ``layer`` is the first layer that may take it, "" of a change of layout, and ``what``
    its configuration or the layouts.
    """

    signature: str
    request: Request
    ops: tuple[DeviceOp, ...]
    layer: str
    what: LayerConfig | LayoutChange

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
                piece = Piece(*asked, choice.ops, layer.name, choice.config)
                own.append(self._add(piece))
            self._candidates.append(own)
        for shape, pair in self._pairs():
            if (shape, pair) not in self._changes:
                source, target = pair
                probed = book.reshard(shape, source, target)
                ops = probed.outcome.ops if isinstance(probed, Probed) else ()
                request = ReshardRequest(shape, source, target)
                piece = Piece(reshard_signature(shape), request, ops, "", pair)
                self._changes[shape, pair] = self._add(piece)

    def _add(self, piece: Piece) -> int:
        """Return the place of a piece; layers that are alike share theirs."""
        place = self._places.setdefault((piece.signature, piece.request), len(self.pieces))
        if place == len(self.pieces):
            self.pieces.append(piece)
        return place

    def _pairs(self) -> Iterable[tuple[TensorShape, LayoutChange]]:
        joint = self.joint
        by_edge = ((edge.producer, table) for edge, table in joint.reshards.items())
        for name, table in (*by_edge, *joint.spills.items()):
            shape = joint.network.by_name[name].shape
            yield from ((shape, pair) for pair in table.times_us)

    @property
    def of_layers(self) -> Iterable[Piece]:
        """The pieces that are candidates of layers."""
        return (self.pieces[place] for own in self._candidates for place in own)

    def candidate(self, layer: int, candidate: int) -> int:
        """Return the place of a layer's candidate, by their numbers, among the pieces."""
        return self._candidates[layer][candidate]

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


@dataclass(frozen=True)
class LearningTask:
    """What is learned for: a network on a board, and who answers for its candidates.

    ``book`` asks the mock device, and estimates with the coefficients to start from. ``firmware``
    is the card's.
    """

    network: Network
    board: Board
    ttnn_version: str
    formats: Formats
    effort: Effort
    book: ProbeBook
    store: Store
    firmware: str = ""

    @property
    def card(self) -> DeviceKey:
        """What a card's times are stored under."""
        return DeviceKey(self.board.name, "silicon", self.ttnn_version, self.firmware)


class Candidates:
    """The candidates that are best by one of several models, and their joint problem."""

    def __init__(self, task: LearningTask, progress: Progress) -> None:
        self._task = task
        self._progress = progress
        network, effort = task.network, task.effort
        self._formats = LayerFormats(network, task.formats)
        self._questions = LayerQuestions(
            network, self._formats, task.book, row_channels=effort.row_channels
        )
        self._default = default_schedule(network, task.board.name, task.ttnn_version, task.formats)
        self._options: dict[str, dict[Option, None]] = {layer.name: {} for layer in network}
        self._timetable: Timetable | None = None

    def add(self, model: CostModel, budget: Budget) -> None:
        """Add what is best by a model."""
        task, book = self._task, self._task.book
        builder = TableBuilder(
            task.network, self._formats, task.board, task.effort, book, known=[self._default]
        )
        before, book.cost = book.cost, model
        book.offers_unexecuted = task.effort.unexecuted
        try:
            with book.within(budget):
                tables = builder.build(
                    lambda layer, done, total: self._progress(Phase.LAYERS, done, total, layer.name)
                ).kept
        finally:
            book.cost = before
        for name, choices in tables.items():
            found = dict.fromkeys(Option(item.config, item.input_layouts) for item in choices)
            if found.keys() - self._options[name].keys():
                self._timetable = None
            self._options[name].update(found)

    def timetable(self, answers: Mapping[ProbeKey, AloneTime | Rejection]) -> Timetable:
        """Return the joint problem of all of them but what the card rejected.

        Raises:
            SearchError: if that leaves a layer without any.
        """
        if self._timetable is None or self._is_any_refused(self._timetable, answers):
            self._timetable = self._joined(answers)
        return self._timetable

    def _is_any_refused(
        self, timetable: Timetable, answers: Mapping[ProbeKey, AloneTime | Rejection]
    ) -> bool:
        keys = (self.key(piece.signature, piece.request) for piece in timetable.of_layers)
        return any(isinstance(answers.get(key), Rejection) for key in keys)

    def _joined(self, answers: Mapping[ProbeKey, AloneTime | Rejection]) -> Timetable:
        task = self._task
        tables: dict[str, tuple[Choice, ...]] = {}
        for layer in task.network:
            found: list[Choice] = []
            for option in self._options[layer.name]:
                key = self.key(*self._questions.ask(layer, option))
                if not isinstance(answers.get(key), Rejection):
                    found += self._questions.answered(layer, option)
            if not found:
                raise SearchError(
                    f"layer {layer.name}: the card rejects every candidate that the mock device "
                    "accepts; 'autosched doctor' checks that both run the same ttnn"
                )
            tables[layer.name] = tuple(sorted(found, key=lambda choice: choice.time_us))
        kept = ProbedTables(tables, dict.fromkeys(tables, ()))
        joint = ordered_problem(task.network, kept, task.board, task.book, self._progress)
        return Timetable(joint, self._questions, task.book)

    def key(self, signature: str, request: Request) -> ProbeKey:
        """Return the key of a card's answer to a request."""
        found = self._task.book.key_of(signature, request)
        return replace(found, device=self._task.card)
