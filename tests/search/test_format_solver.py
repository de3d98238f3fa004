"""The fastest choice within a budget of error, beside all choices of small problems."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pytest

from autosched.budget import UNLIMITED
from autosched.numerics.sensitivity import loss
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.format_solver import FormatChoice, FormatSolver

if TYPE_CHECKING:
    from autosched.search.format_errors import ErrorModel
    from autosched.search.run import Run
    from autosched.search.samplers.proposals import Proposals

SCHEDULE = Schedule(Provenance("net", "", "n150", "0.81.1", 1), {})


class Candidate(NamedTuple):
    number: int
    time_us: float


class Independent:
    """Layers that leave each other alone: candidates' times and errors, by layer and candidate."""

    def __init__(self, times_us: Sequence[Sequence[float]], variances: Sequence[Sequence[float]]):
        self.times_us, self.variances = times_us, variances
        names = [f"layer{place}" for place in range(len(times_us))]
        self.network = [SimpleNamespace(name=name) for name in names]
        self.tables = {
            name: [Candidate(number, time_us) for number, time_us in enumerate(own)]
            for name, own in zip(names, times_us, strict=True)
        }
        self.nothing = np.zeros((1, 2))

    def key(self, choice: Candidate) -> int:
        return choice.number

    def errors(self, layer: str, key: int) -> np.ndarray:
        return np.array([[0.0, self.variances[list(self.tables).index(layer)][key]]])

    def penalised(
        self, penalties_us: Sequence[np.ndarray], *_: object
    ) -> tuple[Selection, Schedule, float]:
        costs = [own + more for own, more in zip(self.times_us, penalties_us, strict=True)]
        chosen = {name: int(np.argmin(own)) for name, own in zip(self.tables, costs, strict=True)}
        return Selection(chosen), SCHEDULE, sum(float(own.min()) for own in costs)

    def solver(self) -> FormatSolver:
        run = SimpleNamespace(budget=UNLIMITED, provenance=None)
        return FormatSolver(
            cast("Run", run),
            cast("JointProblem", self),
            cast("ErrorModel", self),
            cast("Proposals", self),
        )

    def of_all(self) -> list[tuple[float, float]]:
        """The time and loss of each joint choice."""
        return [
            (
                sum(own[number] for own, number in zip(self.times_us, numbers, strict=True)),
                loss(
                    sum(
                        (self.errors(*pair) for pair in zip(self.tables, numbers, strict=True)),
                        self.nothing,
                    )
                ),
            )
            for numbers in itertools.product(*(range(len(own)) for own in self.times_us))
        ]


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of a selection, of layers that are no real ones."""

    def chosen_errors(errors: Independent, _: object, selection: Selection) -> dict:
        return {name: errors.errors(name, key) for name, key in selection.candidates.items()}

    monkeypatch.setattr("autosched.search.format_solver.chosen_errors", chosen_errors)


def drawn(seed: int) -> Independent:
    """Six layers of four formats: what is faster is less exact, in other proportions each time."""
    random = np.random.default_rng(seed)
    scales = random.uniform(20, 200, 6)
    times_us = [scale * np.sort(random.uniform(0.5, 1.0, 4))[::-1] for scale in scales]
    variances = [10 ** np.sort(random.uniform(-5, -2, 4)) for _ in range(6)]
    return Independent(times_us, variances)


@pytest.mark.parametrize("seed", range(20))
def test_hardly_anything_within_the_budget_is_faster(seed: int) -> None:
    problem = drawn(seed)
    everything = problem.of_all()
    solver = problem.solver()
    least = min(lost for _, lost in everything)
    for budget in (1.5 * least, 4 * least, 15 * least):
        found = solver.solve(budget)
        assert found is not None
        assert found.loss <= budget
        least_us = min(time_us for time_us, lost in everything if lost <= budget)
        assert least_us * (1 - 1e-9) <= found.time_us <= 1.006 * least_us


def test_where_none_is_within_the_budget_the_most_exact_is_found() -> None:
    problem = drawn(0)
    least = min(lost for _, lost in problem.of_all())
    found = problem.solver().solve(least / 2)
    assert found is not None
    assert found.loss == pytest.approx(least)


def test_a_choice_that_is_best_at_no_price_is_found() -> None:
    """Losing much for 100 us is worth it before losing less for 5, and does not fit."""
    problem = Independent([[160.0, 60.0], [100.0, 95.0]], [[0.0, 0.02], [0.0, 0.008]])
    found = problem.solver().solve(0.005)
    assert found is not None
    assert found.time_us == pytest.approx(255.0)


def test_each_price_bounds_what_loses_as_little() -> None:
    prices = [(0.0, 100.0), (10.0, 150.0)]
    choice = FormatChoice(Selection({}), SCHEDULE, 120.0, 0.0, {"conv": 3.0, "fc": 1.0}, prices)
    assert choice.bound_us(1.0) == 110.0
    assert choice.bound_us(2.0) == 100.0
