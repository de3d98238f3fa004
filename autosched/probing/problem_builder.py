"""The joint problem of a network in the execution order that suits it best, with its reshards."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

from autosched.boards import Board
from autosched.device.interface import TensorShape
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.probing.candidates import ProbedTables, Tables
from autosched.probing.joint_problem import JointProblem, Pair, distinct, in_dram
from autosched.probing.probe_book import ProbeBook
from autosched.probing.reshard_tables import ReshardTable
from autosched.schedule.outcomes import Rejection, TimeKind
from autosched.schedule.tensors import Edge, Memory
from autosched.solver.orders import solve_best_order
from autosched.solver.problem import Problem

# A budget in states, not seconds: a study that goes on must come to the same order.
_STATES = 20_000

Progress = Callable[[Layer, int, int], None]
Reshards = tuple[Mapping[Edge, ReshardTable], Mapping[str, ReshardTable]]
"""What was probed between layers: reshards by edge, and spills by the tensor's layer."""


def ordered_problem(
    network: Network, tables: ProbedTables, board: Board, book: ProbeBook, progress: Progress
) -> JointProblem:
    """Probe the reshards that a joint choice may need, and return the joint problem.

    Its network, and with it every schedule made of it, has the layers in the order found best:
    the captured one, unless L1 is so tight that finishing another branch first costs less.
    """

    def probed(ordered: Network) -> JointProblem:
        own = {layer.name: tables.kept[layer.name] for layer in ordered}
        reshards, spills = probe_reshards(ordered, own, book, progress)
        return JointProblem(ordered, own, reshards, spills, board, left_out=tables.left_out)

    joint = probed(network)
    order = best_order(joint.problem)
    if order == joint.problem.order:
        return joint
    # Other tensors wait now, so that other spills are worth a probe.
    return probed(replace(network, layers=tuple(network.layers[index] for index in order)))


def best_order(problem: Problem) -> tuple[int, ...]:
    """Return the execution order with the cheapest schedule, the problem's own among equals."""
    try:
        ordered, _ = solve_best_order(problem, memory_limit_states=_STATES)
    except SearchError:
        return problem.order
    return ordered.order


def probe_reshards(
    network: Network,
    tables: Tables,
    book: ProbeBook,
    progress: Progress,
    known: Reshards = ({}, {}),
    changed: Container[str] = frozenset(),
) -> Reshards:
    """Probe every reshard that a joint choice may need.

    Returns the times by edge, from each layout the producer can leave (and DRAM, where a spilled
    tensor waits) to each the consumer can take; and for every tensor that has to wait for a
    consumer, the times of its spill to DRAM. What is ``known`` is taken over where the tables of
    its layers are not among the ``changed``.
    """
    reshards, spills = dict(known[0]), dict(known[1])
    for name in _waiting(network):
        if name not in spills or name in changed:
            left = distinct(choice.output_layout for choice in tables[name])
            in_l1 = [layout for layout in left if layout.memory is Memory.L1]
            pairs = [(layout, in_dram(layout)) for layout in in_l1]
            spills[name] = probe_pairs(network.by_name[name].shape, pairs, book)
    asked = [
        edge
        for edge in network.edges
        if edge not in reshards or edge.producer in changed or edge.consumer in changed
    ]
    for done, edge in enumerate(asked):
        progress(network.by_name[edge.consumer], done, len(asked))
        left = [choice.output_layout for choice in tables[edge.producer]]
        if edge.producer in spills:
            left += [target for _, target in spills[edge.producer].times_us]
        wanted = distinct(choice.input_layouts[edge.index] for choice in tables[edge.consumer])
        pairs = [
            (source, target) for source in distinct(left) for target in wanted if source != target
        ]
        reshards[edge] = probe_pairs(network.by_name[edge.producer].shape, pairs, book)
    return reshards, spills


def _waiting(network: Network) -> list[str]:
    """Return the layers whose output is not read by the next layer alone."""
    position = {layer.name: index for index, layer in enumerate(network)}
    late = {e.producer for e in network.edges if position[e.consumer] > position[e.producer] + 1}
    return [layer.name for layer in network if layer.name in late]


def probe_pairs(shape: TensorShape, pairs: Iterable[Pair], book: ProbeBook) -> ReshardTable:
    """Probe reshards of tensors of one shape."""
    times_us: dict[Pair, float] = {}
    impossible, measured = set(), set()
    for source, target in pairs:
        answer = book.reshard(shape, source, target)
        # ttnn may leave the tensor elsewhere than asked; such a reshard helps nobody.
        if isinstance(answer, Rejection) or answer.outcome.output_layout != target:
            impossible.add((source, target))
            continue
        times_us[source, target] = answer.time_us
        if answer.kind is TimeKind.MEASURED:
            measured.add((source, target))
    return ReshardTable(times_us, frozenset(impossible), frozenset(measured))
