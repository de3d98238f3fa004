"""Execution orders worth trying: which branch of a fork runs first changes what is live in L1."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from autosched.errors import SearchError
from autosched.solver.problem import LayerTable, Problem
from autosched.solver.solver import TOLERANCE, Solution, solve

DEFAULT_ORDERS = 16
Producers = Sequence[Sequence[int]]


def candidate_orders(
    producers: Producers, limit: int = DEFAULT_ORDERS
) -> Iterator[tuple[int, ...]]:
    """Yield up to ``limit`` distinct topological orders, the numbering itself first.

    The others are depth-first, so that a branch is finished before its sibling begins: with every
    join's inputs in argument order, with all joins reversed, and with one join reversed at a time.
    ``producers`` lists each layer's producers; they are numbered before it.
    """
    seen: set[tuple[int, ...]] = set()
    for order in (tuple(range(len(producers))), *_depth_first_orders(producers)):
        if len(seen) == limit:
            return
        if order not in seen:
            seen.add(order)
            yield order


def depth_first_order(producers: Producers, reversed_joins: frozenset[int]) -> tuple[int, ...]:
    """Return the order that finishes each input of a layer before it begins the next.

    Inputs are taken in argument order, or backwards for the layers in ``reversed_joins``.
    """
    read = {producer for inputs in producers for producer in inputs}
    order: dict[int, None] = {}
    stack = [layer for layer in reversed(range(len(producers))) if layer not in read]
    while stack:
        layer = stack[-1]
        inputs = producers[layer] if layer not in reversed_joins else producers[layer][::-1]
        waiting = next((producer for producer in inputs if producer not in order), None)
        if waiting is None:
            order.setdefault(stack.pop())
        else:
            stack.append(waiting)
    return tuple(order)


def solve_best_order(
    problem: Problem,
    k: int = 1,
    time_limit_s: float | None = None,
    memory_limit_states: int | None = None,
    orders: int = DEFAULT_ORDERS,
    total_limit_s: float = math.inf,
) -> tuple[Problem, Solution]:
    """Solve a problem in several execution orders and return the best order with its solution.

    The problem's own order comes first; the others are tried only if L1 costs it something. The
    reversals that help alone are tried together at last. The limits and the proof hold for each
    order by itself: other orders than these are not ruled out. Once all orders together took
    ``total_limit_s``, no other is begun.

    Raises:
        SearchError: as :func:`~autosched.solver.solver.solve`, if no order has a schedule.
    """
    limit_s = math.inf if time_limit_s is None else time_limit_s
    chooser = _Chooser(problem, k, limit_s, memory_limit_states, total_limit_s)
    own = chooser.cost_of(problem.order)
    if own > chooser.cost_without_l1() * (1 + TOLERANCE):
        chooser.try_others(orders)
    return chooser.result()


def without_l1(problem: Problem) -> Problem:
    """Return the problem with so much L1 that everything fits."""
    largest = max(problem.layout_bytes, default=0)
    buffers = max(c.cb_bytes for layer in problem.layers for c in layer.candidates)
    tensors = sum(len(layer.producers) + 2 for layer in problem.layers)
    return replace(problem, capacity_bytes=largest * tensors + max(buffers, 0))


def in_any_order(problem: Problem) -> Problem:
    """Return a problem that no schedule beats, whatever order it runs the layers in.

    Everything fits in L1. Which readers of a tensor come before its move and which after depends on
    the order: a tensor that moves is taken to be at both places from then on, in a layout of its
    own, and each reader takes it from where that is cheaper.
    """
    count = len(problem.layout_bytes)
    reached = [_reached(layer) for layer in problem.layers]
    layers = []
    for layer in problem.layers:
        reshards = tuple(
            partial(_least_us, layer, index, reached[producer], count)
            for index, producer in enumerate(layer.producers)
        )
        moves: dict[tuple[int, int], float] = {}
        for (source, _), time_us in layer.moves.items():
            pair = source, count + source
            moves[pair] = min(time_us, moves.get(pair, time_us))
        layers.append(replace(layer, reshards=reshards, moves=moves))
    layout_bytes = (*problem.layout_bytes, *[0] * count)
    return without_l1(replace(problem, layers=tuple(layers), layout_bytes=layout_bytes))


def _reached(layer: LayerTable) -> Mapping[int, frozenset[int]]:
    """Return where a tensor may be that has moved, by the layout it was left in."""
    found = {}
    for start, _ in layer.moves:
        places = {start}
        while new := {b for a, b in layer.moves if a in places} - places:
            places |= new
        found[start] = frozenset(places)
    return found


def _least_us(
    layer: LayerTable,
    index: int,
    reached: Mapping[int, frozenset[int]],
    count: int,
    source: int,
    target: int,
) -> float:
    """Return the reshard time of an input, also from the layouts beyond the first ``count``."""
    if source < count:
        return layer.reshard_us(index, source, target)
    return min(layer.reshard_us(index, place, target) for place in reached[source - count])


class _Chooser:
    """Solves orders once each and keeps the best."""

    def __init__(
        self, problem: Problem, k: int, limit_s: float, states: int | None, total_s: float
    ) -> None:
        self.problem = problem
        self.k, self.limit_s, self.states = k, limit_s, states
        self.ends_s = time.monotonic() + total_s
        self.producers = [layer.producers for layer in problem.layers]
        self.costs: dict[tuple[int, ...], float] = {}
        self.best: tuple[Problem, Solution] | None = None
        self.first_error: SearchError | None = None

    def cost_of(self, order: tuple[int, ...]) -> float:
        if order not in self.costs:
            self.costs[order] = self._solve(replace(self.problem, execution_order=order))
        return self.costs[order]

    def _solution(self, problem: Problem) -> Solution:
        left_s = max(0.0, self.ends_s - time.monotonic())
        return solve(problem, self.k, min(self.limit_s, left_s), self.states)

    def _solve(self, ordered: Problem) -> float:
        try:
            solution = self._solution(ordered)
        except SearchError as error:
            self.first_error = self.first_error or error
            return float("inf")
        if self.best is None or solution.best.cost_us < self.best[1].best.cost_us:
            self.best = (ordered, solution)
        return solution.best.cost_us

    def cost_without_l1(self) -> float:
        """Cost if everything fitted, 0 if even then nothing works."""
        try:
            return self._solution(without_l1(self.problem)).lower_bound_us
        except SearchError:
            return 0.0

    def try_others(self, limit: int) -> None:
        for order in candidate_orders(self.producers, limit):
            if time.monotonic() >= self.ends_s:
                return
            self.cost_of(order)
        base = self.costs.get(depth_first_order(self.producers, frozenset()), float("inf"))
        helpful = frozenset(
            join
            for join in _joins(self.producers)
            if self.costs.get(depth_first_order(self.producers, frozenset({join})), base) < base
        )
        if len(helpful) > 1:
            self.cost_of(depth_first_order(self.producers, helpful))

    def result(self) -> tuple[Problem, Solution]:
        if self.best is None:
            raise self.first_error or SearchError("a problem without execution order")
        return self.best


def _joins(producers: Producers) -> list[int]:
    return [layer for layer, inputs in enumerate(producers) if len(set(inputs)) > 1]


def _depth_first_orders(producers: Producers) -> Iterator[tuple[int, ...]]:
    joins = _joins(producers)
    yield depth_first_order(producers, frozenset())
    yield depth_first_order(producers, frozenset(joins))
    for join in joins:
        yield depth_first_order(producers, frozenset({join}))
