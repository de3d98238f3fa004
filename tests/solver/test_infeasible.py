import pytest

from autosched.errors import SearchError
from autosched.solver.infeasible import explain_infeasible
from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem
from autosched.solver.solver import solve
from tests.solver.random_problems import two_convolutions


def test_says_which_layer_lacks_how_many_bytes():
    with pytest.raises(SearchError, match=r"'second' lacks 3 bytes.* candidate 0 needs 20 of 17"):
        solve(two_convolutions(17))


def test_says_which_pin_to_lift():
    with pytest.raises(SearchError, match="feasible by unpinning 'second'"):
        solve(two_convolutions(20, pinned=1))


def test_says_which_spill_would_help():
    layers = (
        LayerTable("skip", (), (Candidate(1.0, (), 1),)),
        LayerTable("branch", (), (Candidate(1.0, (), 1, 5),)),
        LayerTable("add", (0, 1), (Candidate(1.0, (0, 1), 0),), ({(1, 0): 1.0}, {})),
    )
    with pytest.raises(
        SearchError, match=r"'branch' lacks 2 bytes.*'skip' \(6 bytes\).*a spill of 'skip'"
    ):
        solve(Problem(layers, (0, 6), 15))


def test_says_where_no_reshard_leads():
    layers = (
        LayerTable("conv", (), (Candidate(1.0, (), 1),)),
        LayerTable("pool", (0,), (Candidate(1.0, (0,), 0),), ({},)),
    )
    with pytest.raises(SearchError, match="'pool' takes no layout that its inputs can be"):
        solve(Problem(layers, (0, 6), 100))


def test_says_that_learned_constraints_leave_nothing():
    layers = (LayerTable("conv", (), (Candidate(1.0, (), 0),)),)
    with pytest.raises(SearchError, match=r"'conv' has no choice.*lifting the learned constraints"):
        solve(Problem(layers, (0,), 10, (Nogood(((0, 0),)),)))


def test_says_when_only_all_pins_together_are_wrong():
    options = (Candidate(1.0, (), 0, 20), Candidate(1.0, (), 0, 5))
    layers = (LayerTable("a", (), options, pinned=0), LayerTable("b", (), options, pinned=0))
    with pytest.raises(SearchError, match=r"'a' lacks 10 bytes.* without all pins"):
        solve(Problem(layers, (0,), 10))


def test_says_when_nothing_helps():
    layers = (LayerTable("conv", (), (Candidate(1.0, (), 0, 20),)),)
    with pytest.raises(SearchError, match="another --board may leave it room"):
        solve(Problem(layers, (0,), 10))


def test_after_the_deadline_no_way_out_is_tried():
    problem = two_convolutions(20, pinned=1)
    assert "by unpinning 'second'" in explain_infeasible(problem)
    late = explain_infeasible(problem, deadline=0.0)
    assert "'second' lacks 3 bytes" in late
    assert "feasible by" not in late
