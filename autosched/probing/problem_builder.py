"""The joint problem of a network in the execution order that suits it best, with its reshards."""

from dataclasses import replace

from autosched.boards import Board
from autosched.errors import SearchError
from autosched.network.graph import Network
from autosched.probing.candidates import ProbedTables
from autosched.probing.joint_problem import JointProblem
from autosched.probing.probe_book import ProbeBook, Progress
from autosched.probing.reshard_tables import probe_reshards
from autosched.solver.orders import solve_best_order
from autosched.solver.problem import Problem

# A budget in states, not seconds: a study that goes on must come to the same order.
_STATES = 20_000


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
