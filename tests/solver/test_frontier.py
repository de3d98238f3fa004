import itertools

import numpy as np

from autosched.solver.frontier import Frontier, Steps, merge_states, narrow
from autosched.solver.stages import Column


def steps(codes, cost, load=None, total=None):
    count = len(cost)
    load = np.zeros(count, np.int64) if load is None else np.array(load)
    frontier = Frontier(np.array(codes, np.int16).reshape(count, -1), load, np.array(cost))
    numbers = np.arange(count)
    return Steps(frontier, numbers, numbers, np.array(cost if total is None else total))


def columns(count, layouts):
    return [
        Column(slot, tuple(range(layouts)), np.zeros(layouts, np.int64)) for slot in range(count)
    ]


def test_merge_keeps_the_cheapest_of_each_state():
    rows = steps([[0], [1], [0], [0]], [3.0, 9.0, 1.0, 2.0])
    assert sorted(merge_states(rows, columns(1, 2), 1).parent) == [1, 2]
    assert sorted(merge_states(rows, columns(1, 2), 2).parent) == [1, 2, 3]


def test_states_wider_than_one_word_never_collide():
    codes = [
        [*head, *[3] * 36, *tail]
        for head in itertools.product(range(4), repeat=2)
        for tail in itertools.product(range(4), repeat=2)
    ]
    rows = steps(codes * 2, [1.0] * 256 + [0.5] * 256)
    kept = merge_states(rows, columns(40, 4), 1)
    assert len(kept) == 256
    assert sorted(kept.parent) == list(range(256, 512))


def test_narrow_tells_the_lowest_bound_let_go():
    rows = steps([[0]] * 8, [1.0] * 8, total=[8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0])
    kept, let_go = narrow(rows, 4)
    assert {1.0, 2.0, 3.0} < set(kept.total_us)
    assert min(set(rows.total_us) - set(kept.total_us)) == let_go
    assert narrow(rows, 8) == (rows, np.inf)


def test_narrow_keeps_some_that_hold_little_l1():
    rows = steps([[0]] * 4, [1.0, 2.0, 3.0, 4.0], load=[9, 9, 9, 0])
    assert sorted(narrow(rows, 2)[0].parent) == [0, 3]
