"""A network that was learned for on a card that is none, by way of an interruption."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from autosched.budget import UNLIMITED, Budget
from autosched.cost.learning import Learner
from autosched.cost.model import CostModel
from autosched.device.interface import Device, Request
from autosched.device.machine import ttnn_version
from autosched.device.worker import WorkerDevice
from autosched.learning.decisions import Decision, decide
from autosched.learning.session import Lesson, learn
from autosched.learning.timetable import Candidates, LearningTask, Timetable
from autosched.probing.candidates import LayerQuestions
from autosched.probing.probe_book import ProbeBook, total_us
from autosched.schedule.outcomes import AloneTime, Rejection
from autosched.solver.solver import solve
from autosched.space.efforts import find_effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import LayerFormats
from autosched.store.database import Store, open_store
from autosched.store.probes import DeviceKey
from tests.examples.networks import BOARD, residual
from tests.examples.studied import QUICK, Studied, copied
from tests.learning.cards import InventedCard, Noting, other_model
from tests.once import OncePerRun

WANTED = 40
FIRST = 7
"""After so many times comes Ctrl-C."""
SCALE = 3.0
"""How many standard errors the card's coefficients lie from the shipped ones."""
SEED = 3


def task_of(store: Store, device: Device, cost: CostModel) -> LearningTask:
    key = DeviceKey(BOARD.name, "mock", ttnn_version())
    return LearningTask(
        network=residual(),
        board=BOARD,
        ttnn_version=ttnn_version(),
        formats=Formats(),
        effort=find_effort("quick"),
        book=ProbeBook(store, device, key, cost),
        store=store,
    )


class InterruptedCard(InventedCard):
    """Is interrupted after some answers."""

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        if len(self.asked) == FIRST:
            raise KeyboardInterrupt
        return super().time_alone(request, budget)


@dataclass(frozen=True)
class Taught:
    """What learning came to; times are those that the card really takes."""

    url: str
    lesson: Lesson
    asked: list[Request]
    interrupted: int
    told: list[int]
    regret_before: float
    regret_after: float


def taught_in(directory: Path) -> Taught:
    cost = CostModel.load(BOARD.arch)
    truth = other_model(cost, SEED, SCALE)
    url = f"sqlite:///{directory}/store.sqlite3"
    with WorkerDevice(BOARD) as device, open_store(url) as store:
        task = task_of(store, device, cost)
        interrupted = InterruptedCard(device, truth)
        with pytest.raises(KeyboardInterrupt):
            learn(task, interrupted, WANTED, Noting())
        card, noting = InventedCard(device, truth, seed=1), Noting()
        lesson = learn(task, card, WANTED, noting)
        last = noting.decisions[-1][0]
        best_us = _optimum_us(task, cost, truth)
        return Taught(
            url,
            lesson,
            [*interrupted.asked, *card.asked],
            len(interrupted.asked),
            [taken for _, taken in noting.decisions],
            _true_us(thought_of(task, last), truth) / best_us - 1,
            _true_us(last, truth) / best_us - 1,
        )


def thought_of(task: LearningTask, decision: Decision) -> Decision:
    """The choice among the same candidates before anything was measured."""
    nothing = Learner(task.book.cost.coefficients).learn([])
    return decide(decision.timetable, nothing, draws=0)


def _true_us(decision: Decision, truth: CostModel) -> float:
    pieces = decision.timetable.pieces
    spent = decision.timetable.spent(decision.best)
    return sum(count * total_us(truth.estimate(pieces[at].ops)) for at, count in spent.items())


def _optimum_us(task: LearningTask, cost: CostModel, truth: CostModel) -> float:
    """What the best schedule really takes of the candidates that are best by either model."""
    candidates = Candidates(task, lambda *_: None)
    for model in (cost, truth):
        candidates.add(model, UNLIMITED)
    timetable = candidates.timetable({})
    times_us = np.array([total_us(truth.estimate(piece.ops)) for piece in timetable.pieces])
    return solve(timetable.problem(times_us), 1).best.cost_us


@pytest.fixture(scope="session")
def taught(once: OncePerRun) -> Taught:
    """The residual block, learned for with an interruption."""
    return once("taught", taught_in)


@pytest.fixture
def kept(taught: Taught, tmp_path: Path) -> Iterator[Store]:
    """A copy of its database."""
    with open_store(copied(taught.url, tmp_path / "kept.sqlite3")) as opened:
        yield opened


@pytest.fixture
def timetable(studied: Studied, probed: Store, cost: CostModel) -> Timetable:
    record = studied.record
    key = DeviceKey(record.board, "mock", record.ttnn_version)
    book = ProbeBook(probed, studied.device(), key, cost)
    book.load(studied.network.layer_signature(layer) for layer in studied.network)
    formats = LayerFormats(studied.network, QUICK.formats)
    questions = LayerQuestions(
        studied.network, formats, book, row_channels=QUICK.effort.row_channels
    )
    return Timetable(studied.joint, questions, book)
