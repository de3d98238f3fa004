"""The joint problem of a network: probed, and in the execution order that suits it best."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.probing.candidates import ProbedTables, Tables
from autosched.probing.format_tables import Wanted, in_other_formats
from autosched.probing.joint_problem import JointProblem
from autosched.probing.layer_tables import TableBuilder
from autosched.probing.lower_bound import widened
from autosched.probing.probe_book import LayerProgress, Phase, ProbeBook, Progress
from autosched.probing.reshard_tables import probe_reshards
from autosched.probing.restrictions import Restriction, keep_frozen
from autosched.schedule.schedule import Schedule
from autosched.solver.bounds import costs_more
from autosched.solver.orders import solve_best_order
from autosched.solver.problem import Problem
from autosched.space.efforts import FIRST_LOOK, Effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats

# A limit in states, not seconds: a study that goes on must come to the same order.
_STATES = 20_000


def build_problem(  # noqa: PLR0913 - what it is of, and who answers
    network: Network,
    formats: Formats,
    board: Board,
    effort: Effort,
    book: ProbeBook,
    measured: ProbeBook | None = None,
    *,
    known: Sequence[Schedule] = (),
    rules: Sequence[Restriction] = (),
    wanted: Wanted | None = None,
    in_all_formats: bool = False,
    progress: Progress,
    budget: Budget = UNLIMITED,
) -> JointProblem:
    """Probe the layers and reshards of a network and return the joint problem.

    Its bounds rest on what was probed, as far as time allows; those of a first look do not. The
    arguments are those of :class:`~autosched.probing.layer_tables.TableBuilder`; with
    ``in_all_formats`` the candidates come in all formats that are ``wanted``.

    Raises:
        SearchError: if a layer has no candidate that the device accepts and the rules leave.
        TimeUpError: if the budget ends first; what was probed is stored.
    """
    with ExitStack() as limits:
        for asked in filter(None, (book, measured)):
            limits.enter_context(asked.within(budget))
            asked.offers_unexecuted = effort.unexecuted
        layers = LayerFormats(network, formats)
        # What is frozen is among the candidates once what is known has joined them.
        others = [rule for rule in rules if not rule.freezes]
        builder = TableBuilder(
            network, layers, board, effort, book, measured, known=known, rules=others
        )
        tables = builder.build(
            lambda layer, done, total: progress(Phase.LAYERS, done, total, layer.name)
        )
        if in_all_formats:

            def of_formats(layer: Layer, done: int, total: int) -> None:
                progress(Phase.FORMATS, done, total, layer.name)

            more_us = {}
            if wanted is not None and not wanted.widely:
                more_us = _costs_more(network, tables.kept, board, book, progress)

            def exact(lacking: Sequence[Layer]) -> Tables:
                own = LayerFormats(network, formats.most_exact)
                others_too = TableBuilder(network, own, board, effort, book, rules=others)
                return others_too.of_convolutions(lacking, of_formats)

            tables = in_other_formats(
                network,
                tables,
                layers,
                builder.questions,
                book,
                wanted=wanted,
                more_us=more_us,
                exact=exact,
                effort=effort,
                progress=of_formats,
            )
        tables = keep_frozen([rule for rule in rules if rule.freezes], tables)
        ordered = ordered_problem(
            network, tables, board, book, progress, converts=not in_all_formats
        )
        if effort is FIRST_LOOK or in_all_formats:
            return ordered  # it proves nothing
        return widened(ordered, book, _of_reshards(progress), builder.questions.timed, budget)


def _costs_more(
    network: Network, tables: Tables, board: Board, book: ProbeBook, progress: Progress
) -> dict[str, tuple[float, ...]]:
    """Return how much longer schedules with each candidate of the tables take, at least, in us.

    What does not fit in L1 may fit in another order of the layers, of which nothing is known.
    """
    reshards = probe_reshards(network, tables, book, _of_reshards(progress))
    joint = JointProblem(network, tables, *reshards, board)
    return {
        layer.name: tuple(more if math.isfinite(more) else 0.0 for more in more_us.tolist())
        for layer, more_us in zip(network, costs_more(joint.problem), strict=True)
    }


def _of_reshards(progress: Progress) -> LayerProgress:
    return lambda layer, done, total: progress(Phase.RESHARDS, done, total, layer.name)


def ordered_problem(
    network: Network,
    tables: ProbedTables,
    board: Board,
    book: ProbeBook,
    progress: Progress,
    *,
    converts: bool = True,
) -> JointProblem:
    """Probe the reshards that a joint choice may need, and return the joint problem.

    Its network, and with it every schedule made of it, has the layers in the order found best:
    the captured one, unless L1 is so tight that finishing another branch first costs less. Reshards
    are those of :func:`~autosched.probing.reshard_tables.probe_reshards`.

    Raises:
        TimeUpError: if the book's budget ends first.
    """

    def probed(ordered: Network) -> JointProblem:
        own = {layer.name: tables.kept[layer.name] for layer in ordered}
        reshards, spills = probe_reshards(
            ordered, own, book, _of_reshards(progress), converts=converts
        )
        return JointProblem(ordered, own, reshards, spills, board, left_out=tables.left_out)

    joint = probed(network)
    progress(Phase.ORDERING, 0, 0, "")
    order = best_order(joint.problem, book.budget)
    # What was found in haste may be another order than the study's trials have.
    book.budget.check()
    if order is None and not book.offers_unexecuted:
        book.offers_unexecuted = True  # rather a reshard that nobody has executed than no schedule
        return ordered_problem(network, tables, board, book, progress, converts=converts)
    if order in {None, joint.problem.order}:
        return joint
    # Other tensors wait now, so that other spills are worth a probe.
    return probed(replace(network, layers=tuple(network.layers[index] for index in order)))


def best_order(problem: Problem, budget: Budget = UNLIMITED) -> tuple[int, ...] | None:
    """Return the execution order with the cheapest schedule, the problem's own among equals.

    None if no schedule is found in any.
    """
    try:
        ordered, _ = solve_best_order(
            problem, memory_limit_states=_STATES, total_limit_s=budget.left_s
        )
    except SearchError:
        return None
    return ordered.order
