import math
from dataclasses import replace

from autosched.solver.evaluate import Move, Reshard, evaluate, violates
from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting

SPILL, LOAD = {(1, 0): 4.0}, {(0, 1): 3.0, (1, 2): 2.0}


def skip_network():
    """Layouts of 0, 6 and 5 bytes; "a" is read by its neighbour and by the last layer."""
    return Problem(
        layers=(
            LayerTable("a", (), (Candidate(1.0, (), 1),), moves=SPILL),
            LayerTable(
                "b", (0,), (Candidate(1.0, (1,), 2, 7), Candidate(2.0, (2,), 2, 0)), (LOAD,)
            ),
            LayerTable("c", (1, 0), (Candidate(1.0, (2, 1), 0),), ({}, LOAD)),
        ),
        layout_bytes=(0, 6, 5),
        capacity_bytes=100,
    )


def test_native_inputs():
    found = evaluate(skip_network(), (0, 0, 0))
    assert found.cost_us == 3.0
    assert found.peak_bytes == (6, 6 + 5 + 7, 6 + 5)
    assert found.residencies == (1, 2, 0)
    assert not found.reshards
    assert not found.moves


def test_a_reshard_keeps_the_original_for_later_readers():
    found = evaluate(skip_network(), (0, 1, 0))
    assert found.cost_us == 6.0
    assert found.reshards == (Reshard(0, 1, 0, 1, 2, 2.0),)
    assert found.peak_bytes == (6, 6 + 5 + 5, 11)


def test_a_spill_is_reloaded_for_each_reader():
    found = evaluate(skip_network(), (0, 0, 0), {(0, 0): 0})
    assert found.moves == (Move(0, 0, 1, 0, 4.0),)
    assert found.reshards == (Reshard(0, 1, 0, 0, 1, 3.0), Reshard(0, 2, 1, 0, 1, 3.0))
    assert found.cost_us == 3.0 + 4.0 + 6.0
    assert found.peak_bytes == (6, 6 + 5 + 7, 11)
    assert found.residencies == (0, 2, 0)


def test_the_last_reader_frees_the_original_once_it_is_copied():
    layers = (
        LayerTable("a", (), (Candidate(1.0, (), 1),)),
        LayerTable(
            "b", (0, 0), (Candidate(1.0, (2, 2), 0, 3), Candidate(1.0, (2, 1), 0)), (LOAD, LOAD)
        ),
    )
    problem = Problem(layers, (0, 6, 5), 100)
    assert evaluate(problem, (0, 0)).peak_bytes == (6, 16)
    assert evaluate(problem, (0, 1)).peak_bytes == (6, 11)


def test_what_has_no_time_costs_infinity():
    assert evaluate(skip_network(), (0, 0, 0), {(0, 0): 2}).cost_us == math.inf


def test_fits_and_violates():
    found = evaluate(skip_network(), (0, 0, 0))
    assert found.fits(18)
    assert not found.fits(17)
    pair = Nogood(((0, 0), (1, 0)))
    assert violates(replace(skip_network(), nogoods=(pair,)), found)
    assert not violates(
        replace(skip_network(), nogoods=(pair,)), evaluate(skip_network(), (0, 1, 0))
    )


def test_a_constraint_on_where_a_tensor_waits():
    """It spills after "b": "b" begins with it in L1, "c" does not."""
    stays = evaluate(skip_network(), (0, 0, 0))
    spills = evaluate(skip_network(), (0, 0, 0), {(1, 0): 0})

    def forbids(*waiting):
        problem = replace(skip_network(), nogoods=(Nogood(((2, 0),), waiting),))
        return violates(problem, stays), violates(problem, spills)

    assert forbids(Waiting(0, 1, 1)) == (True, True)
    assert forbids(Waiting(0, 2, 1)) == (True, False)
    assert forbids(Waiting(0, 2, 0)) == (False, True)
    assert forbids(Waiting(0, 1, 1), Waiting(0, 2, 0)) == (False, True)
    assert forbids(Waiting(0, 0, 1)) == (False, False)
