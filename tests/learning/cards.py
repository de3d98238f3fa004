"""Cards that are none: their times come from coefficients of our own choosing, and noise."""

import numpy as np

from autosched.budget import UNLIMITED, Budget
from autosched.cost.learning import Learner
from autosched.cost.model import CostModel
from autosched.device.interface import Device, Request, ask, check_time
from autosched.learning.decisions import Decision
from autosched.learning.timetable import Piece
from autosched.probing.probe_book import Phase, total_us
from autosched.schedule.outcomes import AloneTime, ProbeOutcome, Rejection

NOISE = 0.02


def other_model(cost: CostModel, seed: int, scale: float) -> CostModel:
    """Coefficients that lie ``scale`` standard errors from a model's, in a direction of chance."""
    learner = Learner(cost.coefficients)
    direction = np.random.default_rng(seed).standard_normal(learner.count)
    return learner.learn([]).moved_to(scale * direction).model()


class InventedCard:
    """Answers as a mock device, with times by a model of its own and noise of 2 %."""

    def __init__(self, device: Device, truth: CostModel, seed: int = 0) -> None:
        self.truth = truth
        self.asked: list[Request] = []
        self._device = device
        self._random = np.random.default_rng(seed)

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        check_time(budget)
        self.asked.append(request)
        found = ask(self._device, request)
        if not isinstance(found, ProbeOutcome):
            return found
        time_us = total_us(self.truth.estimate(found.ops))
        time_us *= float(np.exp(NOISE * self._random.standard_normal()))
        return AloneTime(found.ops, time_us, NOISE * time_us)


class Noting:
    """Notes what learning tells."""

    def __init__(self) -> None:
        self.phases: list[tuple[Phase, int, int]] = []
        self.decisions: list[tuple[Decision, int]] = []
        self.answers: list[tuple[Piece, float, AloneTime | Rejection]] = []

    def on_phase(self, phase: Phase, done: int, total: int, detail: str) -> None:  # noqa: ARG002
        self.phases.append((phase, done, total))

    def on_decision(self, decision: Decision, taken: int) -> None:
        self.decisions.append((decision, taken))

    def on_answer(self, piece: Piece, estimated_us: float, answer: AloneTime | Rejection) -> None:
        self.answers.append((piece, estimated_us, answer))
