from dataclasses import replace

import numpy as np
import pytest

from autosched.cost.model import CostModel
from autosched.learning.timetable import Timetable
from autosched.probing.probe_book import total_us
from autosched.schedule.outcomes import HOST_READ
from autosched.solver.solver import solve
from tests.examples.studied import Studied


def estimated(timetable: Timetable, cost: CostModel) -> np.ndarray:
    return np.array([total_us(cost.estimate(piece.ops)) for piece in timetable.pieces])


def test_at_its_own_times_the_problem_is_the_joint_one(
    timetable: Timetable, studied: Studied, cost: CostModel
) -> None:
    times_us = estimated(timetable, cost)
    found = solve(timetable.problem(times_us)).best
    expected = solve(studied.joint.problem).best
    assert found.candidates == expected.candidates
    assert found.cost_us == pytest.approx(expected.cost_us)
    spent = timetable.spent(found)
    total = sum(times_us[place] * count for place, count in spent.items())
    assert total == pytest.approx(found.cost_us)


def test_what_takes_longer_is_chosen_no_more(
    timetable: Timetable, studied: Studied, cost: CostModel
) -> None:
    times_us = estimated(timetable, cost)
    best = solve(timetable.problem(times_us)).best
    number = [layer.name for layer in studied.joint.network].index("conv1")
    place = timetable.candidate(number, best.candidates[number])
    times_us[place] += 1000.0
    assert solve(timetable.problem(times_us)).best.candidates[number] != best.candidates[number]
    piece = timetable.pieces[place]
    assert piece.layer == "conv1"
    assert piece.ops == timetable.choice(number, best.candidates[number]).ops


def test_what_runs_nothing_or_on_the_host_is_not_timed(timetable: Timetable) -> None:
    piece = next(piece for piece in timetable.pieces if piece.layer == "conv1")
    assert piece.is_of_the_device
    assert not replace(piece, ops=()).is_of_the_device
    on_host = replace(piece.ops[0], code=HOST_READ)
    assert not replace(piece, ops=(*piece.ops, on_host)).is_of_the_device
