import math

import pytest

from autosched.errors import SearchError
from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting

STEM = LayerTable("stem", (), (Candidate(1.0, (), 0),))


def conv(**changes):
    fields = {"producers": (0,), "candidates": (Candidate(1.0, (0,), 1),), "reshards": ({},)}
    return LayerTable("conv", **{**fields, **changes})


def build(layer, **changes):
    return Problem((STEM, layer), (0, 4), 10, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"producers": (1,)}, "'conv': its producers must be layers numbered before"),
        ({"reshards": ()}, "'conv': 1 inputs need as many reshard tables, not 0"),
        ({"candidates": (Candidate(1.0, (), 1),)}, "'conv', candidate 0: needs one input layout"),
        ({"candidates": (Candidate(1.0, (0,), 2),)}, "candidate 0: layout outside the table of 2"),
        ({"candidates": (Candidate(math.inf, (0,), 1),)}, "candidate 0: time of inf us; leave out"),
        ({"candidates": (Candidate(-1.0, (0,), 1),)}, "candidate 0: time of -1.0 us"),
        ({"candidates": ()}, "'conv': no candidate is left of 0"),
        ({"forbidden": frozenset({0})}, "'conv': no candidate is left of 1; unpin"),
        ({"pinned": 3}, "'conv': pinned to candidate 3, which does not exist"),
    ],
)
def test_tables_that_do_not_fit_together(changes, message):
    with pytest.raises(SearchError, match=message):
        build(conv(**changes))


@pytest.mark.parametrize(
    "nogood",
    [
        Nogood(),
        Nogood(((2, 0),)),
        Nogood(((1, 1),)),
        Nogood(((1, 0), (1, 0))),
        Nogood(waiting=(Waiting(2, 1, 0),)),
        Nogood(waiting=(Waiting(0, 2, 0),)),
        Nogood(waiting=(Waiting(0, 1, 2),)),
    ],
)
def test_illegal_learned_constraints(nogood):
    with pytest.raises(SearchError, match="learned constraint"):
        build(conv(), nogoods=(nogood,))


def test_illegal_orders():
    with pytest.raises(SearchError, match="every layer must run exactly once"):
        build(conv(), execution_order=(0,))
    with pytest.raises(SearchError, match="layer 'conv' runs before its producer"):
        build(conv(), execution_order=(1, 0))


def test_reshard_times_come_from_tables_or_functions():
    table = conv(reshards=({(0, 1): 3.0},))
    function = conv(reshards=(lambda source, target: 10.0 * source + target,))
    assert table.reshard_us(0, 0, 1) == 3.0
    assert table.reshard_us(0, 1, 0) == math.inf
    assert table.reshard_us(0, 1, 1) == 0.0
    assert function.reshard_us(0, 1, 0) == 10.0
    assert function.reshard_us(0, 1, 1) == 0.0


def test_consumers_follow_the_execution_order():
    layers = (
        STEM,
        conv(),
        conv(),
        conv(producers=(0, 0), reshards=({}, {}), candidates=(Candidate(1.0, (0, 0), 1),)),
    )
    assert Problem(layers, (0, 4), 10, (), (0, 2, 3, 1)).consumers == ((2, 3, 1), (), (), ())
