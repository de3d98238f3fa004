import numpy as np

from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, Waiting
from autosched.solver.stages import MoveStage, RunStage, compile_stages

LOAD = {(0, 1): 3.0, (1, 2): 2.0}


def skip_network(**changes):
    layers = (
        LayerTable("a", (), (Candidate(1.0, (), 1),), moves={(1, 0): 4.0, (2, 0): 9.0}),
        LayerTable("b", (0,), (Candidate(1.0, (1,), 2), Candidate(1.0, (2,), 2)), (LOAD,)),
        LayerTable("c", (1, 0), (Candidate(1.0, (2, 1), 0),), ({}, LOAD)),
    )
    return Problem(layers, (0, 6, 5), 100, **changes)


def live(stage):
    return [column.tensor for column in stage.columns]


def test_the_frontier_is_what_is_live():
    stages = compile_stages(skip_network())
    kinds = [type(stage) for stage in stages]
    assert kinds == [RunStage, MoveStage, RunStage, MoveStage, RunStage]
    assert [live(stage) for stage in stages] == [[], [0], [0], [0, 1], [0, 1]]
    assert [stage.after for stage in stages if isinstance(stage, MoveStage)] == [0, 1]


def test_codes_number_the_layouts_that_can_be_reached():
    move = compile_stages(skip_network())[1]
    assert move.columns[0].layouts == (0, 1)
    assert move.columns[0].sizes.tolist() == [0, 6]
    assert move.time_us.tolist() == [[0.0, np.inf], [4.0, 0.0]]


def test_input_tables_are_by_layout_and_candidate():
    (tables,) = compile_stages(skip_network())[2].inputs
    assert tables.time_us.tolist() == [[3.0, np.inf], [0.0, 2.0]]
    assert tables.added_bytes.tolist() == [[6, 5], [0, 5]]
    assert not tables.freed_bytes.any()


def test_a_learned_constraint_has_a_column_while_undecided():
    stages = compile_stages(skip_network(nogoods=(Nogood(((2, 0), (0, 0))), Nogood(((1, 1),)))))
    assert [live(stage) for stage in stages] == [[], [0, -1], [0, -1], [0, -1, 1], [0, -1, 1]]
    assert [len(stage.watches) for stage in stages if isinstance(stage, RunStage)] == [1, 1, 1]


def test_where_a_tensor_waits_is_looked_up_when_the_layer_begins():
    """No column is needed for it; what can never be so is no constraint."""
    stages = compile_stages(
        skip_network(
            nogoods=(
                Nogood(((2, 0),), (Waiting(0, 2, 1),)),
                Nogood(waiting=(Waiting(0, 0, 1),)),
                Nogood(waiting=(Waiting(0, 2, 2),)),
            )
        )
    )
    assert [live(stage) for stage in stages] == [[], [0], [0], [0, 1], [0, 1]]
    watches = [stage.watches for stage in stages if isinstance(stage, RunStage)]
    assert [len(found) for found in watches] == [0, 0, 1]
    assert watches[2][0].waiting == ((0, 1),)
