"""Small random problems, and an exhaustive search written from the rules, not from the solver."""

import itertools
import math
import random

from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting

DRAM = 0


def chain(count):
    return [() if i == 0 else (i - 1,) for i in range(count)]


def diamond(count):
    """0 forks into 1 and 2, 3 joins, then a chain."""
    return ([(), (0,), (0,), (1, 2)] + [(i - 1,) for i in range(4, count)])[:count]


def nested_skips(count):
    """A U: layer i is read again by its mirror image."""
    half = count // 2
    producers = [() if i == 0 else (i - 1,) for i in range(count)]
    for i in range(half + 1, count):
        mirror = count - 1 - i
        producers[i] = (i - 1, mirror)
    return producers


def dense(count):
    return [tuple(range(i)) if i < 4 else (i - 1, i - 2) for i in range(count)]


def scattered(count, rng):
    producers = []
    for i in range(count):
        inputs = rng.choice([1, 1, 2, 2, 3]) if i else 0
        producers.append(tuple(rng.randrange(i) for _ in range(inputs)))
    return producers


SHAPES = {
    "chain": lambda count, _: chain(count),
    "diamond": lambda count, _: diamond(count),
    "nested": lambda count, _: nested_skips(count),
    "dense": lambda count, _: dense(count),
    "scattered": scattered,
}


def random_problem(seed, shape="scattered", count=4, layouts=3, candidates=2):
    """A problem that brute force can enumerate; about a third are tight or infeasible."""
    rng = random.Random(seed)
    sizes = (DRAM, *(rng.randint(1, 9) for _ in range(layouts - 1)))
    layers = tuple(
        _layer(rng, index, producers, layouts, candidates)
        for index, producers in enumerate(SHAPES[shape](count, rng))
    )
    return Problem(
        layers=layers,
        layout_bytes=sizes,
        capacity_bytes=rng.choice([14, 18, 22, 26, 40, 100]),
        nogoods=tuple(
            random_nogood(rng, layers, layouts) for _ in range(rng.choice([0, 0, 1, 2, 3]))
        ),
    )


def _layer(rng, index, producers, layouts, candidates):
    options = tuple(
        Candidate(
            time_us=float(rng.randint(1, 12)),
            input_layouts=tuple(rng.randrange(layouts) for _ in producers),
            output_layout=rng.randrange(layouts),
            cb_bytes=rng.choice([0, 0, 1, 3, 6, -4]),
            payload=number,
            saved_bytes=rng.choice([0, 0, 2, 5]),
        )
        for number in range(rng.randint(1, candidates))
    )
    moves = {
        (source, target): float(rng.randint(1, 5))
        for source in range(layouts)
        for target in (range(layouts) if rng.random() < 0.15 else (DRAM,))
        if rng.random() < 0.5 and source != target
    }
    reshards = tuple(_reshards(rng, layouts) for _ in producers)
    pinned, forbidden = None, frozenset()
    if rng.random() < 0.15:
        pinned = rng.randrange(len(options))
    elif len(options) > 1 and rng.random() < 0.2:
        forbidden = frozenset({rng.randrange(len(options))})
    spill = moves if rng.random() < 0.6 else {}
    return LayerTable(f"layer{index}", producers, options, reshards, spill, pinned, forbidden)


def _reshards(rng, layouts):
    table = {
        pair: float(rng.randint(1, 6))
        for pair in itertools.permutations(range(layouts), 2)
        if rng.random() < 0.9
    }
    if rng.random() < 0.3:
        return lambda source, target: table.get((source, target), math.inf)
    return table


def random_nogood(rng, layers, layouts):
    """Choices, tensors that wait somewhere, or both; some can never be so."""
    everything = range(len(layers))
    members = rng.sample(everything, min(len(layers), rng.choice([0, 1, 2, 2, 2, 3])))
    waiting = rng.choice([0, 0, 1, 1, 2]) if members else 1
    return Nogood(
        tuple((layer, rng.randrange(len(layers[layer].candidates))) for layer in members),
        tuple(_waiting(rng, layers, layouts) for _ in range(waiting)),
    )


def _waiting(rng, layers, layouts):
    """Mostly of a tensor that some layer reads, when it does."""
    pairs = [(p, index) for index, layer in enumerate(layers) for p in layer.producers]
    if not pairs or rng.random() < 0.2:
        tensor, at = rng.randrange(len(layers)), rng.randrange(len(layers))
    else:
        tensor, at = rng.choice(pairs)
    return Waiting(tensor, at, rng.randrange(layouts))


def every_schedule(problem):
    """Yield the cost of every feasible joint choice: candidates, then moves, by plain recursion."""
    choices = [
        [c for c in range(len(layer.candidates)) if c not in layer.forbidden]
        if layer.pinned is None
        else [layer.pinned]
        for layer in problem.layers
    ]
    for chosen in itertools.product(*choices):
        named = [n for n in problem.nogoods if all(chosen[i] == c for i, c in n.chosen)]
        if all(nogood.waiting for nogood in named):
            yield from _play((problem, [set(n.waiting) for n in named]), chosen, 0, {}, 0.0)


def _play(rules, chosen, step, resident, cost):
    """``rules`` are the problem and, of each constraint under way, what still has to be so."""
    problem, constraints = rules
    order = problem.order
    if cost == math.inf:
        return
    if step == len(order):
        yield cost
        return
    index = order[step]
    waits = {Waiting(tensor, index, layout) for tensor, layout in resident.items()}
    constraints = [left - waits for left in constraints]
    if not all(constraints):
        return
    layer = problem.layers[index]
    option = layer.candidates[chosen[index]]
    size = problem.layout_bytes
    later = {p for i in order[step + 1 :] for p in problem.layers[i].producers}
    memory = {("tensor", t): size[layout] for t, layout in resident.items()}
    cost += option.time_us + _take_inputs(problem, (layer, option), resident, later, memory)
    out = size[option.output_layout]
    alive = {t: layout for t, layout in resident.items() if t in later}
    kept = sum(size[layout] for layout in alive.values()) + out
    running = sum(memory.values()) + out + option.cb_bytes
    if ("copy", 0) in memory or (layer.producers and layer.producers[0] not in later):
        running -= option.saved_bytes
    if max(running, kept) > problem.capacity_bytes:
        return
    if index in later:
        alive[index] = option.output_layout
    movable = [t for t in sorted({*layer.producers, index}) if t in alive]
    for moved, extra in _moved(problem, alive, movable):
        yield from _play((problem, constraints), chosen, step + 1, moved, cost + extra)


def _take_inputs(problem, choice, resident, later, memory):
    """Reshard time; memory is a bag of bytes by owner, infinity when it overflows."""
    layer, option = choice
    cost = 0.0
    for k, (p, wanted) in enumerate(zip(layer.producers, option.input_layouts, strict=True)):
        if resident[p] != wanted:
            table = layer.reshards[k]
            pair = (resident[p], wanted)
            cost += table(*pair) if callable(table) else table.get(pair, math.inf)
            memory["copy", k] = problem.layout_bytes[wanted]
            if sum(memory.values()) > problem.capacity_bytes:
                return math.inf
        uses = [j for j, q in enumerate(layer.producers) if q == p]
        native = [j for j in uses if option.input_layouts[j] == resident[p]]
        if k == uses[-1] and not native and p not in later:
            del memory["tensor", p]
    return cost


def _moved(problem, alive, movable):
    if not movable:
        yield alive, 0.0
        return
    first, *rest = movable
    yield from _moved(problem, alive, rest)
    load = sum(problem.layout_bytes[layout] for layout in alive.values())
    for (source, target), time_us in problem.layers[first].moves.items():
        fits = load + problem.layout_bytes[target] <= problem.capacity_bytes
        if source == alive[first] and fits:
            for moved, extra in _moved(problem, {**alive, first: target}, rest):
                yield moved, extra + time_us


def two_convolutions(capacity, **second):
    """A layer whose 6 bytes stay live beside the next layer's 5, for a third to read."""
    reload = {(0, 1): 2.0}
    return Problem(
        layers=(
            LayerTable("first", (), (Candidate(1.0, (), 1),), moves={}),
            LayerTable(
                "second",
                (0,),
                (Candidate(5.0, (1,), 2, 9), Candidate(3.0, (1,), 2, 12)),
                (reload,),
                **second,
            ),
            LayerTable("third", (1, 0), (Candidate(1.0, (2, 1), 0),), ({}, reload)),
        ),
        layout_bytes=(0, 6, 5),
        capacity_bytes=capacity,
    )
