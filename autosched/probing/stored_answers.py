"""What a study asked and was answered, from its database alone, and what each answer comes to.

The same questions are asked as by the search, but of nobody: what the store does not know was not
asked yet, and is no candidate. So no device is opened, and nothing is stored. From the answers
comes the joint problem that the search had, in which any candidate can be forced.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.cost.model import CostModel
from autosched.device.interface import ProbeRequest, ReshardRequest
from autosched.errors import NoScheduleError, SearchError
from autosched.network.graph import Network
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.probing.probe_book import Ask, Judge, ProbeBook, ProbeCounts, Probed
from autosched.probing.reshard_tables import LayoutChange
from autosched.schedule.configurations import precision_of
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.schedule.schedule import Schedule
from autosched.solver.evaluate import Assignment
from autosched.solver.solver import solve
from autosched.store.database import Store
from autosched.store.probes import DeviceKey

NOT_ASKED = Rejection(RejectionKind.UNCLASSIFIED, "not asked yet")
"""What stands for an answer that is not in the store."""


class Nobody:
    """A device that has not been asked yet."""

    def __init__(self, board: Board, kind: str) -> None:
        self.board = board
        self.kind = kind

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Do nothing."""

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> Rejection:  # noqa: ARG002
        """Return that it was not asked."""
        return NOT_ASKED

    def reshard(self, request: ReshardRequest, budget: Budget = UNLIMITED) -> Rejection:  # noqa: ARG002
        """Return that it was not asked."""
        return NOT_ASKED

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> Rejection:  # noqa: ARG002
        """Return that it was not asked."""
        return NOT_ASKED

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> "Nobody":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


@dataclass(frozen=True)
class Asked:
    """One candidate of a layer that was asked, and what was answered."""

    request: ProbeRequest
    answer: Probed | Rejection

    @property
    def probed(self) -> Probed | None:
        """The answer, None if it is a rejection."""
        return self.answer if isinstance(self.answer, Probed) else None


class StoredBook(ProbeBook):
    """A probe book of what the store knows, and nothing else; it notes what is asked of it."""

    def __init__(
        self, store: Store, board: Board, key: DeviceKey, cost: CostModel, judge: Judge
    ) -> None:
        super().__init__(store, Nobody(board, key.device_kind), key, cost, judge)
        self._noted: dict[str, dict[ProbeRequest, Asked]] = {}

    def ask_all(
        self,
        asks: Sequence[Ask],
        arrived: Callable[[int], object] = lambda _index: None,
    ) -> list[Probed | Rejection]:
        """Return what the store knows, and :data:`NOT_ASKED` for all else."""
        answers = super().ask_all(asks, arrived)
        for (signature, request), answer in zip(asks, answers, strict=True):
            if isinstance(request, ProbeRequest) and answer != NOT_ASKED:
                noted = self._noted.setdefault(signature, {})
                noted[request] = Asked(request, answer)
        return answers

    def asked(self, signature: str) -> tuple[Asked, ...]:
        """Return the candidates of a layer that were asked and are known, in that order."""
        return tuple(self._noted.get(signature, {}).values())

    @property
    def known_counts(self) -> ProbeCounts:
        """How many stored probes answered what was asked, and which of them are rejections."""
        rejected = dict(self.counts.rejected)
        unasked = self.counts.unclassified.get(NOT_ASKED.message, 0)
        if unasked:
            rejected[NOT_ASKED.kind] -= unasked
        kept = {kind: number for kind, number in rejected.items() if number}
        return replace(self.counts, run=0, rejected=kept, unclassified={})


@dataclass(frozen=True)
class EdgeCost:
    """A change of layout beside a layer: of what it reads, of what it leaves, or a spill."""

    producer: str
    consumer: str
    change: LayoutChange
    time_us: float


@dataclass(frozen=True)
class JointPrice:
    """What a network takes with one candidate of a layer, all others chosen for it.

    ``network_us`` is the least time of any schedule of the tables that has it, at least
    ``bound_us`` where the solver ran out of time; ``edges`` are the changes of layout beside the
    layer there.
    """

    network_us: float
    bound_us: float
    edges: tuple[EdgeCost, ...]

    @property
    def edges_us(self) -> float:
        """The time of the changes of layout beside the layer."""
        return sum(edge.time_us for edge in self.edges)


def joint_price(
    joint: JointProblem, layer: str, candidate: int, budget: Budget = UNLIMITED
) -> JointPrice | None:
    """Return what the network takes with a candidate of a layer; None if nothing fits with it.

    ``candidate`` is its place in the layer's table.

    Raises:
        SearchError: if time ends before a schedule is found.
    """
    problem = joint.problem
    place = [item.name for item in joint.network].index(layer)
    layers = list(problem.layers)
    layers[place] = replace(layers[place], pinned=candidate)
    try:
        found = solve(replace(problem, layers=tuple(layers)), time_limit_s=budget.left_s)
    except NoScheduleError:
        return None
    edges = tuple(_edges(joint, place, found.best))
    return JointPrice(found.best.cost_us, found.lower_bound_us, edges)


def _edges(joint: JointProblem, place: int, best: Assignment) -> Iterable[EdgeCost]:
    names = [item.name for item in joint.network]
    for step in best.reshards:
        if place in (step.producer, step.consumer):
            change = joint.pair(step.source, step.target)
            yield EdgeCost(names[step.producer], names[step.consumer], change, step.time_us)
    for move in best.moves:
        if place == move.tensor:
            change = joint.pair(move.source, move.target)
            yield EdgeCost(names[move.tensor], "", change, move.time_us)


def in_the_formats_of(joint: JointProblem, selection: Selection, layer: str) -> JointProblem:
    """Return the problem in which all other layers keep the formats that they have in a choice.

    So their error stays what it is where formats were searched for.
    """
    tables = {
        name: tuple(
            choice
            for choice in choices
            if name == layer or _formats(choice) == _formats(choices[selection.candidates[name]])
        )
        for name, choices in joint.tables.items()
    }
    return JointProblem(joint.network, tables, joint.reshards, joint.spills, joint.board)


def _formats(choice: Choice) -> tuple[object, ...]:
    return precision_of(choice.config), *(layout.dtype for layout in choice.layouts)


def place_in_table(joint: JointProblem, layer: str, asked: Asked) -> int | None:
    """Return the place of an answer in its layer's table, None if it is not in it."""
    answer = asked.probed
    if answer is None:
        return None
    layouts = (*answer.outcome.input_layouts, answer.outcome.output_layout)
    for place, choice in enumerate(joint.tables[layer]):
        if choice.config == asked.request.config and choice.layouts == layouts:
            return place
    return None


def priced(
    joint: JointProblem, layer: str, places: Sequence[int], budget: Budget
) -> dict[int, JointPrice | None]:
    """Return the joint prices of candidates of a layer by their places, as far as time allows."""
    found: dict[int, JointPrice | None] = {}
    for number, place in enumerate(places):
        if budget.is_up:
            break
        share_s = budget.left_s / (len(places) - number)
        try:
            found[place] = joint_price(joint, layer, place, budget.part(share_s))
        except SearchError:
            continue
    return found
